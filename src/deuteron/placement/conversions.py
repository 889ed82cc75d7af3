"""A router becomes redundant or plain, distributed or central, while it is up: the machine that does it.

Whether it is redundant is a matter of its candidates: placement moves it, see deuteron.placement.moves. On
the way from central to distributed, or back, it takes one rung of a ladder after the other
(deuteron.resources.distribution), and each only when all hosts concerned have followed the one before. The
two take turns: first the candidates, then the rungs, since no candidate changes in between.

A rung that hosts do not follow in time leads back to where it came from, and on the way back nobody is waited
for longer than that. A controller that dies in between is followed by another one, which finds the rung and
goes on.
"""

import time
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from sqlalchemy import delete, insert, select, update

from deuteron.placement import events, moves, routers
from deuteron.placement.cloud import Cloud, load_of
from deuteron.resources import conversion, router, router_mode, rows, snat_ports
from deuteron.resources.call import Call
from deuteron.resources.conversion import router_conversion, router_part
from deuteron.resources.distribution import Rung
from deuteron.settings import ServerSettings
from deuteron.store import Tx

PATIENCE = 30.0
"""Seconds that a rung may wait for hosts."""
PLACE_PATIENCE = 90.0
"""Seconds that the candidates may take to be what they should be."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the next step of a conversion depends on."""

    rung: int
    distributed: bool
    """What it is to become."""
    age: float
    """Seconds on this rung."""
    placed: bool
    """Whether its candidates are what they should be."""
    awaited: frozenset[str] = frozenset()
    """Living hosts that have not followed this rung."""
    returns: bool = False

    @property
    def goal(self) -> Rung:
        """The rung on which it ends."""
        return Rung.DISTRIBUTED if self.distributed else Rung.CENTRAL


class Step(msgspec.Struct, frozen=True):
    """What is done next, and why: take a rung, turn back, or end."""

    does: Literal["climb", "return", "done", "failed"]
    rung: int
    reason: str


def next_step(facts: Facts) -> Step | None:
    """Return the step to take now; None to wait."""
    if facts.awaited and facts.age <= PATIENCE:
        return None
    if facts.awaited and not facts.returns:
        late = ", ".join(sorted(facts.awaited))
        return Step("return", facts.rung, f"{late} did not follow within {PATIENCE:.0f} s")
    if facts.rung in (Rung.CENTRAL, Rung.DISTRIBUTED) and not facts.placed:
        if facts.age <= PLACE_PATIENCE:
            return None
        late = f"its hosts were not ready within {PLACE_PATIENCE:.0f} s"
        if not facts.returns:
            return Step("return", facts.rung, late)
        if facts.rung == facts.goal:
            return Step("failed", facts.rung, late)
    if facts.rung == facts.goal:
        return Step("failed" if facts.returns else "done", facts.rung, _ENDED[facts.goal])
    up = facts.rung < facts.goal
    rung = Rung(facts.rung + 1 if up else facts.rung - 1)
    return Step("climb", rung, (_UP if up else _DOWN)[rung])


_UP = {
    Rung.BUILT: "distributed parts are built on all hosts of its networks, mute",
    Rung.ELSEWHERE: "they open, but where the central part is active",
    Rung.OPEN: "the last of them opens",
    Rung.READY: "floating IPs appear where their instances are, mute",
    Rung.FLOATING: "they are answered for there, and no more by the central part",
    Rung.HANDED_OVER: "floating IPs leave the central part",
    Rung.DISTRIBUTED: "the central part leaves the networks of the instances",
}
_DOWN = {
    Rung.HANDED_OVER: "the central part joins the networks of the instances",
    Rung.FLOATING: "floating IPs appear in the central part, mute",
    Rung.READY: "they are answered for there, and no more where their instances are",
    Rung.OPEN: "floating IPs leave the hosts of their instances",
    Rung.ELSEWHERE: "the distributed part closes where the central part is active",
    Rung.BUILT: "the other distributed parts close",
    Rung.CENTRAL: "distributed parts are removed",
}
_ENDED = {Rung.CENTRAL: "it is central", Rung.DISTRIBUTED: "it is distributed"}


def steps(before: conversion.Mode, after: conversion.Mode) -> list[str]:
    """Return in words what a conversion does, in order."""
    (was_redundant, was_distributed), (redundant, distributed) = (
        conversion.MODES[before],
        conversion.MODES[after],
    )
    found = []
    if redundant != was_redundant:
        found.append(
            "the central part is built on other hosts, which then stand by"
            if redundant
            else "the central part stays where it is active, alone"
        )
    if distributed and not was_distributed:
        found.insert(0, "the central part moves to hosts of agent_mode dvr_snat, if it is on others")
        found += [_UP[rung] for rung in sorted(_UP)]
    if was_distributed and not distributed:
        found += [_DOWN[rung] for rung in sorted(_DOWN, reverse=True)]
    return found


def all_running(tx: Tx) -> list[Any]:
    """Return all conversions under way."""
    return list(tx.execute(select(router_conversion).where(router_conversion.c.running.is_not(None))))


