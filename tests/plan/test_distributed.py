"""Distributed routers in plans: one small cloud, host by host, rung by rung.

`blue` and `red` are networks of the distributed router r, whose central part is on net1 (active) and net2;
vm1 (blue) runs on c1, vm2 (red) on c2, vm3 (blue) on `old`, which carries no parts. `ext` is the external
network, on net1, net2 and c1.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deuteron.plan import distributed, floating
from deuteron.plan import rows as s
from deuteron.plan import units as u
from deuteron.plan.compute import units
from deuteron.plan.plans import Change, Plans
from deuteron.plan.state import State
from deuteron.resources import owners
from deuteron.resources.distribution import Rung

HOSTS = {"net1": "dvr_snat", "net2": "dvr_snat", "c1": "dvr", "c2": "dvr", "old": "legacy"}
WITH_EXTERNAL = ("net1", "net2", "c1", "old")


def port(id_: str, network: str, *fixed: tuple[str, str], **more: Any) -> s.Port:
    return s.Port(id=id_, network=network, mac=f"mac-{id_}", fixed_ips=fixed, **more)


def rows(rung: int = Rung.DISTRIBUTED, rung_host: str = "") -> list[s.Row]:
    guest = {"device_owner": "compute:nova"}
    inside = {"device_owner": owners.ROUTER_DISTRIBUTED_INTERFACE, "device_id": "r"}
    snat = {"device_owner": owners.ROUTER_SNAT, "device_id": "r"}
    return [
        *(
            s.Host(
                id=name,
                vtep=f"192.0.2.{number}",
                roles=("l2", "l3"),
                agent_mode=mode,
                physical_networks=("external",) if name in WITH_EXTERNAL else (),
                dvr_mac=f"dvr-{name}" if mode != "legacy" else "",
            )
            for number, (name, mode) in enumerate(HOSTS.items(), 1)
        ),
        s.Network(id="blue", type="vxlan", mtu=1450, vni=1),
        s.Network(id="red", type="vxlan", mtu=1450, vni=2),
        s.Network(id="ext", type="flat", mtu=1500, physical_network="external"),
        s.Subnet(id="b4", network="blue", cidr="10.1.0.0/24", gateway_ip="10.1.0.1"),
        s.Subnet(id="b6", network="blue", cidr="fd00:1::/64", gateway_ip="fd00:1::1", ipv6_ra_mode="slaac"),
        s.Subnet(id="r4", network="red", cidr="10.2.0.0/24", gateway_ip="10.2.0.1"),
        s.Subnet(id="e4", network="ext", cidr="203.0.113.0/24", gateway_ip="203.0.113.1"),
        port("vm1", "blue", ("b4", "10.1.0.11"), ("b6", "fd00:1::b"), host="c1", **guest),
        port("vm2", "red", ("r4", "10.2.0.12"), host="c2", **guest),
        port("vm3", "blue", ("b4", "10.1.0.13"), host="old", **guest),
        port("unbound", "blue", ("b4", "10.1.0.14"), **guest),
        port("qb4", "blue", ("b4", "10.1.0.1"), **inside),
        port("qb6", "blue", ("b6", "fd00:1::1"), **inside),
        port("qr", "red", ("r4", "10.2.0.1"), **inside),
        port("sb", "blue", ("b4", "10.1.0.2"), ("b6", "fd00:1::2"), **snat),
        port("sr", "red", ("r4", "10.2.0.2"), **snat),
        port("qg", "ext", ("e4", "203.0.113.9"), device_owner=owners.ROUTER_GATEWAY, device_id="r"),
        port("fg", "ext", host="c1", device_owner=owners.AGENT_GATEWAY),
        s.Router(id="r", number=1, routes=(("10.9.0.0/16", "10.1.0.11"),), rung=rung, rung_host=rung_host),
        s.Candidate(id="r/net1", router="r", host="net1", position=0, gate="election", election="e"),
        s.Candidate(id="r/net2", router="r", host="net2", position=1, gate="election", election="e"),
        s.Election(id="e", ha_network="ha", vrid=1, advert_ms=20, candidates=("net1", "net2"), active="net1"),
        s.FloatingIP(id="f1", floating_ip="203.0.113.51", router="r", port="vm1", fixed_ip="10.1.0.11"),
        s.FloatingIP(id="f2", floating_ip="203.0.113.52", router="r", port="vm2", fixed_ip="10.2.0.12"),
    ]


def made(rung: int = Rung.DISTRIBUTED, rung_host: str = "") -> State:
    state = State()
    for row in rows(rung, rung_host):
        state.replace(type(row), row.id, row)
    return state


@pytest.fixture
def state() -> State:
    return made()


def plan(state: State, host: str) -> dict[str, u.Unit]:
    return units(state, host, "example.org")


def part(state: State, host: str) -> u.DistributedRouter:
    found = plan(state, host)["distributedrouter/r"]
    assert isinstance(found, u.DistributedRouter)
    return found


def change(state: State, row: s.Row, **changes: object) -> None:
    state.replace(type(row), row.id, msgspec.structs.replace(row, **changes))


def port_of(state: State, id_: str) -> s.Port:
    found = state.ports.get(id_)
    assert found is not None
    return found


def test_a_compute_host_has_the_router_and_all_its_networks(state: State) -> None:
    found = plan(state, "c1")
    assert sorted(found) == [
        "distributedrouter/r", "floatinggateway/ext", "floatingip/f1",
        "neighbour/sb", "neighbour/sr", "neighbour/vm1", "neighbour/vm2", "neighbour/vm3",
        "network/blue", "network/ext", "network/red", "port/vm1",
        "remote/sb", "remote/sr", "remote/vm2", "remote/vm3",
    ]  # fmt: skip
    red = found["network/red"]
    assert isinstance(red, u.Network)
    assert red.vteps == ("192.0.2.1", "192.0.2.2", "192.0.2.4"), "the central part, and the other instance"
    mine = part(state, "c1")
    assert (mine.mac, mine.open, mine.external) == ("dvr-c1", True, "ext")
    assert [one.id for one in mine.interfaces] == ["qb4", "qb6", "qr"]
    assert mine.central == (("qb4", "10.1.0.2"), ("qb6", "fd00:1::2"), ("qr", "10.2.0.2"))
    assert mine.routes == (("10.9.0.0/16", "10.1.0.11"),)
    assert found["remote/sr"] == u.Remote(id="sr", network="red", mac="mac-sr", vtep="192.0.2.1", moves=True)
    assert found["neighbour/vm1"] == u.Neighbour(
        id="vm1", network="blue", mac="mac-vm1", addresses=("10.1.0.11", "fd00:1::b")
    )


def test_the_central_part_is_only_reached_by_ports_of_its_own(state: State) -> None:
    twin = plan(state, "net1")["router/r"]
    assert isinstance(twin, u.Router)
    assert (twin.distributed, twin.interfaces, [one.id for one in twin.snat_ports]) == (
        True,
        (),
        ["sb", "sr"],
    )
    assert "distributedrouter/r" not in plan(state, "net1"), "its own ports are no reason to carry a part"
    assert "remote/qb4" not in plan(state, "old"), "nobody on the wire answers for the gateway"
    assert "distributedrouter/r" not in plan(state, "old")


def test_who_comes_later_is_told_as_a_small_delta(state: State) -> None:
    plans = Plans(state, "example.org")
    for host in HOSTS:
        plans.follow(host)
    new = port("vm4", "blue", ("b4", "10.1.0.15"), host="c2", device_owner="compute:nova")
    deltas = plans.apply([Change(s.Port, "vm4", new)])
    assert {host: sorted(delta) for host, delta in deltas.items()} == {
        "c1": ["neighbour/vm4", "remote/vm4"],
        "c2": ["neighbour/vm4", "port/vm4"],
        "net1": ["remote/vm4"],
        "net2": ["remote/vm4"],
        "old": ["remote/vm4"],
    }


def test_addresses_that_no_port_has_for_its_own_are_asked_for_by_the_central_part(state: State) -> None:
    pairs = (
        ("m", "10.1.0.77"),
        ("m", "10.1.0.64/28"),
        ("m", "10.1.0.13"),
        ("m", "0.0.0.0/0"),
        ("m", "10.1.0.0/24"),
    )
    change(state, port_of(state, "vm1"), pairs=tuple(sorted(pairs)))
    via = dict(part(state, "c2").routes)
    assert via == {"10.9.0.0/16": "10.1.0.11", "10.1.0.77/32": "10.1.0.2", "10.1.0.64/28": "10.1.0.2"}
    # A next hop that no port has is one of these; a port that is bound nowhere has no address.
    router = state.routers.get("r")
    assert router is not None
    change(state, router, routes=(("10.9.0.0/16", "10.1.0.14"), ("10.8.0.0/16", "203.0.113.77")))
    assert dict(part(state, "c2").routes)["10.9.0.0/16"] == "10.1.0.2"
    assert "10.8.0.0/16" not in dict(part(state, "c2").routes), "on the external network: by the central part"
    assert part(state, "c1").outer_routes == (("10.8.0.0/16", "203.0.113.77"),), (
        "for floating IPs on their host"
    )
    assert part(state, "c2").outer_routes == (), "it serves none"


def test_a_router_that_another_one_leads_to_comes_with_it(state: State) -> None:
    """vm1's host has s, because r sends there by an extra route; so has vm2's; s's network comes, too."""
    inside = {"device_owner": owners.ROUTER_DISTRIBUTED_INTERFACE, "device_id": "s"}
    for row in (
        s.Network(id="far", type="vxlan", mtu=1450, vni=3),
        s.Subnet(id="f4", network="far", cidr="10.3.0.0/24"),
        s.Router(id="s", number=2, rung=Rung.DISTRIBUTED),
        port("sq", "red", ("r4", "10.2.0.254"), **inside),
        port("sf", "far", ("f4", "10.3.0.1"), **inside),
    ):
        state.replace(type(row), row.id, row)
    assert "distributedrouter/s" not in plan(state, "c1"), "nothing leads there"
    assert "distributedrouter/s" in plan(state, "c2"), "vm2 is on a network of it"
    router = state.routers.get("r")
    assert router is not None
    change(state, router, routes=(("10.3.0.0/24", "10.2.0.254"),))
    found = plan(state, "c1")
    assert {"distributedrouter/s", "network/far", "neighbour/sq"} <= found.keys()
    assert part(state, "c1").routes == (("10.3.0.0/24", "10.2.0.254"),)
    assert "remote/sq" not in found


