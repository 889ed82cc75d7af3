"""A router's way to other candidates without a lost packet: a small machine that lives in the database.

No election is ever asked to change: the router goes over to another one, which has the wanted host active.
The same machine changes who stands by, and makes a router redundant or plain: then target and source are the
same, and that one's gate is open all the time.

    requested -> build     twins on the new candidates, closed, which are told the open connections; the
                           election that has the target active
    build     -> drain     the host that is left goes on forwarding with another source address
    drain     -> switch    all others follow the new election: the target opens and announces itself
    switch    -> overlap   both forward, until all that was on its way has arrived
    overlap   -> close     the host that was left closes, or goes; so do those who stood by and shall not
    close     -> done      whoever is no candidate any more has gone

Each step waits until the agents concerned have acknowledged the one before. One that is not acknowledged in
time, or before the target dies, leads back to what was before (`failed`), as long as the source is still
open; from then on only forward.
An election that nobody rides on any more ends on each host when that one learns of it, and whoever is left in
it for a moment is active: so gates that it could open are closed before, and it ends after the move.
Steps that have no meaning (nobody to drain, target and source the same) are left out. A controller that dies
in between is followed by another one, which finds the phase and goes on.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deuteron.placement import elections, events, ha
from deuteron.placement.cloud import Cloud
from deuteron.resources import router, rows
from deuteron.resources.call import Call
from deuteron.resources.hosts import candidate_changed, election, router_candidate, router_move
from deuteron.store import Tx

OVERLAP_SECONDS = 0.1
PATIENCE: Mapping[str, float] = {"build": 30, "drain": 5, "switch": 20, "close": 10}
"""Seconds that a phase may wait for agents."""
_TOLD: Mapping[str, events.Kind] = {"build": "move_begun", "done": "move_done", "failed": "move_failed"}
KEPT_SECONDS = 30 * 86400.0
"""Moves that ended are told of so long."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the next step of a move depends on."""

    phase: str
    age: float
    """Seconds in this phase."""
    source: str | None
    target: str
    acknowledged: frozenset[str]
    """Candidates that have applied what was asked of them last."""
    silent: frozenset[str]
    ready: bool
    """Whether the target is active in the election that the router goes to, or none is needed."""
    source_there: bool = True
    """Whether the source is a candidate still."""
    unwanted: frozenset[str] = frozenset()
    """Candidates, besides the source, that are not to be any."""
    copied: bool = True
    """Whether the target was told the open connections, if anybody is there to tell them: without them the
    first answers that reach it belong to nobody."""


class Step(msgspec.Struct, frozen=True):
    """A phase to enter, and why."""

    phase: str
    reason: str


def next_step(facts: Facts) -> Step | None:
    """Return the step to take now; None to wait."""
    dead = facts.target in facts.silent and facts.phase != "close"
    over = dead or facts.age > PATIENCE.get(facts.phase, 0)
    when = f"before {facts.target} died" if dead else "in time"
    leaving = facts.source is not None and facts.source != facts.target and facts.source_there
    built = facts.target in facts.acknowledged
    match facts.phase:
        case "requested":
            return Step("build", f"{facts.target} is to take over")
        case "build" if built and facts.ready and facts.copied and not dead:
            if leaving and facts.source not in facts.silent:
                return Step("drain", f"{facts.target} is ready")
            return Step("switch", f"{facts.target} is ready, and there is nobody to drain")
        case "build" if over:
            lacks = "built" if not built else "active" if not facts.ready else "told all connections"
            return Step("failed", f"{facts.target} was not {lacks if not dead else 'open'} {when}")
        case "drain" if not dead and facts.source in facts.acknowledged | facts.silent:
            return Step("switch", f"{facts.source} is draining")
        case "drain" if over:
            return Step("failed", f"{facts.source} did not begin to drain {when}")
        case "switch" if built:
            after = "overlap" if leaving else "close" if facts.unwanted else "done"
            return Step(after, f"{facts.target} is open")
        case "switch" if over:
            return Step("failed", f"{facts.target} did not open {when}")
        case "overlap" if facts.age >= OVERLAP_SECONDS:
            return Step("close", f"both were open for {facts.age * 1000:.0f} ms")
        case "close" if not _late(facts):
            return Step("done", f"{facts.target} alone is open")
        case "close" if over:
            return Step("done", f"{' and '.join(sorted(_late(facts)))} did not say in time to be closed")
    return None


