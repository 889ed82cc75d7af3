"""What is rendered for nft, against golden files and nft itself, and what must hold whatever the plan is."""

import dataclasses
import ipaddress
import itertools
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3.distributed import bridges, extra_routes, floating, kernel, legs, table, wanted
from deuteron.agent.l3.distributed.table import Tunnel
from deuteron.agent.l3.wanted import Device
from deuteron.plan import units
from tests.agent.l3.distributed.scene import (
    A1,
    A2,
    B1,
    EXTERNAL,
    ROUTER,
    A,
    B,
    floating_ip,
    gateway_mac,
    interface,
    snat_neighbour,
    snat_port,
)

GOLDEN = Path(__file__).with_name("golden")
DVR_MAC = "fa:16:3f:00:00:01"
PART = units.DistributedRouter(
    id=ROUTER,
    mac=DVR_MAC,
    interfaces=(interface(A), interface(B)),
    open=True,
    central=tuple((interface(n).id, a.partition("/")[0]) for n in (A, B) for a in snat_port(n).addresses),
    external=EXTERNAL,
)
GATEWAY = units.FloatingGateway(
    id=EXTERNAL,
    port="f6000001-0000-4000-8000-000000000004",
    mac="fa:16:3e:f6:00:01",
    mtu=1500,
    subnets=("203.0.113.0/24",),
    nexthop="203.0.113.1",
)


def tunnel(number: int, *, settled: bool = True) -> Tunnel:
    macs = (gateway_mac(A), gateway_mac(A, 1))
    addresses = ("10.1.0.1", "10.1.0.254")
    addresses6 = ("fd00:1::1", "fe80::f816:3eff:fe00:1")
    return Tunnel(f"vxlan-{number}", macs, macs if settled else (), addresses, addresses6, DVR_MAC)


OUTSIDE = floating.outside(GATEWAY, {ROUTER: PART}, [floating_ip(A1), floating_ip(B1), floating_ip(A2)])
MUTE = floating.outside(GATEWAY, {ROUTER: PART}, [floating_ip(A1, silent=True), floating_ip(A2)])
ALL_MUTE = floating.outside(GATEWAY, {ROUTER: PART}, [floating_ip(A1, silent=True)])
RENDERED = {
    "bridges.nft": table.render(["dvr11111111-00"], [tunnel(101), tunnel(102, settled=False)]),
    "bridges-closed.nft": table.render(["dvr11111111-00", "dvr22222222-00"], []),
    "bridges-none.nft": table.render([], []),
    "outside.nft": OUTSIDE.rules,
    "outside-unused.nft": floating.outside(GATEWAY, {}, []).rules,
    "outside-silent.nft": floating.outside(
        GATEWAY, {ROUTER: PART}, [floating_ip(A1, waiting=True), floating_ip(A2)]
    ).rules,
    "translation-before.nft": floating.UNTRACKED,
    "translation-mute.nft": floating.translation(MUTE.legs[0]),
    "translation.nft": floating.translation(OUTSIDE.legs[0]),
}


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_golden(name: str) -> None:
    assert RENDERED[name] == (GOLDEN / name).read_text()


