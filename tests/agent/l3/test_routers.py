"""Routers in the kernel: what they forward, what their changes touch, what is left of them."""

import json
import subprocess
import time
from collections.abc import Iterator

import pytest

from deuteron.agent.l3 import next_hops
from tests.agent.l3.hosts import wait_for
from tests.agent.l3.scene import (
    ELECTION,
    EXTERNAL,
    FLOATING,
    ROUTER,
    TENANT,
    Scene,
    floating_ip,
    plain_router,
    router,
    scene,
)

pytestmark = pytest.mark.lab
NAMESPACE = f"qrouter-{ROUTER}"
INSIDE, OUTSIDE = "1a1a1a1a-00", "2b2b2b2b-00"


@pytest.fixture
def empty() -> Iterator[Scene]:
    with scene() as made:
        yield made


@pytest.fixture
def built(empty: Scene) -> Scene:
    """Build the router on net1 alone, its gate open."""
    agent = empty.agents["net1"]
    agent.put(router(gate="open", election=None), floating_ip())
    assert agent.apply() == {}
    wait_for(lambda: empty.pings("vm", "203.0.113.1"))
    return empty


def test_it_forwards(built: Scene) -> None:
    assert built.pings("vm2", "203.0.113.1")
    assert built.pings("vm2", FLOATING)  # another instance
    assert built.pings("vm", FLOATING)  # itself
    built.outside.run(f"ping -c 1 -W 2 {FLOATING} && ping -c 1 -W 2 203.0.113.10")
    assert built.agents["net1"].ports_up() == [
        "1a1a1a1a-0000-4000-8000-000000000004",
        "2b2b2b2b-0000-4000-8000-000000000005",
    ]
    # Each instance is seen with its own address outside, also the one of a hairpin.
    for instance, target, seen in (
        ("vm", "203.0.113.1", FLOATING),
        ("vm2", "203.0.113.1", "203.0.113.10"),
        ("vm2", FLOATING, "203.0.113.10"),
        ("vm", FLOATING, FLOATING),
    ):
        assert built.peer_of(instance, target) == seen


def test_it_never_resets(built: Scene) -> None:
    program = (
        "import socket\n"
        "try: socket.create_connection(('203.0.113.10', 7008), 1)\n"
        "except TimeoutError: print('silence')"
    )
    assert built.outside.run("python3 -", stdin=program) == "silence\n"
    assert built.compute.run("ip netns exec vm python3 -", stdin=program) == "silence\n"


def test_ipv6(built: Scene) -> None:
    address = "ip netns exec vm ip -6 -j addr show dev eth0 scope global -tentative"
    wait_for(lambda: built.compute.run(address).strip() not in ("", "[]", "[{}]"), 60, "SLAAC")
    wait_for(
        lambda: built.compute.run(
            "ip netns exec vm ping -c 1 -W 1 2001:db8:ffff::1 >&2 && echo yes", check=False
        )
    )
    link_local = built.net1.run(f"ip -n {NAMESPACE} -6 addr show dev qr-{INSIDE} scope link")
    assert "fe80::f816:3eff:fe00:1/64" in link_local
    assert "tentative" not in built.net1.run(f"ip -n {NAMESPACE} -6 addr")


def test_without_snat_addresses_stay(empty: Scene) -> None:
    agent = empty.agents["net1"]
    agent.put(router(gate="open", election=None, snat=False))
    assert agent.apply() == {}
    empty.outside.run("ip route add 10.0.0.0/24 via 203.0.113.10")
    wait_for(lambda: empty.pings("vm2", "203.0.113.1"))
    assert empty.peer_of("vm2", "203.0.113.1") == "10.0.0.6"


def test_again_changes_nothing(built: Scene) -> None:
    watch = ["monitor", "link", "address", "route"]
    monitors = [
        built.net1.start("timeout", "6", "ip", *where, *watch, stdout=subprocess.PIPE)
        for where in ([], ["-n", NAMESPACE])
    ]
    time.sleep(0.3)
    with built.probes(3) as gaps:
        agent = built.cloud.agent(built.net1)
        agent.put(router(gate="open", election=None), floating_ip())
        assert agent.apply() == {}
        agent.recheck()
        assert agent.apply() == {}
    for monitor in monitors:
        changes = [line for line in monitor.communicate()[0].splitlines() if "eth-" not in line]
        assert [line for line in changes if "dev " in line or ": " in line] == []
    assert (gaps["snat"]["lost"], gaps["floating"]["lost"]) == (0, 0)


