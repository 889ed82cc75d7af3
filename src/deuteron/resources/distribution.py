"""How far a router is distributed just now: a ladder, of which one end is central and the other distributed.

A router that becomes distributed, or central, takes one rung after the other while it is up. What is on a
rung is on all hosts before the next one is taken, so that each host has somebody who answers for the gateways
of its instances, and never two. Everything that depends on it asks here; who climbs is placement.
"""

from enum import IntEnum


class Rung(IntEnum):
    """Where a router is on the way from central to distributed; each keeps what the one before brought."""

    CENTRAL = 0
    """There is only the central part."""
    BUILT = 1
    """Distributed parts are built and mute; the central part is reached by ports of its own, too."""
    ELSEWHERE = 2
    """They are open, but on the host where the central part is active: others still may send to it."""
    OPEN = 3
    """They are open everywhere."""
    READY = 4
    """Floating IPs would be served where their instances are, but the central part answers for them."""
    FLOATING = 5
    """They are answered for there; the central part still serves whoever does not know yet."""
    HANDED_OVER = 6
    """The central part serves only those floating IPs that nobody else can."""
    DISTRIBUTED = 7
    """The central part has left the networks of the instances, but for the ports of its own."""


def has_parts(rung: int) -> bool:
    """Whether there are distributed parts, and ports by which they reach the central one."""
    return rung >= Rung.BUILT


def is_open(rung: int, last: str | None, host: str) -> bool:
    """Whether the distributed part on a host takes part in traffic; `last` is the host that is to be last."""
    return rung >= Rung.OPEN or (rung == Rung.ELSEWHERE and host != last)


def is_central_inside(rung: int) -> bool:
    """Whether the central part has the gateways' addresses on the networks of the instances."""
    return rung <= Rung.HANDED_OVER


def floats_at_hosts(rung: int) -> bool:
    """Whether floating IPs are served where their instances are, if that is possible there."""
    return rung >= Rung.READY


def is_answered_centrally(rung: int) -> bool:
    """Whether the central part answers for all floating IPs; one of the two always does, and never both."""
    return rung <= Rung.READY


def floats_centrally(rung: int) -> bool:
    """Whether the central part serves also those floating IPs that are served where their instances are."""
    return rung <= Rung.FLOATING
