import sys
import time
from pathlib import Path

import msgspec
import pytest

from deuteron.plan.units import Dhcp, DhcpSubnet, Lease, Network
from tests.agent.host import eventually
from tests.agent.scene import DHCP, DHCP_PORT, NET, NETWORK, Scene, lease, mac, port, port_id

pytestmark = pytest.mark.lab
DNSMASQ = f"dnsmasq-{NET}"
NAMESPACE = f"qdhcp-{NET}"


@pytest.fixture
def served(here: Scene) -> Scene:
    here.agent.start()
    here.server.put(NETWORK, DHCP, port(5), lease(5))
    here.settled()
    return here


def dnsmasq(scene: Scene) -> str:
    return scene.host.run("pgrep dnsmasq", check=False).strip()


def ask6(scene: Scene, namespace: str, what: str = "address") -> str:
    client = Path(__file__).with_name("dhcp6.py")
    return scene.host.run(f"{sys.executable} {client} eth0 {what} 2>&1", namespace, check=False).strip()


def test_a_machine_gets_its_lease_by_both_families(served: Scene) -> None:
    assert served.server.problems == {}
    assert DHCP_PORT in served.server.ports_up
    vm = served.plug(5)
    assert "lease of 10.1.0.5 obtained from 10.1.0.2" in served.lease(vm)
    assert ask6(served, vm) == "fd00:1::5"
    assert ask6(served, vm, "other") == "fd00:1::2"
    served.host.run("printf '#!/bin/sh\nenv\n' >/run/show; chmod +x /run/show")
    options = served.host.run("udhcpc -i eth0 -n -q -f -s /run/show -O 121 -O mtu -O domain 2>/dev/null", vm)
    assert "mtu=1450" in options
    assert "dns=192.0.2.53" in options
    assert "router=10.1.0.1" in options
    assert "domain=openstacklocal" in options
    assert "staticroutes=169.254.169.254/32 0.0.0.0 0.0.0.0/0 10.1.0.1" in options


def told(scene: Scene, namespace: str, *options: str, vendor: str = "udhcp") -> dict[str, str]:
    """Return what a machine is told that asks for options, as udhcpc names them."""
    scene.host.run("printf '#!/bin/sh\nenv\n' >/run/show; chmod +x /run/show")
    asked = " ".join(f"-O {option}" for option in options)
    said = scene.host.run(
        f"udhcpc -i eth0 -n -q -f -s /run/show -V {vendor} {asked} 2>/dev/null", namespace, check=False
    )
    return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def test_a_ports_own_options_reach_its_machine_alone(served: Scene) -> None:
    own = (
        (4, "150", "192.0.2.70"),
        (4, "bootfile-name", 'undionly "x", #1'),
        (4, "domain-name", "own.example"),
        (4, "mtu", "1300"),
        (4, "no-such-option", "x"),
        (4, "router", "10.1.0.254"),
        (4, "server-ip-address", "192.0.2.69"),
        (4, "tftp-server", "tftp.example"),
        (6, "dns-server", "2001:db8::53"),
        (6, "59", "http://x/y"),
    )
    running = dnsmasq(served)
    served.server.put(msgspec.structs.replace(lease(5), options=own), lease(6))
    served.settled()
    assert dnsmasq(served) == running
    vm = served.plug(5)
    asked = ("121", "mtu", "domain", "bootfile", "tftp", "150")
    found = told(served, vm, *asked)
    assert found["router"] == "10.1.0.254"
    assert found["staticroutes"] == "169.254.169.254/32 0.0.0.0 0.0.0.0/0 10.1.0.254"
    assert (found["mtu"], found["domain"], found["opt150"]) == ("1300", "own.example", "c0000246")
    assert (found.get("bootfile"), found.get("tftp")) == ('undionly "x", #1', "tftp.example")
    assert found["siaddr"] == "192.0.2.69"
    assert found["dns"] == "192.0.2.53", "the network's, where the port has no own"
    assert ask6(served, vm, "23") == "20010db8000000000000000000000053"
    assert bytes.fromhex(ask6(served, vm, "59")) == b"http://x/y"
    assert list(served.server.problems) == [lease(5).key]
    assert "no-such-option" in served.server.problems[lease(5).key]
    served.host.run(f"ip link set eth0 address {mac(6)}", vm)
    found = told(served, vm, *asked)
    assert (found["mtu"], found["router"], found.get("opt150")) == ("1450", "10.1.0.1", None)
    served.host.run(f"ip link set eth0 address {mac(5)}", vm)
    served.server.put(lease(5))
    served.settled()
    assert told(served, vm, *asked)["mtu"] == "1450"