def test_changes_touch_nothing_else(built: Scene) -> None:
    agent = built.agents["net1"]
    other = plain_router(5, network=TENANT).interfaces[0]
    with built.probes(4) as gaps:
        agent.put(router(gate="open", election=None, interfaces=(*router().interfaces, other)))
        assert agent.apply() == {}
        assert f"qr-{other.id[:11]}" in built.net1.run(f"ip -n {NAMESPACE} -br link")
        agent.put(router(gate="open", election=None, routes=(("10.77.0.0/16", "10.0.0.6"),)))
        assert agent.apply() == {}
        assert "10.77.0.0/16 via 10.0.0.6" in built.net1.run(f"ip -n {NAMESPACE} route")
        assert f"qr-{other.id[:11]}" not in built.net1.run(f"ip -n {NAMESPACE} -br link")
        agent.put(router(gate="open", election=None))
        assert agent.apply() == {}
        assert "10.77" not in built.net1.run(f"ip -n {NAMESPACE} route")
    assert (gaps["snat"]["lost"], gaps["floating"]["lost"]) == (0, 0)
    agent.delete(f"floatingip/{floating_ip().id}")
    assert agent.apply() == {}
    assert FLOATING not in built.net1.run(
        f"ip -n {NAMESPACE} addr; ip netns exec {NAMESPACE} nft list ruleset"
    )
    assert built.peer_of("vm", "203.0.113.1") == "203.0.113.10"
    agent.put(router(gate="open", election=None, gateway=None, nexthops=()))
    assert agent.apply() == {}
    assert "qg-" not in built.net1.run(f"ip -n {NAMESPACE} -br link")
    assert "tap2b2b2b2b" not in built.net1.run("ip -br link")


def test_a_bad_route_stops_nothing_else(built: Scene) -> None:
    agent = built.agents["net1"]
    routes = (("10.70.0.0/16", "192.0.2.1"), ("10.77.0.0/16", "10.0.0.6"))
    agent.put(router(gate="open", election=None, routes=routes))
    (problem,) = agent.apply().values()
    assert "10.70.0.0/16" in problem
    assert "10.77.0.0/16 via 10.0.0.6" in built.net1.run(f"ip -n {NAMESPACE} route")
    assert built.pings("vm", "203.0.113.1")


def test_routes_with_several_next_hops(built: Scene) -> None:
    agent = built.agents["net1"]

    def held(*those: tuple[str, str]) -> list[list[str]]:
        """Give the router these routes; return the next hops of each destination's."""
        agent.put(router(gate="open", election=None, routes=those))
        assert agent.apply() == {}
        told = built.net1.run(f"for v in 4 6; do ip -n {NAMESPACE} -$v -j route show proto static; done")
        found = [item for part in told.splitlines() for item in json.loads(part)]
        known = {item["dst"]: next_hops.of(item).split(",") for item in found}
        return [known.get(to, []) for to in ("10.77.0.0/16", "2001:db8:77::/64")]

    hops = ["10.0.0.5", "10.0.0.6"]
    four = [("10.77.0.0/16", hop) for hop in hops]
    six = [("2001:db8:77::/64", f"2001:db8:1::{n}") for n in (7, 8, 9)]
    assert held(*four, *six) == [hops, [hop for _, hop in six]]
    lookup = f"for n in $(seq 40); do ip -n {NAMESPACE} route get 10.77.0.$n; done"
    used = built.net1.run(lookup)
    assert all(f"via {hop} " in used for hop in hops)
    agent.recheck()
    assert held(*four, *six) == [hops, [hop for _, hop in six]]
    assert held(four[1], *six[1:]) == [hops[1:], [hop for _, hop in six[1:]]]
    assert held(four[0], six[0]) == [hops[:1], [six[0][1]]]
    assert held(*four) == [hops, []]
    assert held() == [[], []]
    assert built.pings("vm", "203.0.113.1")


def test_a_new_router_with_a_bad_route_forwards(empty: Scene) -> None:
    agent = empty.agents["net1"]
    agent.put(router(gate="open", election=None, routes=(("10.70.0.0/16", "192.0.2.1"),)))
    assert len(agent.apply()) == 1
    wait_for(lambda: empty.pings("vm", "203.0.113.1"))
    agent.put(router(gate="open", election=None))
    assert agent.apply() == {}
    assert len(agent.ports_up()) == 2


