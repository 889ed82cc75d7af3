"""A router with several gateways: what goes out by which, and where answers go."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3 import gateways, wanted
from deuteron.plan import units
from tests.agent.l3.hosts import wait_for
from tests.agent.l3.scene import (
    FLOATING,
    MORE,
    ROUTER,
    Scene,
    floating_ip,
    router,
    scene,
    second_floating_ip,
    second_gateway,
)

NAMESPACE = f"qrouter-{ROUTER}"
FAR = "192.0.2.7"


def test_one_gateway_needs_no_ways() -> None:
    (one,) = gateways.of(router(), [floating_ip()])
    assert gateways.ways([one]) == gateways.Ways()
    assert gateways.marking([one]) == ""
    assert gateways.of(router(gateway=None)) == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=5), st.data())
def test_each_address_outside_is_at_one_gateway(ports: list[tuple[str, bool]], data: st.DataObject) -> None:
    made = [
        units.Gateway(
            port=units.RouterPort(
                id=f"{place:08x}-0000-4000-8000-000000000001",
                network=network,
                mac=f"fa:16:3e:00:01:{place:02x}",
                mtu=1500,
                addresses=(f"198.18.{place}.10/24",) if v4 else ("2001:db8::10/64",),
            ),
            nexthops=(f"198.18.{place}.1",) if v4 else ("2001:db8::1",),
        )
        for place, (network, v4) in enumerate(ports)
    ]
    networks = data.draw(st.lists(st.sampled_from("abcd"), max_size=6))
    floating = [
        units.FloatingIP(id=str(n), router=ROUTER, floating_ip=f"203.0.113.{n}", fixed_ip="", network=network)
        for n, network in enumerate(networks)
    ]
    first, *others = made
    whole = router(gateway=first.port, nexthops=first.nexthops, more_gateways=tuple(others))
    found = gateways.of(whole, floating)
    assert [one.number for one in found] == list(range(1, len(made) + 1))
    assert sorted(f.id for one in found for f in one.floating_ips) == sorted(f.id for f in floating)
    for one in found:
        known = {port.network for port in (first.port, *(other.port for other in others))}
        assert all(f.network == one.port.network or f.network not in known for f in one.floating_ips)
    twin = wanted.twin(whole, floating)
    held = [address for device in twin.kernel.devices for address in device.addresses]
    assert len({a for a in held if a.endswith("/32")}) == len(floating)
    for rule in gateways.ways(found).rules:
        assert not rule.source or ipaddress.ip_address(rule.source).version == 4


@pytest.mark.lab
def test_what_comes_by_one_is_answered_by_it() -> None:
    with scene() as made:
        _furnish(made)
        agent = made.agents["net1"]
        agent.put(_router(), floating_ip(), second_floating_ip())
        assert agent.apply() == {}
        _each_way(made)
        _both_ways(made)
        agent.put(router(gate="open", election=None))
        agent.delete(f"floatingip/{second_floating_ip().id}")
        assert agent.apply() == {}
        assert "198.18" not in made.net1.run(f"ip -n {NAMESPACE} addr; ip -n {NAMESPACE} rule")
        assert made.peer_of("vm2", "203.0.113.1") == "203.0.113.10"


def _router(*, multipath: bool = False) -> units.Router:
    return router(gate="open", election=None, more_gateways=(second_gateway(),), multipath=multipath)


def _furnish(made: Scene) -> None:
    """Make another outside world, on net1, that knows no way to the first; both have 192.0.2.0/24."""
    bridge = f"brq{MORE[:11]}"
    made.net1.run(
        f"set -e; ip link add {bridge} type bridge mcast_snooping 0 forward_delay 0; ip link set {bridge} up;"
        f"ip netns add more; ip link add tap-more type veth peer name eth0 netns more;"
        f"ip link set tap-more master {bridge} up; ip -n more link set lo up; ip -n more link set eth0 up;"
        "ip -n more addr add 198.18.0.1/24 dev eth0; ip -n more route add local 192.0.2.0/24 dev lo"
    )
    made.net1.start("ip", "netns", "exec", "more", *made.server)
    made.outside.run("ip route add local 192.0.2.0/24 dev lo")


def _each_way(made: Scene) -> None:
    # Its own address and its floating IP answer one whom only its next hop knows.
    for target in ("198.18.0.10", "198.18.0.50"):
        ping = f"ip netns exec more ping -n -q -c 1 -W 1 -I {FAR} {target} >&2 && echo yes"
        wait_for(lambda ping=ping: made.net1.run(ping, check=False), what=target)  # type: ignore[misc]
    # An instance leaves by the gateway on whose network its floating IP is.
    assert made.peer_of("vm2", FAR) == "198.18.0.50"
    assert made.peer_of("vm2", "198.18.0.1") == "198.18.0.50"
    assert made.peer_of("vm", FAR) == FLOATING
    assert made.peer_of("vm", "203.0.113.1") == FLOATING
    # From one to the other, inside.
    assert made.pings("vm2", FLOATING)
    assert made.pings("vm", "198.18.0.50")


def _both_ways(made: Scene) -> None:
    """Without floating IPs: by the first only, and by both where that is asked for."""
    agent = made.agents["net1"]
    agent.delete(f"floatingip/{second_floating_ip().id}")
    agent.put(_router())
    assert agent.apply() == {}
    assert {made.peer_of("vm2", f"192.0.2.{n}") for n in range(1, 4)} == {"203.0.113.10"}
    agent.put(_router(multipath=True))
    assert agent.apply() == {}
    assert {made.peer_of("vm2", f"192.0.2.{n}") for n in range(1, 25)} == {"203.0.113.10", "198.18.0.10"}
    agent.recheck()
    assert agent.apply() == {}
    assert made.net1.run(f"ip -n {NAMESPACE} route show default").count("nexthop") == 2
    agent.put(_router())
    assert agent.apply() == {}
    assert made.net1.run(f"ip -n {NAMESPACE} route show default").count("via") == 1
