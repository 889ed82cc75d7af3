"""What changes of the plan do to distributed parts, and what they leave alone."""

import dataclasses
import json
import subprocess
import time
from collections.abc import Iterator

import msgspec
import pytest

from deuteron.plan import units
from tests.agent.l3.distributed.scene import (
    A1,
    A2,
    B1,
    B2,
    EXTERNAL,
    ROUTER,
    A,
    B,
    Scene,
    central,
    distributed,
    floating_gateway,
    floating_ip,
    gateway_mac,
    interface,
    scene,
)
from tests.agent.l3.hosts import wait_for

pytestmark = pytest.mark.lab
OTHER = "4d3c0002-0000-4000-8000-000000000003"
NAMESPACE = f"qrouter-{ROUTER}"


@pytest.fixture(scope="module")
def made() -> Iterator[Scene]:
    with scene() as found:
        for instance, host in ((A1, found.c1), (B1, found.c1), (A2, found.c2), (B2, found.c2)):
            found.boot(instance, host)
        found.floating = {A1}
        found.tell()
        assert found.pings(A1, B2.address)
        yield found


def test_again_changes_nothing(made: Scene) -> None:
    places: tuple[list[str], ...] = ([], ["-n", NAMESPACE], ["-n", f"fip-{EXTERNAL}"])
    watch = ["monitor", "link", "address", "route", "rule"]
    monitors = [
        made.c1.start("timeout", "4", "ip", *where, *watch, stdout=subprocess.PIPE) for where in places
    ]
    time.sleep(0.3)
    probes = ((A1, f"udp:{B2.address}"), (A1, "udp:203.0.113.1"), (None, "udp:203.0.113.11"))
    with made.probed(*probes) as found:
        agent = made.restart_agent(made.c1)
        agent.put(*made.plan(made.c1))
        assert agent.apply() == {}
        agent.recheck()
        assert agent.apply() == {}
    for monitor in monitors:
        changes = [line for line in monitor.communicate()[0].splitlines() if "eth-" not in line]
        assert [line for line in changes if "dev " in line or ": " in line] == []
    assert {target: result["lost"] for target, result in found.items()} == dict.fromkeys(found, 0)
    ports = agent.ports_up()
    assert {interface(A).id, interface(B).id, floating_gateway(made.c1).port} <= set(ports)


def test_routes_with_several_next_hops(made: Scene) -> None:
    """Inside in the router, outside in the namespace of floating IPs; a second look finds them so."""
    inside = tuple(("10.77.0.0/16", one.address) for one in (A2, B2))
    outside = tuple(("10.78.0.0/16", f"203.0.113.{n}") for n in (77, 78))
    commands = [
        f"ip -n {namespace} route show table all {to}"
        for namespace, to in ((NAMESPACE, "10.77.0.0/16"), (f"fip-{EXTERNAL}", "10.78.0.0/16"))
    ]

    def hops(*those: units.DistributedRouter) -> list[int]:
        made.give(made.c1, *those)
        return [made.c1.run(command).count("via") for command in commands]

    plain = distributed(made.c1, external=EXTERNAL)
    both = msgspec.structs.replace(plain, routes=inside, outer_routes=outside)
    assert hops(both) == [2, 2]
    made.agents[made.c1.name].recheck()
    assert hops(both) == [2, 2]
    assert hops(msgspec.structs.replace(plain, routes=inside[1:], outer_routes=outside[1:])) == [1, 1]
    assert hops(both) == [2, 2]
    assert hops(plain) == [0, 0]


