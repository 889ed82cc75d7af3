"""Which hosts carry something: a pure decision, with its reason.

Sticky: what is on a host that is fit stays there. A host that died is replaced when there is another one, and
kept when there is none, since it may come back. New places go to the zones that are asked for, then to zones
and segments that are not used yet, then to the hosts that carry least. A host that is asked for by hand is
taken besides those that are there, and counts from then on.
"""

from collections.abc import Collection, Mapping, Sequence

import msgspec


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A host as far as the decision goes."""

    name: str
    zone: str
    segment: str = ""
    """Where it is within a network that is switched together of several segments."""
    load: int = 0
    """How many of the same kind it carries."""
    leads: int = 0
    """Of how many it is the active one."""


class Unfit(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts that carry it now, are not fit, and are not simply to be left."""

    silent: Collection[str] = ()
    """Dead: kept if nobody replaces them."""
    awaited: Mapping[str, Candidate] = {}
    """Dead, but not for long: nobody replaces them yet, as long as another one is fit."""
    leaving: Collection[str] = ()
    """To be emptied: kept if nobody replaces them, but not as the first one."""
    disabled: Collection[str] = ()
    """Taken out of use: kept if there is nobody else at all."""


class Choice(msgspec.Struct, frozen=True):
    """Which hosts, in order, and why these."""

    hosts: tuple[str, ...]
    reason: str


def choose(
    wanted: int,
    current: Sequence[str],
    fit: Mapping[str, Candidate],
    unfit: Unfit | None = None,
    zones: Sequence[str] = (),
    asked: Collection[str] = (),
) -> Choice:
    """Choose up to `wanted` hosts among those that are `fit` (able, and alive), and all that are `asked` for.

    `current` are the hosts now, in order, the active one first. Those that are fit come first; of others,
    `unfit` says what becomes of them, and those that it does not name go. More than `wanted` that nobody
    asked for are cut from the end, the dead ones first.
    """
    unfit = unfit or Unfit()
    alive = [host for host in current if host in fit]
    dead = [host for host in current if host in unfit.awaited and host not in fit] if alive else []
    surplus = [host for host in alive + dead if host not in asked][wanted:]
    stay = [host for host in alive if host not in surplus]
    awaited = [host for host in dead if host not in surplus]
    new = sorted(host for host in asked if host in fit and host not in stay)
    taken = stay + awaited + new
    new += _pick(wanted - len(taken), taken, {**unfit.awaited, **fit}, fit, zones)
    kept = _kept(wanted - len(stay + awaited + new), not (stay or new), current, fit, unfit)
    hosts = [*stay, *new, *kept["leaving"], *kept["disabled"], *awaited, *kept["silent"]]
    if not current and hosts:
        first = min(hosts, key=lambda host: (fit[host].leads, hosts.index(host)))
        hosts = [first, *(host for host in hosts if host != first)]
    changes = {
        **_left([host for host in current if host not in hosts and host not in surplus], unfit),
        f"more than {wanted}": surplus,
        "asked for": [host for host in new if host in asked],
        "carrying least": [host for host in new if host not in asked],
        "silent, but not for long": awaited,
        "silent, but there is nobody instead": kept["silent"],
        "leaving, but there is nobody instead": kept["leaving"],
        "disabled, but there is nobody instead": kept["disabled"],
    }
    return Choice(tuple(hosts), _reason(current, hosts, changes))


def _left(hosts: Sequence[str], unfit: Unfit) -> dict[str, list[str]]:
    """Return hosts that are left, by the reason why."""
    silent = [host for host in hosts if host in unfit.silent]
    leaving = [host for host in hosts if host in unfit.leaving and host not in silent]
    others = [host for host in hosts if host not in silent and host not in leaving]
    return {"silent": silent, "leaving": leaving, "not able or not wanted there": others}


def _kept(
    room: int, nobody: bool, current: Sequence[str], fit: Collection[str], unfit: Unfit
) -> dict[str, list[str]]:
    """Return which of the hosts that are not fit are kept for want of others, by why they are not fit."""
    rest = [host for host in current if host not in fit]
    leaving = [host for host in rest if host in unfit.leaving and host not in unfit.silent][: max(0, room)]
    disabled = [host for host in rest if host in unfit.disabled and host not in leaving] if nobody else []
    known = {*leaving, *disabled, *(() if nobody else unfit.awaited)}
    silent = [host for host in rest if host in unfit.silent and host not in known]
    return {
        "leaving": leaving,
        "disabled": disabled,
        "silent": silent[: max(0, room - len(leaving) - len(disabled))],
    }


def _pick(
    count: int,
    taken: Sequence[str],
    known: Mapping[str, Candidate],
    fit: Mapping[str, Candidate],
    zones: Sequence[str],
) -> list[str]:
    zones_used = [known[host].zone for host in taken]
    segments_used = [known[host].segment for host in taken]
    left = [candidate for name, candidate in sorted(fit.items()) if name not in taken]
    picked: list[str] = []
    while left and len(picked) < count:
        best = min(
            left,
            key=lambda c: (
                bool(zones) and c.zone not in zones,
                zones_used.count(c.zone),
                segments_used.count(c.segment),
                c.load,
                c.leads,
            ),
        )
        left.remove(best)
        zones_used.append(best.zone)
        segments_used.append(best.segment)
        picked.append(best.name)
    return picked


def _reason(current: Sequence[str], hosts: Sequence[str], changes: Mapping[str, Sequence[str]]) -> str:
    parts = [f"{what}: {', '.join(names)}" for what, names in changes.items() if names]
    if not hosts:
        parts.append("there is no host for it")
    elif list(current) == list(hosts) and not parts:
        parts.append("as it is")
    return "; ".join(parts or ["in another order"])
