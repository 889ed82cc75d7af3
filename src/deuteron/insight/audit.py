"""What breaks when hosts stop: pure, asked before somebody pulls a plug.

Each finding says what it is about, why it is so and what would help. BROKEN: traffic or DHCP stops. DEGRADED:
it goes on, but the next failure would hurt. OK: it goes on, and is still redundant. NOTE: a fact.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import msgspec

from deuteron.insight import health
from deuteron.insight.picture import Network, Picture, Router, look
from deuteron.resources.call import Call
from deuteron.resources.hosts import HostNotFound
from deuteron.resources.types import shown

Verdict = Literal["OK", "NOTE", "DEGRADED", "BROKEN"]
VERDICTS: tuple[Verdict, ...] = ("BROKEN", "DEGRADED", "NOTE", "OK")
TAKEOVER = "within about 0.1 s, open connections survive"
_NAMED = 3


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of some routers, networks or instances, all for the same reason."""

    level: Verdict
    kind: Literal["host", "router", "network", "instances"]
    what: str
    """In words; all of it is in `names`."""
    why: str
    fix: str = ""
    names: list[str]
    ids: list[str]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of everything when these hosts stop, the worst first."""

    hosts: list[str]
    ok: bool
    """Whether nothing breaks."""
    findings: list[Finding]


class _Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one thing. What helps is `fix`, or to drain the hosts that it is to `leave`."""

    level: Verdict
    why: str
    fix: str = ""
    leave: Sequence[str] = ()


def of_hosts(call: Call, names: Collection[str]) -> Audit:
    """Return what becomes of everything when hosts stop. Raises HostNotFound."""
    picture = look(call)
    for name in names:
        if name not in picture.hosts:
            raise HostNotFound(host=shown(name), known=", ".join(picture.hosts) or "none")
    return audit(picture, names)


def audit(picture: Picture, stopping: Collection[str]) -> Audit:
    """Return what becomes of everything when hosts, all of them known, stop."""
    hosts = sorted(set(stopping))
    found = [*_silent(picture, hosts), *_routers(picture, hosts), *_networks(picture, hosts)]
    found += _instances(picture, hosts)
    found.sort(key=lambda one: (VERDICTS.index(one.level), one.kind, one.names))
    return Audit(hosts=hosts, ok=all(one.level != "BROKEN" for one in found), findings=found)


def _silent(picture: Picture, hosts: Sequence[str]) -> Iterator[Finding]:
    names = [name for name in hosts if not picture.hosts[name].alive]
    if names:
        why = "silent: the server takes it for dead already"
        yield Finding(level="NOTE", kind="host", what=", ".join(names), why=why, names=names, ids=names)


def _instances(picture: Picture, hosts: Sequence[str]) -> Iterator[Finding]:
    counts = {name: picture.instance_ports.get(name, 0) for name in hosts}
    names = [name for name in hosts if counts[name]]
    if names:
        total = sum(counts.values())
        yield Finding(
            level="NOTE",
            kind="instances",
            what="1 port of an instance" if total == 1 else f"{total} ports of instances",
            why=f"bound to {_listed(names)}: they stop with their host",
            names=names,
            ids=names,
        )


def _routers(picture: Picture, hosts: Sequence[str]) -> list[Finding]:
    concerned = [
        router
        for router in picture.routers
        if router.up and any(one.host in hosts for one in router.candidates)
    ]
    return _together("router", [(one, _router(picture, one, hosts)) for one in concerned])


def _router(picture: Picture, router: Router, hosts: Sequence[str]) -> _Effect:
    if router.moving_to is not None:
        why = f"on the way to {router.moving_to}"
        return _Effect(level="DEGRADED", why=why, fix="ask again when it has arrived")
    if not router.ha:
        return _single(picture, router, hosts)
    left = [name for name in health.standbys(picture, router) if name not in hosts]
    active = next((one for one in router.candidates if one.host == router.active), None)
    stays = active is not None and active.host not in hosts and not health.troubled(picture, router, active)
    if not stays and not left:
        return _nobody_left(picture, router, hosts)
    spare = _spares(picture, router, hosts)
    remaining = ([active.host] if stays and active else []) + left
    text = f"stays on {remaining[0]}" if stays else f"moves to {remaining[0]} {TAKEOVER}"
    if len(remaining) > 1:
        return _Effect(level="OK", why=f"{text}; standing by: {_listed(remaining[1:])}")
    leave = _carried(router, hosts) if spare else ()
    return _Effect(level="DEGRADED", why=f"{text}; no standby is left", leave=leave)