def test_an_instance_moves(made: Scene) -> None:
    """As a live migration does: its place elsewhere is prepared, then it goes on there."""
    port = units.Port(id=B1.port, network=B, mac=B1.mac, mtu=1450)
    remote = units.Remote(id=B1.port, network=B, mac=B1.mac, vtep=made.c2.vtep)
    before, tap = made.where[B1], f"tap{B1.port[:11]}"
    made.c2.run(
        "set -e; ip netns add b1; ip -n b1 link set lo up;"
        f"ip link add {tap} mtu 1450 type veth peer name eth0 mtu 1450 address {B1.mac} netns b1;"
        f"ip -n b1 addr add {B1.address}/24 dev eth0"
    )
    made.give(made.c2, port)
    with made.probed((A2, f"udp:{B2.address}"), (A1, f"icmp:{B1.address}")) as found:
        before.run("ip -n b1 link set eth0 down")
        made.c2.run(
            "ip -n b1 link set eth0 up; ip -n b1 route add default via 10.2.0.1;"
            f"ip netns exec b1 arping -q -U -c 1 -I eth0 {B1.address}",
            check=False,
        )
        made.where[B1] = made.c2
        made.give(made.c2, gone=[remote.key])
        for host in (made.c1, made.net):
            made.give(host, remote, gone=[port.key])
        time.sleep(0.3)
    assert found[f"udp:{B2.address}"]["lost"] == 0
    assert found[f"icmp:{B1.address}"]["longest_gap_ms"] < 1000, found  # 10 times what it is to be
    print("a move took", found[f"icmp:{B1.address}"]["longest_gap_ms"], "ms")
    assert made.pings(A1, B1.address)
    before.run(f"ip netns delete b1; ip link delete {tap}", check=False)


def test_neighbours_come_and_go(made: Scene) -> None:
    def known() -> set[tuple[str, str]]:
        found = json.loads(made.c1.run(f"ip -n {NAMESPACE} -j neigh show nud permanent dev qr-10000001-00"))
        return {(item["dst"], item["lladdr"]) for item in found}

    before = known()
    new = units.Neighbour(
        id="9e000001-1", network=A, mac="fa:16:3e:99:00:01", addresses=("10.1.0.77", "fd00:1::77")
    )
    made.give(made.c1, new)
    assert known() - before == {(address, new.mac) for address in new.addresses}
    changed = msgspec.structs.replace(new, addresses=("10.1.0.78",))
    made.give(made.c1, changed, msgspec.structs.replace(new, id="9e000002-1", mac="fa:16:3e:99:00:02"))
    assert known() - before == {
        ("10.1.0.78", new.mac),
        *((address, "fa:16:3e:99:00:02") for address in new.addresses),
    }
    made.give(made.c1, distributed(made.c1, external=EXTERNAL), gone=[new.key])
    made.give(made.c1, gone=["neighbour/9e000002-1"])
    assert known() == before


def test_a_closed_part_is_mute(made: Scene) -> None:
    made.give(made.c1, distributed(made.c1, open=False, external=EXTERNAL))
    with made.captured(made.c1) as frames:
        made.c1.run(f"ip netns exec {NAMESPACE} ping -c 2 -W 1 -i 0.2 {A1.address}", check=False)
        made.c1.run(f"ip netns exec {NAMESPACE} arping -c 1 -I qr-10000001-00 10.1.0.99", check=False)
        made.c1.run("ip -n a1 neigh flush all")
        assert not made.pings(A1, "10.1.0.1")
    assert not [frame for frame in frames if f"{gateway_mac(A)} >" in frame]
    assert gateway_mac(A) not in made.c1.run("bridge fdb show | grep dvr | grep -v permanent", check=False)
    made.give(made.c1, *made.plan(made.c1))
    wait_for(lambda: made.pings(A1, B2.address))


def test_two_routers_on_a_network(made: Scene) -> None:
    """The other router is at 10.1.0.254, and leads to a network of its own that has the addresses of B."""
    network = units.Network(id="cccccccc-0000-4000-8000-000000000001", type="vxlan", mtu=1450, vni=103)
    with_b = dataclasses.replace(B1, name="o1")
    inner = msgspec.structs.replace(interface(B, router=1), network=network.id)
    outer = interface(A, router=1, last=254)
    parts: list[units.Unit] = [
        units.Neighbour(id=outer.id, network=A, mac=outer.mac, addresses=("10.1.0.254",)),
        units.Neighbour(id=inner.id, network=network.id, mac=inner.mac, addresses=("10.2.0.1",)),
        units.Neighbour(id=with_b.port, network=network.id, mac=B1.mac, addresses=(B1.address,)),
        distributed(made.c1, id=OTHER, interfaces=(outer, inner), central=()),
        units.Port(id=with_b.port, network=network.id, mac=B1.mac, mtu=1450),
        network,
    ]
    made.boot(with_b, made.c1)
    try:
        made.c1.run(f"ip -n a1 route add {B1.address}/32 via 10.1.0.254")
        made.give(made.c1, *parts)
        assert made.pings(A1, B1.address)  # the one behind the other router
        assert made.pings(A1, B2.address)  # of the first router
        assert made.pings(with_b, A1.address)
        made.c1.run("ip -n o1 link set eth0 down")
        assert not made.pings(A1, B1.address)
        made.c1.run(f"ip -n a1 route delete {B1.address}/32 via 10.1.0.254")
        assert made.pings(A1, B1.address)  # the first router's
    finally:
        del made.where[with_b]
        made.give(made.c1, gone=[unit.key for unit in parts])
        made.c1.run("ip netns delete o1")
    assert OTHER not in made.c1.run("ip netns")
    assert "103" not in made.c1.run("nft list table bridge deuteron_dvr")
    assert made.pings(A1, B2.address)


