"""What is in a plan: one small cloud, host by host.

net1 and net2 carry the redundant router r (active on net1) and the DHCP servers of `blue`; vm1 runs on c1,
vm2 on c2. `green` has DHCP on net2 and no router. `ext` is the flat external network, `ha` carries the
election.
"""

import itertools
from typing import Any

import msgspec
import pytest

from deuteron.plan import rows as s
from deuteron.plan import units as u
from deuteron.plan.compute import MAX_CANDIDATES, priority, units
from deuteron.plan.state import State
from deuteron.plan.units import Unit
from deuteron.resources import owners

VTEP = {"net1": "192.0.2.1", "net2": "192.0.2.2", "c1": "192.0.2.3", "c2": "192.0.2.4"}


def mac(number: int) -> str:
    return f"fa:16:3e:00:00:{number:02x}"


def port(id_: str, network: str, number: int, *fixed: tuple[str, str], **more: Any) -> s.Port:
    return s.Port(id=id_, network=network, mac=mac(number), fixed_ips=fixed, **more)


def rows() -> list[s.Row]:
    guest = {"device_owner": "compute:nova", "project_id": "p"}
    dhcp = {"device_owner": owners.DHCP}
    inside = {"device_owner": owners.ROUTER_HA_INTERFACE, "device_id": "r"}
    outside = {"device_owner": owners.ROUTER_GATEWAY, "device_id": "r"}
    ha = {"device_owner": owners.HEARTBEAT}
    slaac: Any = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    return [
        *(s.Host(id=name, vtep=vtep) for name, vtep in VTEP.items()),
        s.Network(id="blue", type="vxlan", mtu=1450, vni=11),
        s.Network(id="green", type="vxlan", mtu=1450, vni=12),
        s.Network(id="ext", type="flat", mtu=1500, physical_network="external"),
        s.Network(id="ha", type="vxlan", mtu=1450, vni=99),
        s.Subnet(id="b4", network="blue", cidr="10.1.0.0/24", dns_nameservers=("9.9.9.9",)),
        s.Subnet(id="b6", network="blue", cidr="fd00:1::/64", **slaac),
        s.Subnet(id="bx", network="blue", cidr="10.9.0.0/24", enable_dhcp=False),
        s.Subnet(id="g4", network="green", cidr="10.2.0.0/24"),
        s.Subnet(id="e4", network="ext", cidr="203.0.113.0/24", gateway_ip="203.0.113.1", enable_dhcp=False),
        s.Subnet(id="h4", network="ha", cidr="169.254.192.0/18", enable_dhcp=False),
        port("vm1", "blue", 1, ("b4", "10.1.0.11"), ("b6", "fd00:1::b"), host="c1", device_id="i1", **guest),
        port("vm2", "blue", 2, ("b4", "10.1.0.12"), ("bx", "10.9.0.12"), host="c2", device_id="i2", **guest,
             dns_name="web"),
        port("vm3", "green", 3, ("g4", "10.2.0.13"), host="c2", device_id="i3", **guest),
        port("unbound", "blue", 4, ("bx", "10.9.0.14")),
        port("d0", "blue", 5, ("b4", "10.1.0.2"), ("b6", "fd00:1::2"), **dhcp),
        port("d1", "blue", 6, ("b4", "10.1.0.3"), ("b6", "fd00:1::3"), **dhcp),
        port("d2", "green", 7, ("g4", "10.2.0.2"), **dhcp),
        port("qr4", "blue", 8, ("b4", "10.1.0.1"), **inside),
        port("qr6", "blue", 9, ("b6", "fd00:1::1"), **inside),
        port("qg", "ext", 10, ("e4", "203.0.113.9"), **outside),
        port("ha1", "ha", 20, ("h4", "169.254.192.1"), host="net1", **ha),
        port("ha2", "ha", 21, ("h4", "169.254.192.2"), host="net2", **ha),
        s.DhcpServer(id="blue/0", network="blue", host="net1", port="d0"),
        s.DhcpServer(id="blue/1", network="blue", host="net2", port="d1"),
        s.DhcpServer(id="green/0", network="green", host="net2", port="d2"),
        s.Router(id="r", number=7, routes=(("10.50.0.0/16", "10.1.0.99"),)),
        s.Candidate(id="r/net1", router="r", host="net1", position=0, gate="election", election="e"),
        s.Candidate(id="r/net2", router="r", host="net2", position=1, gate="election", election="e"),
        s.Election(
            id="e", ha_network="ha", vrid=3, advert_ms=20, candidates=("net1", "net2"), active="net1"
        ),
        s.FloatingIP(id="f", floating_ip="203.0.113.50", router="r", port="vm1", fixed_ip="10.1.0.11"),
        s.FloatingIP(id="free", floating_ip="203.0.113.51"),
        s.Instance(id="i1", name="one", public_keys={"me": "ssh-ed25519 A"}),
    ]  # fmt: skip