def test_without_a_central_part_there_is_no_way_out(state: State) -> None:
    for id_ in ("sb", "sr", "qg"):
        state.replace(s.Port, id_, None)
    for host in ("net1", "net2"):
        state.replace(s.Candidate, f"r/{host}", None)
    assert part(state, "c1").central == ()
    assert "network/red" not in plan(state, "net1")


def test_a_host_that_ceases_to_carry_parts_has_none(state: State) -> None:
    host = state.hosts.get("c1")
    assert host is not None
    for changes in ({"agent_mode": "legacy"}, {"roles": ("l2",)}, {"dvr_mac": ""}):
        change(state, host, **changes)
        found = plan(state, "c1")
        assert not [key for key in found if key.startswith(("distributedrouter/", "neighbour/"))]
        assert "network/red" not in found
        assert "floatingip/f1" in plan(state, "net1"), "centrally then"
        state.replace(s.Host, "c1", host)
    assert "distributedrouter/r" in plan(state, "c1")


def test_a_host_that_loses_its_part_finds_the_way_to_the_central_one() -> None:
    """While the central part still answers for the gateway, in the same delta."""
    plans = Plans(made(Rung.OPEN), "example.org")
    assert "remote/qb4" not in plans.follow("c1")
    host = plans.state.hosts.get("c1")
    assert host is not None
    legacy = msgspec.structs.replace(host, agent_mode="legacy")
    delta = plans.apply([Change(s.Host, "c1", legacy)])["c1"]
    assert delta["distributedrouter/r"] is None
    assert delta["remote/qb4"] is not None