@pytest.mark.parametrize(
    ("servers", "dns", "dns6"),
    [
        (("10.1.0.2", "10.1.0.3"), "10.1.0.2 10.1.0.3", "fd00:1::2"),
        (("0.0.0.0",), None, None),
    ],
)
def test_resolvers_are_those_of_the_plan_or_none(
    here: Scene, servers: tuple[str, ...], dns: str | None, dns6: str | None
) -> None:
    four, six = DHCP.subnets
    six = msgspec.structs.replace(six, dns_nameservers=("::",) if dns is None else ("fd00:1::2", "fd00:1::3"))
    four = msgspec.structs.replace(four, dns_nameservers=servers)
    here.agent.start()
    here.server.put(NETWORK, msgspec.structs.replace(DHCP, subnets=(four, six)), port(5), lease(5))
    here.settled()
    vm = here.plug(5)
    found = told(here, vm)
    assert found.get("dns") == dns
    assert found["router"] == "10.1.0.1"
    assert ask6(here, vm, "23") == ("fd000001" + "0" * 23 + "2" + "fd000001" + "0" * 23 + "3" if dns6 else "")


def test_a_stranger_gets_no_answer(served: Scene) -> None:
    vm = served.plug(5)
    served.host.run("ip link set eth0 address 02:00:00:00:00:99", vm)
    assert "obtained" not in served.lease(vm, tries=2)


def test_leases_come_and_go_while_dnsmasq_runs_on(served: Scene) -> None:
    running = dnsmasq(served)
    vm = served.plug(5)
    for number in range(6, 60):
        served.server.put(lease(number))
    served.server.put(lease(60, owner=6))
    served.settled()
    served.host.run(f"ip link set eth0 address {mac(6)}", vm)
    assert "lease of 10.1.0.60 obtained" in served.lease(vm)
    served.server.delete(lease(6).key)
    served.settled()
    assert "obtained" not in served.lease(vm, tries=2)
    assert dnsmasq(served) == running


def test_an_address_that_comes_to_another_port_is_given_to_it(served: Scene) -> None:
    vm = served.plug(5)
    assert "lease of 10.1.0.5 obtained" in served.lease(vm)
    assert ask6(served, vm) == "fd00:1::5"
    served.server.delete(lease(5).key)
    served.settled()
    served.server.put(lease(5, owner=8))
    served.settled()
    # Down and up, so that it gets another link-local address too.
    served.host.run(f"ip link set eth0 down; ip link set eth0 address {mac(8)} up", vm)
    assert "lease of 10.1.0.5 obtained" in served.lease(vm)
    assert ask6(served, vm) == "fd00:1::5"


def test_a_dead_dnsmasq_is_told_and_back(served: Scene) -> None:
    running = dnsmasq(served)
    served.host.run(f"kill -9 {running}")
    eventually(lambda: dnsmasq(served) not in ("", running))
    eventually(lambda: "dnsmasq died" in served.server.problems.get(DHCP.key, ""))
    assert "obtained" in served.lease(served.plug(5))


