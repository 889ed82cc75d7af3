"""The gateways of a router, each with what is reached by it; and what has packets take the right one. Pure.

The first gateway has the default routes. Where there are others, too, each has a routing table of its own,
into which a mark leads: a packet is marked by the address that its connection has outside, which is in its
entry of connection tracking, with every twin. So answers go where questions came from, and connections stay
where they began, whatever routes say meanwhile. A more specific route than the default one comes first.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from deuteron.agent import names
from deuteron.plan.units import FloatingIP, Router, RouterPort

SPECIFIC, MARKED, OWN = 100, 200, 300
"""Preferences of the rules of routing: before the table of the kernel itself, 32766."""
_EVERYTHING = "0.0.0.0/0"


@dataclass(frozen=True)
class Outside:
    """A gateway."""

    number: int
    """From 1: its mark, and its table."""
    port: RouterPort
    device: str
    nexthops: tuple[str, ...]
    floating_ips: tuple[FloatingIP, ...]
    """Of its network; where several are on one network, the first of them has them."""

    @property
    def addresses(self) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """Its own addresses, in order."""
        return [ipaddress.ip_interface(text).ip for text in self.port.addresses]

    @property
    def address(self) -> str | None:
        """To which connections by it are translated."""
        return next((str(one) for one in self.addresses if one.version == 4), None)

    @property
    def nexthop(self) -> str | None:
        """Of IPv4."""
        return next((one for one in self.nexthops if ":" not in one), None)


@dataclass(frozen=True)
class Rule:
    """A rule of routing for IPv4: what has this mark, or comes from this address, looks into a table."""

    preference: int
    table: str
    mark: int = 0
    source: str = ""


@dataclass(frozen=True)
class Ways:
    """What the kernel needs beside the main table; nothing where there is one gateway."""

    rules: tuple[Rule, ...] = ()
    routes: tuple[str, ...] = ()
    """As `ip route replace` takes them."""


def of(router: Router, floating_ips: Iterable[FloatingIP] = ()) -> tuple[Outside, ...]:
    """Return the gateways of a router, the first one first."""
    if router.gateway is None:
        return ()
    gateways = [(router.gateway, router.nexthops), *((g.port, g.nexthops) for g in router.more_gateways)]
    places: dict[str, int] = {}
    for place, (port, _) in enumerate(gateways):
        places.setdefault(port.network, place)
    by_place: dict[int, list[FloatingIP]] = {}
    for one in floating_ips:
        by_place.setdefault(places.get(one.network, 0), []).append(one)
    return tuple(
        Outside(place + 1, port, names.gateway_device(port.id), nexthops, tuple(by_place.get(place, ())))
        for place, (port, nexthops) in enumerate(gateways)
    )


def devices(outsides: Sequence[Outside]) -> str:
    """Return the devices as nftables has them in a rule."""
    quoted = [f'"{one.device}"' for one in outsides]
    return quoted[0] if len(quoted) == 1 else f"{{ {', '.join(quoted)} }}"


def ways(outsides: Sequence[Outside]) -> Ways:
    """Return what leads packets to the gateways."""
    if len(outsides) < 2:
        return Ways()
    rules = [Rule(SPECIFIC, "main")]
    for one in outsides:
        rules.append(Rule(MARKED, str(one.number), mark=one.number))
        rules += [Rule(OWN, str(one.number), source=one.address)] if one.address else []
    routes = (
        f"default via {one.nexthop} dev {one.device} onlink table {one.number} proto static"
        for one in outsides
        if one.nexthop
    )
    return Ways(tuple(rules), tuple(routes))


def marking(outsides: Sequence[Outside]) -> str:
    """Return what marks packets from inside, as nftables has it; "" where there is one gateway."""
    if len(outsides) < 2:
        return ""
    by_address = {address: one.number for one in outsides for address in _addresses(one)}
    begins: dict[str, int] = {}
    for one in outsides:
        for floating_ip in one.floating_ips:
            if floating_ip.fixed_ip:
                begins.setdefault(floating_ip.fixed_ip, one.number)
    return f"""\
  map ways {{
    type ipv4_addr : mark
{_elements(by_address)}  }}
  map beginnings {{
    type ipv4_addr : mark
{_elements(begins)}  }}
  chain ways {{
    type filter hook prerouting priority mangle; policy accept;
    iifname {devices(outsides)} return
    meta nfproto ipv4 ct direction reply meta mark set ct original ip daddr map @ways
    meta nfproto ipv4 ct direction original meta mark set ct reply ip daddr map @ways
    meta nfproto ipv4 ct direction original meta mark 0 meta mark set ip saddr map @beginnings
  }}
"""


def _addresses(one: Outside) -> Iterator[str]:
    if one.address:
        yield one.address
    yield from (floating_ip.floating_ip for floating_ip in one.floating_ips)


def _elements(mapping: dict[str, int]) -> str:
    pairs = (f"{ipaddress.IPv4Address(key)} : {value}" for key, value in sorted(mapping.items()))
    text = ", ".join(pairs)
    return f"    elements = {{ {text} }}\n" if text else ""