@pytest.mark.parametrize("rung", list(Rung))
@pytest.mark.parametrize("last", ["c1", "net1"])
def test_on_every_rung_each_instance_has_one_gateway_and_each_floating_ip_a_place(
    rung: Rung, last: str
) -> None:
    state = made(rung, last)
    for host in ("c1", "c2"):
        found = plan(state, host)
        mine = found.get("distributedrouter/r")
        here = isinstance(mine, u.DistributedRouter) and mine.open
        elsewhere = "remote/qb4" in found or "remote/qr" in found
        assert here != elsewhere, (host, rung)
        if elsewhere:
            twin = plan(state, "net1")["router/r"]
            assert isinstance(twin, u.Router)
            assert {one.id for one in twin.interfaces} == {"qb4", "qb6", "qr"}
    found_at: dict[str, list[tuple[str, bool, bool]]] = {"f1": [], "f2": []}
    for host in HOSTS:
        for unit in plan(state, host).values():
            if isinstance(unit, u.FloatingIP):
                found_at[unit.id].append((host, unit.distributed, unit.silent))
    answers = rung <= Rung.READY
    centrally = [(host, False, False) for host in ("net1", "net2")]
    assert found_at["f2"] == centrally, "its host has no external network"
    mute = [(host, False, not answers) for host in ("net1", "net2")]
    local = [("c1", True, answers)] if rung >= Rung.READY else []
    assert found_at["f1"] == [*(mute if rung <= Rung.FLOATING else []), *local]