@pytest.mark.lab
def test_nft_takes_it() -> None:
    for name, text in RENDERED.items():
        words = ["unshare", "--net", "nft", "-f", "-"]
        done = subprocess.run(words, input=text * 2, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{name}: {done.stderr}"


def test_default_routes_lead_to_the_central_part() -> None:
    part = wanted.part(PART)
    found = {(route.destination, route.hops) for route in part.routes}
    assert found == {
        ("0.0.0.0/0", "10.1.0.2"),
        ("::/0", "fd00:1::2"),
        ("0.0.0.0/0", "10.2.0.2"),
        ("::/0", "fd00:2::2"),
    }
    assert {rule.table for rule in part.rules} == {route.table for route in part.routes}
    assert all(route.table not in (0, 16, 253, 254, 255) for route in part.routes)


def test_wrong_addresses_never_reach_the_kernel() -> None:
    evil = "1.2.3.4 }\n drop"
    with pytest.raises(ValueError, match=r"1\.2\.3\.4"):
        wanted.part(msgspec.structs.replace(PART, routes=(("10.0.0.0/8", evil),)))
    with pytest.raises(ValueError, match=r"1\.2\.3\.4"):
        floating.outside(GATEWAY, {ROUTER: PART}, [floating_ip(A1, fixed_ip=evil)])
    with pytest.raises(ValueError, match="no interface"):
        wanted.part(msgspec.structs.replace(PART, central=(("00000000-1", "10.1.0.2"),)))


def test_extra_routes_of_each_router_are_its_own() -> None:
    """Those of routers without floating IPs here are not there; the kernel is brought from any to any."""
    other = msgspec.structs.replace(PART, id="5d3c0001-0000-4000-8000-000000000003", outer_routes=())
    routes = (("0.0.0.0/0", "203.0.113.2"), ("192.0.2.0/24", "203.0.113.3"))
    mine = msgspec.structs.replace(PART, outer_routes=routes)
    made = floating.outside(GATEWAY, {ROUTER: mine, other.id: other}, [floating_ip(A1)])
    number = wanted.tables([ROUTER])[ROUTER]
    assert made.extra == {(str(number), to, hop, made.legs[0].outer) for to, hop in routes}
    assert floating.outside(GATEWAY, {ROUTER: mine}, []).extra == frozenset()
    nothing = legs.View(
        links={}, routes={"main": frozenset({("0.0.0.0/0", "203.0.113.1", "fg")})}, rules=frozenset()
    )
    device, outer = made.device.inside, made.legs[0].outer
    rules = [
        "priority 30000 lookup main suppress_prefixlength 0",
        f"priority 30001 iif {outer} lookup {number}",
    ]
    assert list(extra_routes.commands(made, nothing)) == [
        *(
            f"route replace {to} via {hop} dev {device} onlink table {number} proto static"
            for to, hop in routes
        ),
        *(f"rule add {rule}" for rule in rules),
    ]
    there = legs.View(
        links={},
        routes={str(number): frozenset((to, hop, device) for to, hop in routes)},
        rules=frozenset({(30000, "", "main"), (30001, outer, str(number)), (32766, "", "main")}),
    )
    assert list(extra_routes.commands(made, there)) == []
    second = msgspec.structs.replace(PART, outer_routes=(*routes, ("192.0.2.0/24", "203.0.113.2")))
    both = floating.outside(GATEWAY, {ROUTER: second}, [floating_ip(A1)])
    (spread,) = extra_routes.commands(both, there)
    hops = " ".join(f"nexthop via 203.0.113.{n} dev {device} onlink" for n in (2, 3))
    assert spread == f"route replace 192.0.2.0/24 table {number} proto static {hops}"
    gone = floating.outside(GATEWAY, {ROUTER: PART}, [floating_ip(A1)])
    assert list(extra_routes.commands(gone, there)) == [
        *(f"rule delete {rule}" for rule in reversed(rules)),
        *(f"route delete {to} via {hop} dev {device} table {number} proto static" for to, hop in routes),
    ]


def test_a_router_knows_all_neighbours_but_itself() -> None:
    own = units.Neighbour(id=interface(A).id, network=A, mac=interface(A).mac, addresses=("10.1.0.1",))
    those = [A1.neighbour(), A2.neighbour(), B1.neighbour(), snat_neighbour(A), own]
    known: dict[str, dict[str, units.Neighbour]] = {}
    for neighbour in those:
        known.setdefault(neighbour.network, {})[neighbour.id] = neighbour
    found = wanted.neighbours(PART, known)
    assert found["qr-10000001-00", A1.address] == A1.mac
    assert found["qr-10000002-00", B1.address6] == B1.mac
    assert ("qr-10000001-00", "10.1.0.1") not in found
    assert len(found) == 8


def test_what_another_host_answers_for_is_neither_claimed_nor_drawn_here() -> None:
    assert MUTE.answered == {floating_ip(A2).floating_ip}
    assert MUTE.rules == RENDERED["outside-silent.nft"]
    assert ALL_MUTE.answered == frozenset()
    assert "saddr ip set" not in ALL_MUTE.rules, "it would ask in the name of what is elsewhere"
    assert "mark set 0x10 return" in floating.translation(ALL_MUTE.legs[0]), "what still comes is served"
    assert A1.address not in floating.translation(ALL_MUTE.legs[0]).partition("chain untracked")[2]


addresses = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
neighbours = st.dictionaries(
    st.tuples(st.sampled_from(["qr-a", "qr-b"]), addresses), st.sampled_from(["m1", "m2"])
)


@given(neighbours, neighbours)
def test_neighbours_follow(have: wanted.Neighbours, want: wanted.Neighbours) -> None:
    held = dict(have)
    for commands in kernel.set_neighbours(have, want).values():
        for command in commands:
            words = command.split()
            if words[1] == "delete":
                del held[words[4], words[2]]
            else:
                held[words[8], words[2]] = words[4]
    assert held == want
    assert kernel.set_neighbours(want, want) == {}


routes = st.frozensets(
    st.builds(
        wanted.Route,
        table=st.sampled_from([254, 1 << 31]),
        destination=st.sampled_from(["10.0.0.0/8", "0.0.0.0/0", "::/0"]),
        hops=st.sampled_from(["10.1.0.2", "10.1.0.3", "10.1.0.2,10.1.0.3"]),
        device=st.sampled_from(["", "qr-a"]),
    ),
    max_size=4,
)


def one_each(those: frozenset[wanted.Route]) -> frozenset[wanted.Route]:
    return frozenset({(route.table, route.destination): route for route in sorted(those)}.values())


@given(routes, routes)
def test_routes_follow_without_a_gap(have: frozenset[wanted.Route], want: frozenset[wanted.Route]) -> None:
    have, want = one_each(have), one_each(want)
    held = {(route.table, route.destination): route for route in have}
    kept = held.keys() & {(route.table, route.destination) for route in want}
    part = part_with(want)
    for commands in kernel.set_routes(part, kernel.Inside(routes=have)).values():
        for command in commands:
            words = command.split()
            key = int(words[words.index("table") + 1]), words[2]
            if words[1] == "delete":
                del held[key]
            else:
                device = words[words.index("dev") + 1] if "dev" in words else ""
                hops = sorted(hop for word, hop in itertools.pairwise(words) if word == "via")
                held[key] = wanted.Route(*key, ",".join(hops), device)
            assert kept <= held.keys()
    assert frozenset(held.values()) == want


def part_with(those: frozenset[wanted.Route]) -> wanted.Part:
    return wanted.Part("r", "n", DVR_MAC, True, (), (), those, frozenset(), "", "")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6))
def test_what_moves_may_leave_and_what_is_settled_may_not(ports: list[tuple[bool, bool]]) -> None:
    devices = wanted.part(PART).devices
    given_ports = [
        bridges.PartPort(ROUTER, numbered(devices[0], number), "vxlan-101", DVR_MAC, is_open, True)
        for number, (is_open, _) in enumerate(ports)
    ]
    moving = {port.tap for port, (_, moves) in zip(given_ports, ports, strict=True) if moves}
    opened = [port for port in given_ports if port.is_open or port.tap in moving]
    found = bridges.tunnels(opened, moving)
    assert len(found) == bool(opened)
    for one in found:
        assert set(one.macs) == {port.device.mac for port in opened}
        assert set(one.settled) == {port.device.mac for port in opened if port.tap not in moving}
        assert all(ipaddress.ip_address(address).version == 6 for address in one.addresses6)
        assert len(one.addresses6) == len(opened) + 1


def numbered(device: Device, number: int) -> Device:
    return dataclasses.replace(device, tap=f"dvr{number}", mac=f"fa:16:3e:00:00:{number:02x}")