def _late(facts: Facts) -> frozenset[str]:
    """Return who has not said yet that it is closed; a host that is silent never may."""
    closing = facts.unwanted - facts.silent
    if facts.source is not None and facts.source != facts.target and facts.source_there:
        closing |= {facts.source}
    return closing - facts.acknowledged


def running(tx: Tx, router_id: str) -> Any:
    """Return the move of a router that is under way, or None."""
    return tx.execute(select(router_move).where(router_move.c.running == router_id)).first()


def ended(tx: Tx, move_id: str) -> tuple[str, str, str]:
    """Return the router of a move, how it ended ("done", "failed"), and its target; "" if it has not."""
    row = tx.execute(select(router_move).where(router_move.c.id == move_id)).first()
    if row is None or row.running is not None:
        return "", "", ""
    return row.router_id, row.phase, row.candidates[0]


def all_running(tx: Tx) -> list[Any]:
    """Return all moves under way."""
    return list(tx.execute(select(router_move).where(router_move.c.running.is_not(None))))


def serving(tx: Tx, purpose: str) -> bool:
    """Whether a move with a purpose is under way."""
    mine = (router_move.c.purpose == purpose, router_move.c.running.is_not(None))
    return tx.execute(select(router_move.c.id).where(*mine).limit(1)).first() is not None


def request(
    tx: Tx, router_id: str, candidates: Sequence[str], reason: str, now: float, purpose: str = ""
) -> str:
    """Ask that a router goes to other candidates, the first one to be active; return the move's id.

    `purpose` is what the move is a part of, see `router_move`.
    """
    old = (router_move.c.running.is_(None), router_move.c.phase_since < now - KEPT_SECONDS)
    tx.execute(delete(router_move).where(router_move.c.router_id == router_id, *old))
    id_ = str(uuid.uuid4())
    values: dict[str, Any] = {
        "id": id_,
        "router_id": router_id,
        "running": router_id,
        "source": active_host(tx, router_id),
        "candidates": list(candidates),
        "previous": {},
        "phase": "requested",
        "phase_since": now,
        "steps": [["requested", now, reason]],
        "reason": reason,
        "detail": "",
        "purpose": purpose,
    }
    tx.execute(insert(router_move).values(values))
    tx.changed("router_move", id_, "create")
    return id_


def active_host(tx: Tx, router_id: str) -> str | None:
    """Return the host on which a router is active; None if nobody said so yet."""
    candidates = list(_candidates(tx, router_id).values())
    riding = {row.election_id for row in candidates if row.election_id}
    found = tx.execute(select(election.c.id, election.c.active).where(election.c.id.in_(riding)))
    return active_of(candidates, {row.id: row.active for row in found})


def active_of(candidates: Sequence[Any], active: Mapping[str, str | None]) -> str | None:
    """Return the host of the candidate that is open; of two, the one that is not leaving.

    `active` are the active hosts of the elections.
    """
    for row in sorted(candidates, key=lambda one: (one.draining, one.position)):
        if row.gate == "open" or (row.gate == "election" and active.get(row.election_id) == row.host):
            return str(row.host)
    return None


def facts_of(tx: Tx, move: Any, cloud: Cloud, now: float) -> Facts:
    """Return what the next step of a move depends on."""
    candidates = _candidates(tx, move.router_id)
    target = move.candidates[0]
    active = tx.execute(select(election.c.active).where(election.c.id == move.election_id)).scalar()
    return Facts(
        phase=move.phase,
        age=now - move.phase_since,
        source=move.source,
        target=target,
        acknowledged=frozenset(host for host, row in candidates.items() if row.applied >= row.version),
        silent=cloud.silent,
        ready=move.election_id is None or active == target,
        source_there=move.source in candidates,
        unwanted=frozenset(candidates) - {move.source, *move.candidates},
        copied=move.source in (None, *cloud.silent)
        or not (target in candidates and candidates[target].copying),
    )