def test_routers_advertise_to_their_own_host_alone(made: Scene) -> None:
    def ports(number: int) -> units.RouterPort:
        network = (A, B)[number]
        return interface(network, advertised=(f"fd00:{number + 1}::/64",))

    made.c1.run(
        "ip -n a1 -6 route delete default; ip netns exec a1 sysctl -qw net.ipv6.conf.eth0.accept_ra=2"
    )
    with made.captured(made.c1, made.c2) as frames:
        made.give(made.c1, distributed(made.c1, external=EXTERNAL, interfaces=(ports(0), ports(1))))
        wait_for(lambda: "proto ra" in made.c1.run("ip -n a1 -6 route show default"), 30, "an advertisement")
        assert made.pings(A1, B2.address6)
    assert not [frame for frame in frames if "router advertisement" in frame]
    made.give(made.c1, *made.plan(made.c1))
    assert "radvd" not in made.c1.run(f"ps -o comm= -p $(ip netns pids {NAMESPACE} | head -1)", check=False)


def test_security_groups(made: Scene) -> None:
    """An instance with a filter is reached through routers by what its groups let in, and answered."""
    group = units.SecurityGroup(
        id="5ec00000-0000-4000-8000-000000000001",
        rules=(
            units.SecurityRule(direction="egress", version=4),
            units.SecurityRule(direction="ingress", version=4, protocol=1, remote_prefix=f"{B2.address}/32"),
        ),
    )
    port = units.Port(
        id=A1.port,
        network=A,
        mac=A1.mac,
        mtu=1450,
        filtered=True,
        addresses=(A1.address,),
        security_groups=(group.id,),
    )
    made.give(made.c1, group, port)
    assert made.pings(B2, A1.address)
    assert not made.pings(A2, A1.address)
    for target in (B2.address, A2.address, "203.0.113.1"):
        assert made.pings(A1, target)
    made.outside.run("! ping -c 1 -W 1 203.0.113.11")
    made.give(made.c1, *made.plan(made.c1))
    made.outside.run("ping -c 1 -W 1 203.0.113.11")


def test_what_is_foreign_is_left_alone(made: Scene) -> None:
    made.net.run(f"ip netns add qrouter-{OTHER}")
    part = distributed(made.net, id=OTHER, interfaces=(), central=())
    made.agents[made.net.name].put(part)
    assert "not ours" in made.agents[made.net.name].apply()[part.key]
    made.agents[made.net.name].delete(part.key)
    made.agents[made.net.name].apply()
    made.net.run(f"ip netns delete qrouter-{OTHER}")


def test_nothing_is_left(made: Scene) -> None:
    agent = made.agents[made.c1.name]
    agent.stop()
    agent = made.restart_agent(made.c1)  # which learns of nothing that it had
    agent.put(*made.basics(made.c1))
    made.settle(made.c1)
    for where in ("ip netns", "ip -br link", "nft list tables"):
        text = made.c1.run(where)
        assert "qrouter-" not in text
        assert "fip-" not in text
        assert "dvr" not in text
    assert "tapf6" not in made.c1.run("ip -br link")
    parts = [central().key, f"distributedrouter/{ROUTER}", *(unit.key for unit in made.neighbours())]
    made.give(made.net, gone=parts)
    assert not made.net.run("ip netns")
    routers = [path for path in json.loads(made.net.run("ip -j link")) if path["ifname"].startswith("tap")]
    assert routers == []
    assert floating_ip(A1).id not in made.c1.run("ls -R /run/deuteron")
