"""Spreading active routers equally over the hosts, when somebody asks for it: one move after the other.

The request is a row. While it runs, the loop looks at how the routers are now, takes the first move that is
left to do, waits for its end, and looks again: a host that dies meanwhile, or another controller that takes
over, disturbs nothing.
"""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deuteron.placement import events, moves, routers, spread
from deuteron.placement.cloud import Cloud, look
from deuteron.resources import router
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, NotFound
from deuteron.resources.hosts import rebalance, router_move
from deuteron.store import Tx


class RebalanceIsRunning(Conflict):
    """`id`."""

    message = "Routers are being rebalanced already (rebalance {id})."


class RebalanceNotFound(NotFound):
    """Nothing more."""

    message = "Nobody has asked for a rebalance."


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A move that is to be made, or was made."""

    router_id: str
    name: str
    source: str | None = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    reason: str
    phase: str = "planned"
    detail: str = ""


class Rebalance(msgspec.Struct, frozen=True, kw_only=True):
    """A request to spread routers; times are Unix times."""

    id: str
    running: bool
    requested: float
    ended: float | None
    outcome: str
    moves: list[Planned]
    """Those made so far, and those that are planned as of now."""


def places_of(
    facts: Mapping[str, routers.Facts], cloud: Cloud, without: Collection[str] = ()
) -> tuple[dict[str, spread.Place], list[str]]:
    """Return where routers are active and could be, and the hosts over which they are to be spread.

    Those that somebody placed by hand stay where they are, and so do those `without` which it has to do.
    """
    hosts = [
        name
        for name, row in sorted(cloud.hosts.items())
        if name in cloud.alive
        and name not in cloud.draining
        and routers.ROLE in row.roles
        and routers.ROLE not in row.disabled
    ]
    places = {}
    for id_, one in facts.items():
        if one.exists and one.active is not None:
            candidates, others = _targets(one, cloud, hosts)
            movable = not one.moving and id_ not in without and one.active in cloud.alive
            places[id_] = (
                spread.Place(one.active, candidates, others) if movable else spread.Place(one.active)
            )
    return places, hosts


def _targets(facts: routers.Facts, cloud: Cloud, hosts: Sequence[str]) -> tuple[list[str], list[str]]:
    able = [
        name
        for name in hosts
        if cloud.able(name, routers.ROLE, facts.attached, facts.modes) and name not in facts.wishes.off
    ]
    if facts.wishes.on and not facts.redundant:
        able = [name for name in able if name in facts.wishes.on]
    candidates = [name for name in facts.candidates if name in able]
    others = [name for name in able if name not in candidates and _as_good(name, facts, cloud)]
    return candidates, others


def _as_good(name: str, facts: routers.Facts, cloud: Cloud) -> bool:
    """Whether a new host is in as good a zone as the candidate that would go for it."""
    last = facts.candidates[-1]
    if last in facts.wishes.on:
        return False
    zone, before = cloud.hosts[name].zone, cloud.hosts[last].zone if last in cloud.hosts else ""
    rest = {cloud.hosts[one].zone for one in facts.candidates[:-1] if one in cloud.hosts}
    return zone == before or (zone not in rest and (not facts.zones or zone in facts.zones))


def ask(call: Call, most: int | None, *, dry_run: bool) -> Rebalance:
    """Ask that routers are spread, with at most so many moves, or only say how. Raises RebalanceIsRunning."""
    now = time.time()
    wanted = plan(call, most)
    if dry_run:
        outcome = "nothing was moved" if wanted else "routers are spread equally"
        return Rebalance(id="", running=False, requested=now, ended=now, outcome=outcome, moves=wanted)
    running = call.tx.execute(select(rebalance.c.id).where(rebalance.c.running)).scalar()
    if running is not None:
        raise RebalanceIsRunning(id=running)
    call.tx.execute(delete(rebalance))
    id_ = str(uuid.uuid4())
    values = {"id": id_, "running": True, "requested": now, "moves_left": most, "outcome": ""}
    call.tx.execute(insert(rebalance).values(values))
    call.tx.changed("rebalance", id_, "create")
    text = f"routers are to be spread equally, moves: {len(wanted)}"
    events.note(call.tx, "rebalance_begun", events.Subject("rebalance", id_), text, data={"most": most})
    return _shown(call, call.tx.execute(select(rebalance)).one(), wanted)


def plan(call: Call, most: int | None) -> list[Planned]:
    """Return the moves that would spread routers as they are now."""
    cloud = look(call.tx, call.settings.agent_down_time, watching_since=0)
    facts = routers.facts_of(call.tx, None)
    found = spread.moves(*places_of(facts, cloud), most)
    table = router.resource.table
    ids = [one.router for one in found]
    named = select(table.c.id, table.c.name).where(table.c.id.in_(ids))
    names = {row.id: row.name for row in call.tx.execute(named)}
    return [
        Planned(
            router_id=one.router,
            name=names[one.router],
            source=one.source,
            target=one.target,
            reason=one.reason,
        )
        for one in found
    ]


def shown(call: Call) -> Rebalance:
    """Return the last request, with what was done and is planned. Raises RebalanceNotFound."""
    row = call.tx.execute(select(rebalance)).first()
    if row is None:
        raise RebalanceNotFound
    return _shown(call, row, plan(call, row.moves_left) if row.running else [])


def _shown(call: Call, row: Any, planned: list[Planned]) -> Rebalance:
    table = router.resource.table
    done = (
        select(router_move, table.c.name)
        .outerjoin(table, table.c.id == router_move.c.router_id)
        .where(router_move.c.purpose == _purpose(row.id))
    )
    made = sorted(call.tx.execute(done), key=lambda one: float(one.steps[0][1]))
    before = [
        Planned(
            router_id=one.router_id,
            name=one.name or "",
            source=one.source,
            target=one.candidates[0],
            reason=one.reason,
            phase=one.phase,
            detail=one.detail,
        )
        for one in made
    ]
    return Rebalance(
        id=row.id,
        running=row.running,
        requested=row.requested,
        ended=row.ended,
        outcome=row.outcome,
        moves=[*before, *planned],
    )


def _purpose(id_: str) -> str:
    return f"rebalance/{id_}"


def due(tx: Tx) -> bool:
    """Whether `act` has something to do: a request runs, and none of its moves does."""
    row = tx.execute(select(rebalance).where(rebalance.c.running)).first()
    return row is not None and not moves.serving(tx, _purpose(row.id))


def act(call: Call, cloud: Cloud) -> str | None:
    """Begin the next move of the request that runs, or end it; return what was done."""
    tx, now = call.tx, time.time()
    row = tx.execute(select(rebalance).where(rebalance.c.running)).first()
    if row is None or moves.serving(tx, _purpose(row.id)):
        return None
    ended = tx.execute(select(router_move).where(router_move.c.purpose == _purpose(row.id))).all()
    failed = [one.router_id for one in ended if one.phase == "failed"]
    # What others move back all the time is not moved on and on.
    often = [id_ for id_, count in Counter(one.router_id for one in ended).items() if count > 1]
    facts = routers.facts_of(tx, None)
    move = spread.next_move(*places_of(facts, cloud, {*failed, *often}), row.moves_left)
    if move is None:
        _end(tx, row, len(ended) - len(failed), len(failed), now)
        return None
    one = facts[move.router]
    hosts = [move.target, *(name for name in one.candidates if name != move.target)]
    hosts = hosts[: len(one.candidates)] if one.redundant else hosts[:1]
    moves.request(tx, move.router, hosts, move.reason, now, _purpose(row.id))
    if row.moves_left is not None:
        tx.execute(update(rebalance).values(moves_left=row.moves_left - 1))
    return f"rebalance: router {move.router}: {move.source} -> {move.target} ({move.reason})"


def _end(tx: Tx, row: Any, done: int, failed: int, now: float) -> None:
    outcome = f"{done} move{'s' * (done != 1)} done" + (f", {failed} failed" if failed else "")
    tx.execute(update(rebalance).values(running=False, ended=now, outcome=outcome))
    tx.changed("rebalance", row.id, "update")
    subject, data = events.Subject("rebalance", row.id), {"done": done, "failed": failed}
    events.note(tx, "rebalance_done", subject, f"routers are spread: {outcome}", data=data)