def advance(call: Call, cloud: Cloud, move_id: str) -> Step | None:
    """Take the next step of a move, if it is time for it; return the step taken."""
    move = _running(call.tx, move_id)
    step = next_step(facts_of(call.tx, move, cloud, time.time())) if move else None
    return _take(call, move, step) if step else None


def fail(call: Call, move_id: str, reason: str) -> Step | None:
    """End a move that cannot go on: go back to what was before."""
    move = _running(call.tx, move_id)
    return _take(call, move, Step("failed", reason)) if move else None


def _running(tx: Tx, move_id: str) -> Any:
    mine = (router_move.c.id == move_id, router_move.c.running.is_not(None))
    return tx.execute(select(router_move).where(*mine)).first()


def _take(call: Call, move: Any, step: Step) -> Step:
    now = time.time()
    values: dict[str, Any] = {
        "phase": step.phase,
        "phase_since": now,
        "steps": [*move.steps, [step.phase, now, step.reason]],
    }
    values.update(_enter(call, move, step, now))
    call.tx.execute(update(router_move).where(router_move.c.id == move.id).values(values))
    call.tx.changed("router_move", move.id, "update")
    if step.phase in _TOLD:
        _tell(call.tx, move, values.get("source", move.source), step, now)
    return step


def _tell(tx: Tx, move: Any, source: str | None, step: Step, now: float) -> None:
    """Write an event about a move that begins or ends."""
    target, seconds = move.candidates[0], now - move.steps[0][1]
    on_the_way = f"from {source or 'nowhere'} to {target}"
    if source == target:
        on_the_way = f"to be on {', '.join(move.candidates)}, active on {target} all the time"
    text = {
        "build": f"goes {on_the_way}: {move.reason}",
        "done": f"went {on_the_way} in {seconds:.1f} s: {move.reason}",
        "failed": f"stays on {source or 'no host'}: {step.reason}",
    }[step.phase]
    data = {
        "move": move.id,
        "from": source,
        "to": target,
        "candidates": move.candidates,
        "purpose": move.purpose,
        "seconds": round(seconds, 3),
    }
    events.note(tx, _TOLD[step.phase], events.of_router(tx, move.router_id), text, host=target, data=data)


def _enter(call: Call, move: Any, step: Step, now: float) -> dict[str, Any]:
    """Do what a phase begins with; return what it changes in the move's row."""
    tx = call.tx
    match step.phase:
        case "build":
            return _build(call, move)
        case "drain":
            _change(tx, move.router_id, move.source, draining=True)
        case "switch":
            drained = _candidates(tx, move.router_id).get(move.source)
            staying = move.source if drained is not None and drained.draining else None
            _switch(tx, move, staying)
        case "overlap":
            _remember(tx, move, now)
        case "close":
            _close(tx, move)
        case "done":
            if move.phase == "switch":
                _remember(tx, move, now)
            for host in _candidates(tx, move.router_id).keys() - set(move.candidates):
                _delete(tx, move.router_id, host)
            return {"running": None, "detail": step.reason}
        case "failed":
            if move.phase != "requested":
                _restore(tx, move)
            return {"running": None, "detail": step.reason}
    return {}


def _switch(tx: Tx, move: Any, staying: str | None) -> None:
    """Have all follow the new election but who drains.

    A target that is to be open alone has not shown yet that it is alive: until then the others may take over.
    """
    hosts = _candidates(tx, move.router_id).keys() - {staying}
    _follow(tx, move, sorted(hosts if move.election_id else hosts & set(move.candidates)))