def test_a_bridge_that_comes_late(empty: Scene) -> None:
    agent = empty.agents["net1"]
    bridge = f"brq{EXTERNAL[:11]}"
    empty.net1.run(f"ip link delete {bridge}")
    agent.put(router(gate="open", election=None), plain_router(1))
    assert set(agent.apply()) == {f"router/{ROUTER}", plain_router(1).key}
    empty.net1.run(
        f"ip link add {bridge} type bridge forward_delay 0; ip link set {bridge} up;"
        f"ip link set eth-ext master {bridge}"
    )
    assert agent.apply() == {}
    wait_for(lambda: empty.pings("vm", "203.0.113.1"))


def test_what_is_foreign_is_left_alone(empty: Scene) -> None:
    agent = empty.agents["net1"]
    empty.net1.run(f"ip netns add {NAMESPACE}; ip link add tap10000001-00 type veth peer name foreign")
    agent.put(router(gate="open", election=None), plain_router(1), plain_router(2))
    problems = agent.apply()
    assert set(problems) == {f"router/{ROUTER}", plain_router(1).key}
    assert "not ours" in problems[f"router/{ROUTER}"]
    assert "tap10000001-00" in problems[plain_router(1).key]
    agent.delete(f"router/{ROUTER}", plain_router(1).key)
    agent.apply()
    assert NAMESPACE in empty.net1.run("ip netns")
    assert "foreign@tap10000001-00" in empty.net1.run("ip -br link")


def test_a_namespace_that_vanished_is_made_again(built: Scene) -> None:
    agent = built.agents["net1"]
    built.net1.run(f"ip netns delete {NAMESPACE}")
    agent.recheck()
    wait_for(lambda: agent.apply() == {})
    wait_for(lambda: built.pings("vm", "203.0.113.1"))
    inside = built.net1.run(f"ip netns pids {NAMESPACE}").split()
    assert "radvd" in built.net1.run(f"ps -o comm= -p {','.join(inside)}")


def ended(built: Scene) -> None:
    """Wait for the end of net1's daemons: nobody else does."""
    look = "pgrep -r R,S,D 'keepalived|radvd'"
    wait_for(lambda: not built.net1.run(look, check=False), what="the daemons have ended")


def test_nothing_is_left(empty: Scene) -> None:
    empty.build()
    agent = empty.agents["net1"]
    agent.put(*(plain_router(n) for n in range(3)))
    assert agent.apply() == {}
    # The router goes first in the plan's order of units, the election waits for it.
    agent.delete(f"election/{ELECTION}")
    (problem,) = agent.apply().values()
    assert ROUTER in problem
    assert empty.pings("vm", "203.0.113.1")
    agent.delete(f"router/{ROUTER}", *(plain_router(n).key for n in range(3)))
    agent.apply()
    assert agent.apply() == {}
    assert not empty.net1.run("ip netns")
    ended(empty)
    assert "tap" not in empty.net1.run("ip -br link")
    assert empty.gate(empty.net1) == set()
    assert agent.ports_up() == []
    for directory in ("switch", "keepalived", "radvd"):
        assert not empty.net1.run(f"find /run/deuteron/{directory} -name '*e1ec*' -o -name '*4d3c*'")


def test_what_was_deleted_meanwhile_goes(empty: Scene) -> None:
    empty.build()
    empty.agents["net1"].put(plain_router(1))
    assert empty.agents["net1"].apply() == {}
    empty.agents["net1"].stop()
    agent = empty.agents["net1"] = empty.cloud.agent(empty.net1)
    agent.put(plain_router(1))
    agent.apply()
    assert agent.apply() == {}
    assert empty.net1.run("ip netns").split()[0] == f"qrouter-{plain_router(1).id}"
    ended(empty)


def test_without_a_switch_nothing_new_is_made(empty: Scene) -> None:
    empty.net1.run(f"kill -9 {empty.switches['net1']}")
    agent = empty.agents["net1"]
    agent.put(router(gate="open", election=None))
    (problem,) = agent.apply().values()
    assert "deuteron switch" in problem
    assert not empty.net1.run("ip netns")
    empty.start_switch(empty.net1)
    assert agent.apply() == {}
    wait_for(lambda: empty.pings("vm", "203.0.113.1"))


def test_many_routers(empty: Scene) -> None:
    agent = empty.agents["net1"]
    many = [plain_router(n, "closed") for n in range(1, 26)]
    agent.put(*many)
    began = time.monotonic()
    assert agent.apply() == {}
    assert time.monotonic() - began < 30
    assert empty.gate(empty.net1) == {r.number for r in many}
    found = json.loads(empty.net1.run("ip -j link show type veth"))
    taps = [link for link in found if link["ifname"].startswith("tap")]
    assert {link["group"] for link in taps} == {str(r.number) for r in many}
    assert all(link["master"].startswith("brq") and link["ifalias"] == "deuteron" for link in taps)