@pytest.fixture
def state() -> State:
    made = State()
    for row in rows():
        made.replace(type(row), row.id, row)
    return made


def plan(state: State, host: str) -> dict[str, Unit]:
    return units(state, host, "example.org")


def change(state: State, row: s.Row, **changes: object) -> None:
    state.replace(type(row), row.id, msgspec.structs.replace(row, **changes))


def test_a_compute_host_has_the_networks_of_its_ports(state: State) -> None:
    found = plan(state, "c1")
    assert sorted(found) == [
        "instance/vm1", "network/blue", "port/vm1",
        "remote/d0", "remote/d1", "remote/qr4", "remote/qr6", "remote/vm2",
    ]  # fmt: skip
    assert found["network/blue"] == u.Network(
        id="blue", type="vxlan", mtu=1450, vni=11, vteps=("192.0.2.1", "192.0.2.2", "192.0.2.4")
    )
    assert found["port/vm1"] == u.Port(id="vm1", network="blue", mac=mac(1), mtu=1450)
    assert found["remote/vm2"] == u.Remote(id="vm2", network="blue", mac=mac(2), vtep=VTEP["c2"])
    assert found["remote/d1"] == u.Remote(id="d1", network="blue", mac=mac(6), vtep=VTEP["net2"])
    assert found["remote/qr4"] == u.Remote(
        id="qr4", network="blue", mac=mac(8), vtep=VTEP["net1"], moves=True
    )


def test_a_dhcp_host_serves_its_networks(state: State) -> None:
    found = plan(state, "net2")
    blue, green = found["dhcp/blue"], found["dhcp/green"]
    assert isinstance(blue, u.Dhcp)
    assert isinstance(green, u.Dhcp)
    assert (blue.port, blue.addresses, blue.dns_domain) == (
        "d1",
        ("10.1.0.3/24", "fd00:1::3/64"),
        "example.org",
    )
    assert [subnet.id for subnet in blue.subnets] == ["b4", "b6"], "those with DHCP"
    assert blue.subnets[0].dns_nameservers == ("9.9.9.9",)
    assert found["lease/vm1"] == u.Lease(
        id="vm1",
        network="blue",
        mac=mac(1),
        addresses=(("b4", "10.1.0.11"), ("b6", "fd00:1::b")),
        hostname="host-10-1-0-11",
    )
    assert found["lease/vm2"] == u.Lease(
        id="vm2", network="blue", mac=mac(2), addresses=(("b4", "10.1.0.12"),), hostname="web"
    )
    leases = {key for key in found if key.startswith("lease/")}
    assert leases == {"lease/vm1", "lease/vm2", "lease/vm3"}, "not the cloud's own ports, none without DHCP"
    assert "lease/vm3" not in plan(state, "net1")


def test_a_dhcp_server_serves_the_subnets_that_it_has_an_address_on(state: State) -> None:
    change(state, state.ports.rows["d1"], fixed_ips=(("b6", "fd00:1::3"),))
    found = plan(state, "net2")
    blue, lease = found["dhcp/blue"], found["lease/vm1"]
    assert isinstance(blue, u.Dhcp)
    assert [subnet.id for subnet in blue.subnets] == ["b6"]
    assert isinstance(lease, u.Lease)
    assert [subnet for subnet, _ in lease.addresses] == ["b4", "b6"], "names are known everywhere"


