"""Address scopes: what a router lets through between networks, and what it translates."""

import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent import names
from deuteron.agent.l3 import gateways, rules, scopes
from deuteron.agent.system import nft
from deuteron.plan import units

NAMES = ("a", "b", "c")
OUTSIDE = "203.0.113.9", "2001:db8:9::9"


def port(number: int, scope: str = "") -> units.RouterPort:
    """Return a router's port on the network of a number; 9 is the external one."""
    v4 = "203.0.113.1/24" if number == 9 else f"10.{number}.0.1/24"
    return units.RouterPort(
        id=f"{number:08x}-0000-4000-8000-000000000001",
        network=f"{number:08x}-0000-4000-8000-000000000002",
        mac=f"fa:16:3e:00:00:{number:02x}",
        mtu=1500,
        addresses=(v4, f"2001:db8:{number}::1/64"),
        scopes=(scope, scope and f"{scope}-6"),
    )


def router(inside: tuple[str, ...], outside: str, *, snat: bool) -> units.Router:
    return units.Router(
        id="router",
        number=1,
        interfaces=tuple(port(number, scope) for number, scope in enumerate(inside, 1)),
        gateway=port(9, outside),
        nexthops=(OUTSIDE[0],),
        snat=snat,
    )


@given(st.lists(st.sampled_from(["", "one", "two"]), max_size=5), st.sampled_from(["", "one", "two"]))
def test_only_what_crosses_is_stopped(inside: list[str], outside: str) -> None:
    ports = [(f"in{number}", port(number, scope)) for number, scope in enumerate(inside)]
    made = router(tuple(inside), outside, snat=True)
    (way,) = gateways.of(made)
    lines = scopes.crossing(ports, [way], snat=True)
    assert bool(lines) == (len({*inside, outside}) > 1 and bool(inside))
    assert bool(scopes.apart(ports)) == (len(set(inside)) > 1)
    within = [name for name, one in ports if outside and one.scopes[0] == outside]
    assert all(name in scopes.staying(ports, way) for name in within)
    assert bool(scopes.staying(ports, way)) == bool(within)


@dataclass
class Star:
    """A router's namespace with machines a, b, c on networks of their own, and one outside."""

    prefix: str

    def run(self, where: str, command: str) -> bool:
        argv = ["ip", "netns", "exec", f"{self.prefix}{where}", "sh", "-c", command]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def reaches(self, source: str, target: str) -> bool:
        return self.run(source, f"ping -n -q -c 1 -W 0.4 {target}")

    def knows(self, *, inside: bool) -> None:
        """Say whether the outside world has a way to the networks inside."""
        verb = "replace" if inside else "delete"
        self.run("o", f"ip route {verb} 10.0.0.0/8 via 203.0.113.1")

    def load(self, text: str) -> None:
        nft.apply(text, netns=f"{self.prefix}r")
        self.run("r", "conntrack -F")


@pytest.fixture
def star() -> Iterator[Star]:
    made = Star(f"scopes-{uuid.uuid4().hex[:6]}-")
    lines = [f"ip netns add {made.prefix}r"]
    forwarding = "net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
    at_once = "net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
    lines.append(f"ip netns exec {made.prefix}r sysctl -qw {forwarding} {at_once}")
    for name, number in (*zip(NAMES, (1, 2, 3), strict=True), ("o", 9)):
        one = port(number)
        device = (names.gateway_device if name == "o" else names.internal_device)(one.id)
        own = (OUTSIDE[0] if name == "o" else f"10.{number}.0.9"), f"2001:db8:{number}::9"
        lines += [
            f"ip netns add {made.prefix}{name}",
            f"ip -n {made.prefix}r link add {device} type veth peer name e netns {made.prefix}{name}",
        ]
        for where, link, addresses in (("r", device, one.addresses), (name, "e", own)):
            within = f"ip -n {made.prefix}{where}"
            v4, v6 = (address.partition("/")[0] for address in addresses)
            lines += [
                f"{within} addr add {v4}/24 dev {link}",
                f"{within} addr add {v6}/64 dev {link} nodad",
                f"{within} link set {link} up",
            ]
        hop4, hop6 = (address.partition("/")[0] for address in one.addresses)
        if name != "o":
            lines.append(f"ip -n {made.prefix}{name} route add default via {hop4}")
        lines.append(f"ip -n {made.prefix}{name} -6 route add default via {hop6}")
    try:
        subprocess.run(["sh", "-ec", "\n".join(lines)], check=True)
        yield made
    finally:
        for name in ("r", "o", *NAMES):
            subprocess.run(["ip", "netns", "delete", f"{made.prefix}{name}"], check=False)


@pytest.mark.lab
def test_what_goes_through(star: Star) -> None:
    def translated(source: str) -> bool:
        star.knows(inside=False)
        found = star.reaches(source, OUTSIDE[0])
        star.knows(inside=True)
        return found

    star.load(rules.render(router(("", "", ""), "", snat=True), []))
    assert star.reaches("a", "10.3.0.9")
    assert translated("a")
    assert star.reaches("a", OUTSIDE[1])

    # The outside world has no scope: nothing is known there of addresses inside.
    star.load(rules.render(router(("one", "one", "two"), "", snat=True), []))
    assert star.reaches("a", "10.2.0.9")
    assert star.reaches("a", "2001:db8:2::9")
    assert not star.reaches("a", "10.3.0.9")
    assert not star.reaches("a", "2001:db8:3::9")
    assert translated("a")
    assert not star.reaches("o", "10.1.0.9")
    assert not star.reaches("a", OUTSIDE[1])

    # It is in the scope of a and b: their addresses are valid there, and those of c are not.
    star.load(rules.render(router(("one", "one", "two"), "one", snat=True), []))
    assert not translated("a")
    assert star.reaches("a", OUTSIDE[0])
    assert star.reaches("o", "10.1.0.9")
    assert star.reaches("o", "2001:db8:1::9")
    assert star.reaches("a", OUTSIDE[1])
    assert translated("c")
    assert not star.reaches("o", "10.3.0.9")
    assert not star.reaches("c", OUTSIDE[1])

    # Without SNAT c is alone, but for a floating IP.
    without = router(("one", "one", "two"), "one", snat=False)
    star.load(rules.render(without, []))
    assert star.reaches("a", OUTSIDE[0])
    assert not star.reaches("c", OUTSIDE[0])
    floating = units.FloatingIP(id="f", router="router", floating_ip="203.0.113.50", fixed_ip="10.3.0.9")
    star.run("r", f"ip addr add 203.0.113.50/32 dev {names.gateway_device(port(9).id)}")
    star.load(rules.render(without, [floating]))
    assert star.reaches("c", OUTSIDE[0])
    assert star.reaches("o", "203.0.113.50")
    assert star.reaches("a", "203.0.113.50")
    assert not star.reaches("a", "10.3.0.9")


@pytest.mark.lab
def test_distributed_parts_keep_them_apart_too(star: Star) -> None:
    star.load(rules.quiet(router(("one", "one", "two"), "", snat=True).interfaces))
    assert star.reaches("a", "10.2.0.9")
    assert not star.reaches("a", "10.3.0.9")
    assert not star.reaches("c", "2001:db8:1::9")
    star.load(rules.quiet(router(("", "", ""), "", snat=True).interfaces))
    assert star.reaches("a", "10.3.0.9")
