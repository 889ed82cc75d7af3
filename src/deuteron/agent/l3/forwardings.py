"""Ports of floating IPs that lead to ports of fixed ones, as nftables has them inside a router.

Whatever changes, connections go on as they began: their first packet has decided about translation.
"""

import ipaddress
from collections.abc import Iterable, Iterator

from deuteron.plan.units import FloatingIP, Forwarding

_PROTOCOLS = ("dccp", "sctp", "tcp", "udp")
_WITH_PORTS = f"meta l4proto {{ {', '.join(_PROTOCOLS)} }}"
_KEY = "ipv4_addr . inet_proto . inet_service"
_TO_PORT, _TO_ADDRESS, _FROM_PORT, _FROM_ADDRESS = (
    "forwarded_ports",
    "forwarded_ranges",
    "forwarding_ports",
    "forwarding_ranges",
)


def maps(floating_ips: Iterable[FloatingIP]) -> str:
    """Return the maps of what leads where, and of where answers come from; "" where nothing is forwarded.

    A range that keeps its numbers, or that leads to one port, is one element; another one for each port.
    Raises ValueError when something is not what it should be.
    """
    elements: dict[str, list[str]] = {name: [] for name in (_TO_PORT, _TO_ADDRESS, _FROM_PORT, _FROM_ADDRESS)}
    for floating_ip in floating_ips:
        outside = str(ipaddress.IPv4Address(floating_ip.floating_ip))
        for one in floating_ip.forwardings:
            for name, element in _elements(outside, one):
                elements[name].append(element)
    if not any(elements.values()):
        return ""
    return "".join(_map(name, found) for name, found in elements.items())


def _elements(outside: str, one: Forwarding) -> Iterator[tuple[str, str]]:
    inside, protocol = str(ipaddress.IPv4Address(one.fixed_ip)), one.protocol
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{protocol!r} has no ports to forward")
    (first, last), (to_first, to_last) = one.external, one.internal
    if one.external == one.internal:
        yield _TO_ADDRESS, f"{outside} . {protocol} . {_range(first, last)} : {inside}"
        yield _FROM_ADDRESS, f"{inside} . {protocol} . {_range(first, last)} : {outside}"
    elif to_first == to_last:
        yield _TO_PORT, f"{outside} . {protocol} . {_range(first, last)} : {inside} . {to_first:d}"
        if first == last:
            yield _FROM_PORT, f"{inside} . {protocol} . {to_first:d} : {outside} . {first:d}"
    else:
        for port, to in zip(range(first, last + 1), range(to_first, to_last + 1), strict=True):
            yield _TO_PORT, f"{outside} . {protocol} . {port:d} : {inside} . {to:d}"
            yield _FROM_PORT, f"{inside} . {protocol} . {to:d} : {outside} . {port:d}"


def _range(first: int, last: int) -> str:
    return f"{first:d}" if first == last else f"{first:d}-{last:d}"


def _map(name: str, elements: Iterable[str]) -> str:
    value = "ipv4_addr . inet_service" if name in (_TO_PORT, _FROM_PORT) else "ipv4_addr"
    text = ", ".join(sorted(elements))
    held = f"    elements = {{ {text} }}\n" if text else ""
    return f"  map {name} {{\n    type {_KEY} : {value}\n    flags interval\n{held}  }}\n"


IN = "".join(
    f"    {_WITH_PORTS} dnat ip to ip daddr . meta l4proto . th dport map @{name}\n"
    for name in (_TO_PORT, _TO_ADDRESS)
)
"""Rules for what comes to forwarded ports."""

OUT = "".join(
    f"    {_WITH_PORTS} snat ip to ip saddr . meta l4proto . th sport map @{name}\n"
    for name in (_FROM_PORT, _FROM_ADDRESS)
)
"""Rules for answers in connections of which a router that has just taken over has not seen the beginning."""