def _build(call: Call, move: Any) -> dict[str, Any]:
    tx = call.tx
    row = rows.get(call, router.resource, move.router_id, lock=True)
    candidates = move.candidates if row["ha"] else move.candidates[:1]
    present = _candidates(tx, move.router_id)
    election_id = ha.election_for(call, move.router_id, candidates) if row["ha"] else None
    for name in candidates:
        if name not in present:
            _insert(tx, move.router_id, name, position=len(present), gate="closed", election_id=None)
    previous = {host: [row.position, row.gate, row.election_id] for host, row in present.items()}
    source = active_host(tx, move.router_id)
    return {
        "candidates": candidates,
        "election_id": election_id,
        "previous": previous,
        "source": source,
    }


def _follow(tx: Tx, move: Any, hosts: Sequence[str]) -> None:
    """Let candidates follow the new election (or the target be open alone); those not wanted any more go."""
    gate = "election" if move.election_id else "open"
    for host in hosts:
        if host in move.candidates:
            position = move.candidates.index(host)
            new = {"position": position, "gate": gate, "election_id": move.election_id, "draining": False}
            _change(tx, move.router_id, host, **new)
        else:
            _delete(tx, move.router_id, host)


def _close(tx: Tx, move: Any) -> None:
    """Have the source follow, unless it is the target, and whoever is not wanted any more close."""
    if move.source != move.candidates[0]:
        _follow(tx, move, [move.source])
    for host in _candidates(tx, move.router_id).keys() - set(move.candidates):
        _change(tx, move.router_id, host, gate="closed", election_id=None)


def _restore(tx: Tx, move: Any) -> None:
    present = _candidates(tx, move.router_id)
    for host in present:
        if host not in move.previous:
            _delete(tx, move.router_id, host)
    for host, (position, gate, election_id) in move.previous.items():
        old = {"position": position, "gate": gate, "election_id": election_id}
        if host not in present:
            _insert(tx, move.router_id, host, **old)
        else:
            row = present[host]
            now = (row.position, row.gate, row.election_id, row.draining)
            if now != (position, gate, election_id, False):
                _change(tx, move.router_id, host, draining=False, **old)


def announce_again(tx: Tx, host: str, since: float) -> None:
    """Have plain routers announced where they are now that have left a host since then.

    It counted as dead and is back. If it was only not heard, it forwarded until now, and bridges may have
    learned from it last.
    """
    left = select(router_move.c.router_id).where(
        router_move.c.source == host, router_move.c.phase == "done", router_move.c.phase_since >= since
    )
    mine = (router_candidate.c.router_id.in_(left), router_candidate.c.gate == "open")
    for row in tx.execute(select(router_candidate).where(*mine, router_candidate.c.host != host)).all():
        _set(tx, row.router_id, row.host, version=row.version + 1)


def _remember(tx: Tx, move: Any, now: float) -> None:
    target = move.candidates[0]
    if move.source != target:
        gap = elections.PLANNED_GAP_MS if move.source else None
        elections.record(tx, [move.router_id], move.source, target, now, f"moved: {move.reason}", gap)


def _candidates(tx: Tx, router_id: str) -> dict[str, Any]:
    mine = select(router_candidate).where(router_candidate.c.router_id == router_id)
    return {row.host: row for row in tx.execute(mine)}


def _change(tx: Tx, router_id: str, host: str, **values: Any) -> None:
    row = _candidates(tx, router_id).get(host)
    if row is None:
        return
    if any(getattr(row, name) != values[name] for name in values if name != "position"):
        values["version"] = row.version + 1
    _set(tx, router_id, host, **values)


def _set(tx: Tx, router_id: str, host: str, **values: Any) -> None:
    mine = (router_candidate.c.router_id == router_id, router_candidate.c.host == host)
    tx.execute(update(router_candidate).where(*mine).values(values))
    candidate_changed(tx, router_id, host)


def _insert(tx: Tx, router_id: str, host: str, **values: Any) -> None:
    fixed = {"router_id": router_id, "host": host, "draining": False, "version": 1, "applied": 0}
    tx.execute(insert(router_candidate).values({**fixed, **values}))
    candidate_changed(tx, router_id, host)


def _delete(tx: Tx, router_id: str, host: str) -> None:
    mine = (router_candidate.c.router_id == router_id, router_candidate.c.host == host)
    tx.execute(delete(router_candidate).where(*mine))
    candidate_changed(tx, router_id, host)