@pytest.mark.parametrize("rung", list(Rung))
def test_one_part_answers_for_a_floating_ip_also_where_both_parts_are_on_one_host(rung: Rung) -> None:
    both = s.Candidate(id="r/c1", router="r", host="c1", position=2)
    state = made(rung)
    state.replace(s.Candidate, both.id, both)
    units = [unit for host in HOSTS for unit in plan(state, host).values() if isinstance(unit, u.FloatingIP)]
    answering = {unit.distributed for unit in units if unit.id == "f1" and not unit.silent}
    assert answering == {rung >= Rung.FLOATING}


def test_where_its_guest_may_appear_a_floating_ip_is_translated_and_not_answered_for(state: State) -> None:
    """On the target before the guest comes, and on the source as long as its binding is there."""
    there = state.hosts.get("c2")
    assert there is not None
    change(state, there, physical_networks=("external",))
    state.replace(s.Port, "fg2", port("fg2", "ext", host="c2", device_owner=owners.AGENT_GATEWAY))
    plans = Plans(state, "example.org")
    for host in HOSTS:
        plans.follow(host)

    def ways(changed: s.Port) -> dict[str, tuple[bool, bool] | None]:
        deltas = plans.apply([Change(s.Port, "vm1", changed)])
        told = {host: delta["floatingip/f1"] for host, delta in deltas.items() if "floatingip/f1" in delta}
        return {
            host: (unit.distributed, unit.waiting) if isinstance(unit, u.FloatingIP) else None
            for host, unit in told.items()
        }

    vm1 = port_of(state, "vm1")
    assert ways(msgspec.structs.replace(vm1, waiting=("c2",))) == {"c2": (True, True)}
    assert part(state, "c2").external == "ext"
    moved = msgspec.structs.replace(vm1, host="c2", waiting=("c1",))
    assert ways(moved) == {"c1": (True, True), "c2": (True, False)}
    assert ways(msgspec.structs.replace(moved, waiting=())) == {"c1": None}


def test_a_floating_ip_that_is_to_be_served_centrally_is_translated_there_before(state: State) -> None:
    """Its guest goes to a host without the external network, and comes back."""
    vm1 = port_of(state, "vm1")
    for host, waiting, at_c1 in (("c1", "c2", "answers"), ("c2", "c1", "waits")):
        change(state, vm1, host=host, waiting=(waiting,))
        twins = "mute" if host == "c1" else "answers"
        assert told(state) == {"c1": (True, at_c1), "net1": (False, twins), "net2": (False, twins)}
    change(state, vm1, waiting=())
    assert told(state) == {"c1": (True, "answers")}


def told(state: State) -> dict[str, tuple[bool, str]]:
    """Return by which part hosts serve f1, and whether they answer for it."""
    found = {host: plan(state, host).get("floatingip/f1") for host in HOSTS}
    return {
        host: (unit.distributed, "mute" if unit.silent else "waits" if unit.waiting else "answers")
        for host, unit in found.items()
        if isinstance(unit, u.FloatingIP)
    }


def test_a_floating_ip_of_a_router_that_is_not_on_its_ports_subnet_is_served_centrally(state: State) -> None:
    plans = Plans(state, "example.org")
    for host in HOSTS:
        plans.follow(host)
    assert "floatingip/f1" in plan(state, "c1")
    interface = port_of(state, "qb4")
    deltas = plans.apply([Change(s.Port, "qb4", None)])
    assert deltas["c1"]["floatingip/f1"] is None, "though the host has the router for its other interfaces"
    central = deltas["net1"]["floatingip/f1"]
    assert isinstance(central, u.FloatingIP)
    assert not central.distributed
    assert not central.silent
    assert "distributedrouter/r" in plan(state, "c1")
    back = plans.apply([Change(s.Port, "qb4", interface)])
    assert isinstance(back["c1"]["floatingip/f1"], u.FloatingIP)