def _single(picture: Picture, router: Router, hosts: Sequence[str]) -> _Effect:
    where = _listed([one.host for one in router.candidates if one.host in hosts])
    spare = _spares(picture, router, hosts)
    why = f"not redundant, only on {where}"
    if not spare:
        fix = "give another host the role l3 and the same physical networks"
        return _Effect(level="BROKEN", why=f"{why}, and no other host can carry it", fix=fix)
    after = f"{why}: down for about {picture.down_after:.0f} s until {spare[0]} has it, connections break"
    name = router.name or router.id
    fix = f"deuteron move {name} {spare[0]}, or for good: openstack router set --ha {name}"
    return _Effect(level="BROKEN", why=after, fix=fix, leave=_carried(router, hosts))


def _nobody_left(picture: Picture, router: Router, hosts: Sequence[str]) -> _Effect:
    others = [one for one in router.candidates if one.host not in hosts and one.host != router.active]
    reasons = [found.text for one in others if (found := health.unfit(picture, router, one))]
    why = "no other host carries it" if not others else "no standby could take over: " + "; ".join(reasons)
    spare = _spares(picture, router, hosts)
    if router.active is None or not picture.hosts[router.active].alive:
        return _Effect(level="BROKEN", why=f"down already; {why}", fix=f"bring {_listed(hosts)} back")
    if spare:
        fix = f"deuteron move {router.name or router.id} {spare[0]}"
        return _Effect(level="BROKEN", why=why, fix=fix, leave=_carried(router, hosts))
    fix = f"bring {_listed([one.host for one in others])} back first" if others else "add a second host"
    return _Effect(level="BROKEN", why=why, fix=fix)


def _carried(router: Router, hosts: Sequence[str]) -> list[str]:
    return [one.host for one in router.candidates if one.host in hosts]


def _spares(picture: Picture, router: Router, hosts: Sequence[str]) -> list[str]:
    """Return the hosts that live, do not carry a router well, and could."""
    carrying = {one.host for one in router.candidates if not health.troubled(picture, router, one)}
    able = picture.able("l3", router.attached, router.modes)
    return sorted(one.name for one in able if one.alive and one.name not in {*carrying, *hosts})


def _networks(picture: Picture, hosts: Sequence[str]) -> list[Finding]:
    concerned = [one for one in picture.networks if any(name in hosts for name in one.servers)]
    return _together("network", [(one, _network(picture, one, hosts)) for one in concerned])


def _network(picture: Picture, network: Network, hosts: Sequence[str]) -> _Effect:
    left = [name for name in health.of_network(picture, network).standby if name not in hosts]
    able = picture.able_to_serve(network)
    spare = [one.name for one in able if one.alive and one.name not in {*left, *hosts}]
    soon = f"about {picture.down_after:.0f} s"
    if len(left) > 1:
        return _Effect(level="OK", why=f"DHCP goes on from {_listed(left)}")
    leave = [name for name in network.servers if name in hosts] if spare else []
    if left:
        until = f"for {soon}, then also from another host" if spare else "alone, no other host can serve it"
        return _Effect(level="DEGRADED", why=f"DHCP from {left[0]} {until}", leave=leave)
    if spare:
        why = f"no DHCP for {soon}, until {min(spare)} serves it; leases that are given go on"
        return _Effect(level="BROKEN", why=why, leave=leave)
    fix = "give another host the role dhcp"
    return _Effect(level="BROKEN", why="no DHCP: no other host can serve it", fix=fix)


def _together(
    kind: Literal["router", "network"], effects: Sequence[tuple[Router | Network, _Effect]]
) -> list[Finding]:
    """Return one finding for all that the same happens to."""
    same: dict[tuple[Verdict, str], list[tuple[Router | Network, _Effect]]] = defaultdict(list)
    for one, effect in effects:
        same[effect.level, effect.why].append((one, effect))
    return [_finding(kind, level, why, those) for (level, why), those in same.items()]


def _finding(
    kind: Literal["router", "network"],
    level: Verdict,
    why: str,
    those: Sequence[tuple[Router | Network, _Effect]],
) -> Finding:
    names = [one.label for one, _ in those]
    many = f"{len(names)} {kind}s: {_listed(names)}"
    return Finding(
        level=level,
        kind=kind,
        what=many if len(names) > 1 else f"{kind} {names[0]}",
        why=why,
        fix=_fix([effect for _, effect in those]),
        names=names,
        ids=[one.id for one, _ in those],
    )


def _fix(effects: Sequence[_Effect]) -> str:
    """Return what helps: for one thing what is said for it, for several to leave the hosts."""
    leave = sorted({name for one in effects for name in one.leave})
    drains = "; ".join(f"deuteron drain {name}" for name in leave)
    return effects[0].fix or drains if len(effects) == 1 else drains or effects[0].fix


def _listed(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