def test_a_dhcp_server_whose_port_is_set_down_serves_nobody(state: State) -> None:
    change(state, state.ports.rows["d1"], admin_state_up=False)
    assert "dhcp/blue" not in plan(state, "net2")
    assert "dhcp/blue" in plan(state, "net1")


def test_where_a_subnet_names_no_resolvers_all_its_dhcp_servers_are_told(state: State) -> None:
    def told(host: str, network: str) -> dict[str, tuple[str, ...]]:
        unit = plan(state, host)[f"dhcp/{network}"]
        assert isinstance(unit, u.Dhcp)
        return {subnet.id: subnet.dns_nameservers for subnet in unit.subnets}

    assert told("net1", "blue") == {"b4": ("9.9.9.9",), "b6": ("fd00:1::2", "fd00:1::3")}
    change(state, state.ports.rows["d0"], fixed_ips=(("b4", "10.1.0.20"), ("b6", "fd00:1::2")))
    change(state, state.subnets.rows["b4"], dns_nameservers=())
    for host in ("net1", "net2"):
        assert told(host, "blue") == {"b4": ("10.1.0.3", "10.1.0.20"), "b6": ("fd00:1::2", "fd00:1::3")}
    change(state, state.subnets.rows["b4"], dns_nameservers=("0.0.0.0",))
    assert told("net1", "blue")["b4"] == ("0.0.0.0",), "none is what was asked for"
    assert told("net2", "green") == {"g4": ("10.2.0.2",)}


def test_a_ports_dhcp_options_are_in_its_lease(state: State) -> None:
    options = ((4, "mtu", "1400"), (6, "bootfile-url", "http://x"))
    change(state, state.ports.rows["vm1"], dhcp_options=options)
    for host in ("net1", "net2"):
        lease = plan(state, host)["lease/vm1"]
        assert isinstance(lease, u.Lease)
        assert lease.options == options


def test_twins_are_equal_but_for_who_they_are(state: State) -> None:
    one, two = plan(state, "net1")["router/r"], plan(state, "net2")["router/r"]
    assert isinstance(one, u.Router)
    assert isinstance(two, u.Router)
    assert one == u.Router(
        id="r",
        number=7,
        interfaces=(
            u.RouterPort(id="qr4", network="blue", mac=mac(8), mtu=1450, addresses=("10.1.0.1/24",)),
            u.RouterPort(
                id="qr6",
                network="blue",
                mac=mac(9),
                mtu=1450,
                addresses=("fd00:1::1/64",),
                advertised=("fd00:1::/64",),
            ),
        ),
        gateway=u.RouterPort(id="qg", network="ext", mac=mac(10), mtu=1500, addresses=("203.0.113.9/24",)),
        nexthops=("203.0.113.1",),
        routes=(("10.50.0.0/16", "10.1.0.99"),),
        gate="election",
        election="e",
        twins=("192.0.2.2",),
    )
    assert msgspec.structs.replace(two, twins=one.twins) == one
    assert plan(state, "net2")["floatingip/f"] == u.FloatingIP(
        id="f", router="r", floating_ip="203.0.113.50", fixed_ip="10.1.0.11"
    )
    assert "floatingip/free" not in plan(state, "net1")
    assert not any(key.startswith(("router/", "floatingip/", "election/")) for key in plan(state, "c1"))


def test_the_standby_host_reaches_the_router_by_the_active_one(state: State) -> None:
    assert "remote/qr4" not in plan(state, "net1")
    standby = plan(state, "net2")["remote/qr4"]
    assert standby == u.Remote(id="qr4", network="blue", mac=mac(8), vtep=VTEP["net1"], moves=True)
    election = state.elections.rows["e"]
    change(state, election, active="net2")
    moved = plan(state, "c1")["remote/qr4"]
    assert isinstance(moved, u.Remote)
    assert moved.vtep == VTEP["net2"]
    change(state, election, active=None)
    assert "remote/qr4" not in plan(state, "c1"), "nobody said where it is: it will be learned"


def test_a_flat_network_needs_no_tunnels(state: State) -> None:
    found = plan(state, "net1")
    assert found["network/ext"] == u.Network(id="ext", type="flat", mtu=1500, physical_network="external")
    assert "remote/qg" not in found