facts = st.builds(
    floating.Facts,
    distributed=st.booleans(),
    bound=st.sampled_from(["", "h"]),
    own=st.booleans(),
    near=st.booleans(),
    carries=st.booleans(),
    agent_mode=st.sampled_from(["legacy", "dvr", "dvr_snat", "dvr_no_external"]),
    physical_network=st.sampled_from([None, "x"]),
    physical_networks=st.sampled_from([(), ("x",)]),
    prepared=st.booleans(),
)


MODES = ["legacy", "dvr", "dvr_snat", "dvr_no_external"]
AT = st.sampled_from(["", *HOSTS])


@given(
    rung=st.sampled_from(list(Rung)),
    modes=st.fixed_dictionaries(dict.fromkeys(HOSTS, st.sampled_from(MODES))),
    without_external=st.sets(st.sampled_from(list(HOSTS))),
    gateways=st.sets(st.sampled_from(list(HOSTS))),
    bound=AT,
    waiting=st.sets(st.sampled_from(list(HOSTS))),
    own=st.booleans(),
)
@example(
    rung=Rung.DISTRIBUTED,
    modes=HOSTS,
    without_external={"c2"},
    gateways={"c1"},
    bound="c1",
    waiting={"c2"},
    own=True,
)
@example(
    rung=Rung.READY,
    modes=HOSTS,
    without_external=set(),
    gateways={"net1"},
    bound="net1",
    waiting=set(),
    own=True,
)
def test_each_floating_ip_has_one_place(
    rung: Rung,
    modes: dict[str, str],
    without_external: set[str],
    gateways: set[str],
    bound: str,
    waiting: set[str],
    own: bool,
) -> None:
    """Whoever answers for it: one host's distributed part, or the candidates of the central one, never none.

    While it is handed over it is both, and one of them answers; where its guest may appear, nobody does. All
    that says where it is says the same.
    """
    state = made(rung)
    for name, mode in modes.items():
        physical = () if name in without_external else ("external",)
        row = state.hosts.get(name)
        assert row is not None
        dvr_mac = f"dvr-{name}" if mode != "legacy" else ""
        change(state, row, agent_mode=mode, physical_networks=physical, dvr_mac=dvr_mac)
        state.replace(s.Port, f"fg-{name}", None)
        if name in gateways:
            row_of = port(f"fg-{name}", "ext", host=name, device_owner=owners.AGENT_GATEWAY)
            state.replace(s.Port, row_of.id, row_of)
    state.replace(s.Port, "fg", None)
    fixed = (("b4", "10.1.0.11" if own else "10.1.0.99"),)
    change(
        state, port_of(state, "vm1"), host=bound, fixed_ips=fixed, waiting=tuple(sorted(waiting - {bound}))
    )
    found = {host: plan(state, host).get("floatingip/f1") for host in HOSTS}
    units_of = {host: unit for host, unit in found.items() if isinstance(unit, u.FloatingIP)}
    local = [host for host, unit in units_of.items() if unit.distributed and not unit.waiting]
    central = [host for host, unit in units_of.items() if not unit.distributed]
    silent = [host for host, unit in units_of.items() if unit.waiting]
    row_f = state.floating_ips.get("f1")
    assert row_f is not None
    # Who carries both parts serves it by the one that answers.
    both = ("net1", "net2") if rung <= Rung.READY else ()
    assert local == [
        host for host in HOSTS if host == distributed.floats_on(state, row_f) and host not in both
    ]
    assert len(local) <= 1
    if not local or rung <= Rung.FLOATING:
        assert {"net1", "net2"} - {*local, *silent} <= set(central)
    else:
        assert all(units_of[host].silent for host in central)
        assert not central or waiting - {bound} - set(silent), "its guest may appear where they serve it"
    assert len({unit.distributed for unit in units_of.values() if not unit.silent and not unit.waiting}) <= 1
    assert set(silent) <= waiting - {bound}
    for host in (*local, *silent):
        mine = plan(state, host)
        assert part(state, host).external == "ext"
        assert "floatinggateway/ext" in mine


@given(facts)
def test_a_floating_ip_is_on_its_host_only_if_all_is_there(found: floating.Facts) -> None:
    place = floating.locate(found)
    needed = (found.distributed, found.bound, found.own, found.near, found.carries, found.prepared)
    attached = found.physical_network is None or found.physical_network in found.physical_networks
    assert (place.host is not None) == (all(needed) and attached and found.agent_mode != "dvr_no_external")
    assert place.reason
