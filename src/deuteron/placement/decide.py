"""Which hosts carry something: a pure decision, with its reason.

Sticky: what is on a host that is fit stays there. A host that died is replaced when there is another one, and
kept when there is none, since it may come back. New places go to the zones that are asked for, then to zones
that are not used yet, then to the hosts that carry least. A host that is asked for by hand is taken besides
those that are there, and counts from then on.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A host as far as the decision goes."""

    name: str
    zone: str
    load: int = 0
    """How many of the same kind it carries."""
    leads: int = 0
    """Of how many it is the first in the list."""


class Choice(msgspec.Struct, frozen=True):
    """Which hosts, in order, and why these."""

    hosts: tuple[str, ...]
    reason: str


def choose(
    wanted: int,
    current: Sequence[str],
    fit: Mapping[str, Candidate],
    silent: Collection[str],
    zones: Sequence[str] = (),
    asked: Collection[str] = (),
    disabled: Collection[str] = (),
) -> Choice:
    """Choose up to `wanted` hosts among those that are `fit` (able, and alive), and all that are `asked` for.

    `current` are the hosts now, in order; those of them that are `silent` (dead, but able) are kept if nobody
    replaces them, those that are `disabled` if there is nobody else at all; others that are not fit go. More
    than `wanted` that nobody asked for are cut from the end, the silent ones first.
    """
    stay = [host for host in current if host in fit]
    surplus = [host for host in stay if host not in asked][wanted:]
    stay = [host for host in stay if host not in surplus]
    new = sorted(host for host in asked if host in fit and host not in stay)
    new += _pick(wanted - len(stay) - len(new), stay + new, fit, zones)
    last = [] if stay or new else [host for host in current if host in disabled]
    silenced = [host for host in current if host not in fit and host in silent]
    gone = [host for host in current if host not in fit and host not in silent and host not in last]
    waiting = silenced[: max(0, wanted - len(stay) - len(new) - len(last))]
    kept = waiting + last
    hosts = [host for host in current if host in stay or host in kept] + new
    if not current and hosts:
        first = min(hosts, key=lambda host: (fit[host].leads, hosts.index(host)))
        hosts = [first, *(host for host in hosts if host != first)]
    elif hosts and hosts[0] not in fit and stay + new + last:
        first = (stay + new + last)[0]
        hosts = [first, *(host for host in hosts if host != first)]
    changes = {
        "silent": [host for host in silenced if host not in kept],
        "not able or not wanted there": gone,
        f"more than {wanted}": surplus,
        "asked for": [host for host in new if host in asked],
        "carrying least": [host for host in new if host not in asked],
        "silent, but there is nobody instead": waiting,
        "disabled, but there is nobody instead": last,
    }
    return Choice(tuple(hosts), _reason(current, hosts, changes))


def _pick(count: int, stay: Sequence[str], fit: Mapping[str, Candidate], zones: Sequence[str]) -> list[str]:
    used = [fit[host].zone for host in stay]
    left = [candidate for name, candidate in sorted(fit.items()) if name not in stay]
    picked: list[str] = []
    while left and len(picked) < count:
        best = min(
            left, key=lambda c: (bool(zones) and c.zone not in zones, used.count(c.zone), c.load, c.leads)
        )
        left.remove(best)
        used.append(best.zone)
        picked.append(best.name)
    return picked


def _reason(current: Sequence[str], hosts: Sequence[str], changes: Mapping[str, Sequence[str]]) -> str:
    parts = [f"{what}: {', '.join(names)}" for what, names in changes.items() if names]
    if not hosts:
        parts.append("there is no host for it")
    elif list(current) == list(hosts) and not parts:
        parts.append("as it is")
    return "; ".join(parts or ["in another order"])