def test_metadata_is_served_by_the_host_of_the_instance(state: State) -> None:
    here = plan(state, "c1")
    assert {key for key in here if key.startswith("instance/")} == {"instance/vm1"}
    assert here["instance/vm1"] == u.Instance(
        id="vm1",
        network="blue",
        mac=mac(1),
        mtu=1450,
        addresses=(
            u.InstanceAddress(
                address="10.1.0.11/24", dhcp=True, dns_nameservers=("9.9.9.9",), floating_ip="203.0.113.50"
            ),
            u.InstanceAddress(address="fd00:1::b/64", dhcp=True, ipv6_address_mode="slaac"),
        ),
        instance_id="i1",
        project_id="p",
        hostname="host-10-1-0-11",
        name="one",
        public_keys={"me": "ssh-ed25519 A"},
    )
    for name in ("net1", "net2"):
        assert not any(key.startswith("instance/") for key in plan(state, name))
    change(state, state.ports.rows["vm1"], host="c2")
    assert "instance/vm1" in plan(state, "c2")
    assert "instance/vm1" not in plan(state, "c1")
    change(state, state.ports.rows["vm1"], device_id="")
    assert "instance/vm1" not in plan(state, "c2"), "there is no machine yet"


def test_an_election_is_seen_from_each_candidate(state: State) -> None:
    found = plan(state, "net2")["election/e"]
    assert found == u.Election(
        id="e",
        ha_network="ha",
        vni=99,
        mtu=1450,
        vrid=3,
        priority=200,
        advert_ms=20,
        mac=mac(21),
        address="169.254.192.2/18",
        peers=(u.Peer(host="net1", address="169.254.192.1", mac=mac(20), vtep=VTEP["net1"]),),
        joined=True,
    )
    assert "network/ha" not in plan(state, "net2"), "it is no network of a bridge"
    change(state, state.elections.rows["e"], joined=False, active=None)
    assert "election/e" in plan(state, "net1")
    assert "election/e" not in plan(state, "net2"), "it begins with the first candidate alone"


def test_while_a_router_moves_the_way_leads_to_the_twin_that_leaves_until_it_closes(state: State) -> None:
    def way() -> str:
        unit = plan(state, "c1")["remote/qr4"]
        assert isinstance(unit, u.Remote)
        return unit.vtep

    change(state, state.candidates.rows["r/net1"], draining=True)
    leaving = plan(state, "net1")["router/r"]
    assert isinstance(leaving, u.Router)
    assert leaving.draining
    change(state, state.candidates.rows["r/net2"], gate="open", election=None)
    assert way() == VTEP["net1"], "the other one may not be open yet; when it is, it says so itself"
    change(state, state.candidates.rows["r/net1"], draining=False, gate="closed")
    assert way() == VTEP["net2"]


def test_what_is_administratively_down_is_mute_but_built(state: State) -> None:
    change(state, state.routers.rows["r"], admin_state_up=False)
    change(state, state.ports.rows["vm1"], admin_state_up=False)
    found = plan(state, "net1")["router/r"]
    assert isinstance(found, u.Router)
    assert found.gate == "closed"
    guest = plan(state, "c1")["port/vm1"]
    assert isinstance(guest, u.Port)
    assert not guest.admin_state_up


def test_a_deleted_host_goes_from_the_lists(state: State) -> None:
    state.replace(s.Host, "c2", None)
    found = plan(state, "c1")
    assert "remote/vm2" not in found
    blue = found["network/blue"]
    assert isinstance(blue, u.Network)
    assert VTEP["c2"] not in blue.vteps


@pytest.mark.parametrize("count", range(1, MAX_CANDIDATES + 1))
def test_candidates_never_promote_themselves_together(count: int) -> None:
    """A backup waits (256 - priority) / 256 of an advert longer: at 20 ms the first four are 3.9 ms apart."""
    priorities = [priority(position, count) for position in range(count)]
    assert all(1 <= one <= 254 for one in priorities)
    skews = [(256 - one) / 256 * 20 for one in priorities]
    gaps = [after - before for before, after in itertools.pairwise(skews)]
    assert all(gap > 3.9 for gap in gaps[:3])
    assert all(gap > 3.8 for gap in gaps) or count > 6
    assert all(gap > 0 for gap in gaps), "no two with one priority"
