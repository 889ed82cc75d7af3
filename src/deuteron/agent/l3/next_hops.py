"""Next hops: a route may have several, over which the kernel spreads packets by their two addresses. Pure.

Those of one route are one text with commas, sorted: so what is wanted is compared with what the kernel holds.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def joined(hops: Iterable[str]) -> str:
    """Return several next hops as one text."""
    return ",".join(sorted(hops))


def by_destination(routes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return destination -> next hops of (destination, next hop); raises ValueError when one is none."""
    found: dict[str, set[str]] = {}
    for destination, hop in routes:
        found.setdefault(str(ipaddress.ip_network(destination)), set()).add(str(ipaddress.ip_address(hop)))
    return {destination: joined(hops) for destination, hops in found.items()}


def of(item: Mapping[str, Any]) -> str:
    """Return those of a route as `ip -j route show` tells it; "" for none."""
    return joined(hop.get("gateway", "") for hop in item.get("nexthops") or [item])


def replace(destination: str, hops: Sequence[tuple[str, str]], rest: str) -> str:
    """Return the command that makes a route so, whatever it was; `hops` are (next hop, device or "").

    With a device, its subnets need not hold the next hop.
    """
    ways = [f"via {hop}" + (f" dev {device} onlink" if device else "") for hop, device in hops]
    if len(ways) == 1:
        return f"route replace {destination} {ways[0]} {rest}"
    return f"route replace {destination} {rest} {' '.join(f'nexthop {way}' for way in ways)}"


def delete(destination: str, hops: str, rest: str) -> str:
    """Return the command that removes a route."""
    via = f"via {hops} " if hops and "," not in hops else ""
    return f"route delete {destination} {via}{rest}"