def due(tx: Tx, cloud: Cloud, settings: ServerSettings) -> tuple[list[str], bool]:
    """Return the conversions that can take a step, and whether any are under way."""
    running, now = all_running(tx), time.time()
    seen = {one.id: facts_of(tx, one, cloud, settings, now) for one in running}
    return [id_ for id_, facts in seen.items() if facts is None or next_step(facts)], bool(running)


def facts_of(tx: Tx, running: Any, cloud: Cloud, settings: ServerSettings, now: float) -> Facts | None:
    """Return what the next step depends on; None if the router is gone."""
    c = router.resource.table.c
    row = tx.execute(select(c.rung, c.distributed).where(c.id == running.router_id)).first()
    if row is None:
        return None
    parts = router_part.c
    late = select(parts.host).where(parts.router_id == running.router_id, parts.applied < parts.version)
    return Facts(
        rung=row.rung,
        distributed=row.distributed,
        age=now - running.phase_since,
        placed=_placed(tx, running.router_id, cloud, settings),
        awaited=frozenset(tx.execute(late).scalars()) - cloud.silent,
        returns=running.returns,
    )


def _placed(tx: Tx, router_id: str, cloud: Cloud, settings: ServerSettings) -> bool:
    facts = routers.facts_of(tx, [router_id])[router_id]
    living = set(facts.candidates) - cloud.silent
    if facts.moving or not facts.built.issuperset(living):
        return False
    return routers.settled(facts, cloud, load_of(tx, routers.ROLE), settings.max_l3_agents_per_router)


def advance(call: Call, cloud: Cloud, id_: str) -> Step | None:
    """Take the next step of a conversion, if it is time for it; return the step taken."""
    mine = (router_conversion.c.id == id_, router_conversion.c.running.is_not(None))
    running = call.tx.execute(select(router_conversion).where(*mine)).first()
    if running is None:
        return None
    facts = facts_of(call.tx, running, cloud, call.settings, time.time())
    step = next_step(facts) if facts else Step("failed", Rung.CENTRAL, "the router is gone")
    if step is not None:
        _take(call, running, step)
    return step


def _take(call: Call, running: Any, step: Step) -> None:
    tx, now = call.tx, time.time()
    phase = Rung(step.rung).name.lower() if step.does == "climb" else step.does
    values: dict[str, Any] = {
        "phase": phase,
        "phase_since": now,
        "steps": [*running.steps, [phase, now, step.reason]],
        "detail": step.reason,
    }
    if step.does == "climb":
        _climb(call, running.router_id, Rung(step.rung))
    elif step.does == "return":
        _return(call, running)
        values["returns"] = True
    else:
        values["running"] = None
        _ask(tx, running.router_id, ())
        if step.does == "failed":
            values["detail"] = next((why for what, _, why in running.steps if what == "return"), step.reason)
    tx.execute(update(router_conversion).where(router_conversion.c.id == running.id).values(values))
    tx.changed("router_conversion", running.id, "update")
    _tell(tx, running, step, values["detail"], now)


def _tell(tx: Tx, running: Any, step: Step, detail: str, now: float) -> None:
    seconds, data = now - running.steps[0][1], {"from": running.from_mode, "to": running.to_mode}
    if step.does == "done":
        text = f"became {running.to_mode} in {seconds:.1f} s; it was {running.from_mode}"
        events.note(tx, "converted", events.of_router(tx, running.router_id), text, data=data)
    elif step.does == "failed":
        text = f"stays {running.from_mode}, and does not become {running.to_mode}: {detail}"
        events.note(tx, "conversion_failed", events.of_router(tx, running.router_id), text, data=data)


def _climb(call: Call, router_id: str, rung: Rung) -> None:
    """Put a router on a rung, and ask the hosts concerned to follow."""
    tx, table = call.tx, router.resource.table
    row = rows.get(call, router.resource, router_id, lock=True)
    values: dict[str, Any] = {"rung": int(rung)}
    if rung == Rung.ELSEWHERE:
        values["rung_host"] = moves.active_host(tx, router_id) or ""
    tx.execute(update(table).where(table.c.id == router_id).values(values))
    tx.changed("router", router_id, "update")
    snat_ports.settle(call, {**row, **values})
    carrying = {candidate.host for candidate in routers.candidates(tx, router_id)}
    _ask(tx, router_id, carrying | router_mode.serving(tx, router_id))


def _ask(tx: Tx, router_id: str, names: Iterable[str]) -> None:
    mine = router_part.c.router_id == router_id
    before = {row.host: row.version for row in tx.execute(select(router_part).where(mine))}
    version = max(before.values(), default=0) + 1
    tx.execute(delete(router_part).where(mine))
    for name in before:
        tx.changed("router_part", f"{router_id}/{name}", "delete")
    for name in sorted(names):
        values = {"router_id": router_id, "host": name, "version": version, "applied": 0}
        tx.execute(insert(router_part).values(values))
        tx.changed("router_part", f"{router_id}/{name}", "update")


def _return(call: Call, running: Any) -> None:
    """Say that a router is to be what it was."""
    redundant, distributed = conversion.MODES[running.from_mode]
    row = rows.get(call, router.resource, running.router_id, lock=True)
    router_mode.become(call, router.resource, row, ha=redundant, distributed=distributed)