def test_the_next_agent_adopts_dnsmasq(served: Scene) -> None:
    running = dnsmasq(served)
    served.agent.kill()
    served.server.put(lease(6))
    (served.host.run_dir_outside / "daemons" / f"{DNSMASQ}.json").write_text("garbage")
    served.agent.start()
    served.settled()
    assert dnsmasq(served) == running
    vm = served.plug(5)
    served.host.run(f"ip link set eth0 address {mac(6)}", vm)
    assert "lease of 10.1.0.6 obtained" in served.lease(vm)


def test_a_new_subnet_is_served(served: Scene) -> None:
    more = DhcpSubnet(id="s4b", cidr="10.2.0.0/24")
    served.server.put(
        Dhcp(
            id=NET,
            port=DHCP_PORT,
            mac=DHCP.mac,
            mtu=1450,
            addresses=("10.2.0.2/24", "10.1.0.2/24"),
            subnets=(*DHCP.subnets, more),
        ),
        Lease(id=port_id(7), network=NET, mac=mac(7), addresses=(("s4b", "10.2.0.7"),), hostname="seven"),
    )
    served.settled()
    assert served.server.problems == {}
    vm = served.plug(5)
    served.host.run(f"ip link set eth0 address {mac(7)}", vm)
    assert "lease of 10.2.0.7 obtained from 10.2.0.2" in served.lease(vm)
    assert "fd00:1::2" not in served.host.run("ip -br address", NAMESPACE)


def test_a_text_that_does_not_belong_there_is_refused_alone(served: Scene) -> None:
    bad = Lease(
        id=port_id(9),
        network=NET,
        mac=mac(9),
        addresses=(("s4", "10.1.0.9"),),
        hostname="x\n02:00:00:00:00:99,evil",
    )
    served.server.put(bad)
    served.settled()
    assert "cannot be served" in served.server.problems[bad.key]
    assert "obtained" in served.lease(served.plug(5))
    served.server.delete(bad.key)
    eventually(lambda: served.server.problems == {})


def test_deletes_leave_nothing_behind(served: Scene) -> None:
    served.server.delete(*served.server.units)
    served.settled()
    assert served.server.problems == {}
    assert served.host.namespaces() == set()
    assert not [name for name in served.host.links() if name.startswith(("tap", "brq", "vxlan"))]
    assert served.processes() == []
    assert (
        served.host.run(
            "find /run/deuteron -type f -not -name agent.lock -not -name secret -not -name plan-confirmed"
        )
        == ""
    )
    assert served.server.ports_up == set()


def test_a_foreign_namespace_is_left_alone(here: Scene) -> None:
    here.host.run(f"ip netns add {NAMESPACE}; ip -n {NAMESPACE} link add brx type bridge")
    here.agent.start()
    here.server.put(NETWORK, DHCP)
    here.settled()
    assert "not ours" in here.server.problems[DHCP.key]
    here.server.delete(DHCP.key)
    here.settled()
    assert here.server.problems == {}
    assert "brx" in here.host.links(NAMESPACE)


def test_forty_networks(here: Scene) -> None:
    here.agent.start()
    units: list[Network | Dhcp] = []
    for n in range(1, 41):
        units.append(Network(id=f"{n:08d}-n", type="vxlan", mtu=1450, vni=n))
        units.append(
            Dhcp(
                id=f"{n:08d}-n",
                port=f"{n:08d}-p",
                mac=mac(n),
                mtu=1450,
                addresses=("10.1.0.2/24",),
                subnets=(DhcpSubnet(id="s", cidr="10.1.0.0/24"),),
            )
        )
    begin = time.monotonic()
    here.server.put(*units)
    here.settled(60)
    print(f"40 networks with DHCP: {time.monotonic() - begin:.2f} s")
    assert len(here.server.ports_up) == 40
    here.agent.kill()
    begin = time.monotonic()
    told = len(here.server.reports)
    here.agent.start()
    eventually(lambda: any(r.revision for r in here.server.reports[told:]), 30)
    print(f"resync: {time.monotonic() - begin:.2f} s")
