"""Emptying a host: what is on it still, what becomes of that, and when it is safe to power it off.

That a host is to be empty is a row, which outlives the server and the host. As long as it is there the host
gets nothing new; the loop moves routers away one by one without a lost packet, then DHCP servers. A standby
that nobody else can be in its place stays: losing it loses nothing. What carries traffic and has nowhere to
go is named.
"""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deuteron.placement import dhcp, events, moves, routers
from deuteron.placement.cloud import Cloud, load_of
from deuteron.placement.cloud import look as cloud_now
from deuteron.resources import network, port, router
from deuteron.resources.call import Call
from deuteron.resources.hosts import HostNotFound, dhcp_server, drain, host, router_candidate, router_move
from deuteron.resources.types import shown as words
from deuteron.settings import ServerSettings
from deuteron.store import Tx

RETRY_SECONDS = 10.0
"""Until a router whose move failed is tried again."""
PATIENCE = 3
"""Moves of a router that may fail until it is said that it does not go."""

State = Literal["moving", "waiting", "failed", "stuck", "stays"]


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is on the host still.

    It is on its way ("moving") or will be ("waiting"), its last move "failed" and is tried again, it is
    "stuck" and would stop with the host, or it "stays" as a standby that is not missed.
    """

    kind: Literal["router", "network"]
    id: str
    name: str
    active: bool
    """Whether it carries traffic here: always true of a network's DHCP server."""
    state: State
    reason: str
    retry: float | None = None
    """When it is its turn, at the earliest (Unix time); None if it does not go anywhere."""


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """How far a host is with being emptied. Times are Unix times."""

    host: str
    state: Literal["none", "draining", "drained", "stuck"]
    safe: bool
    """Whether nothing but instances stops when it is powered off."""
    text: str
    requested: float | None
    left: list[Left]
    instances: int
    """Instances' ports that are bound to it: they are not moved."""


class _Failures(msgspec.Struct, frozen=True):
    count: int = 0
    last: float = 0.0
    detail: str = ""


def purpose(name: str) -> str:
    """Return the purpose of moves that empty a host."""
    return f"drain/{name}"


def judge_router(
    name: str, facts: routers.Facts, wanted: routers.Wanted, cloud: Cloud, failures: _Failures, why_not: str
) -> tuple[State, str]:
    """Return what becomes of a router that has a candidate on a host that is emptied, and why."""
    if facts.moving:
        return "moving", wanted.reason
    if not wanted.settled:
        if failures.count >= PATIENCE:
            return "stuck", f"its move failed {failures.count} times: {failures.detail}"
        if failures.count:
            return "failed", f"it is tried again: {failures.detail}"
        return "waiting", wanted.reason
    others = [other for other in facts.candidates if other != name and other in cloud.alive]
    if facts.active == name or not others:
        return "stuck", f"there is no other host for it: {why_not}"
    return "stays", f"only a standby, it is active on {facts.active}; there is nobody instead"


def judge_network(name: str, facts: dhcp.Facts, wanted: dhcp.Servers, cloud: Cloud) -> tuple[State, str]:
    """Return what becomes of a network's DHCP server on a host that is emptied, and why."""
    if not dhcp.settled(facts, wanted):
        return "waiting", wanted.reason
    there = [(area, [one.host for one in dhcp.of_area(facts, area).values()]) for area in facts.areas]
    area, hosts = next((area, hosts) for area, hosts in there if name in hosts)
    others = [host for host in hosts if host != name and host in cloud.alive]
    if others:
        return "stays", f"it is served by {', '.join(sorted(others))} too; there is nobody instead"
    away = dhcp.elsewhere(facts, area, cloud.reach)
    nobody = why_not(cloud, dhcp.ROLE, name, frozenset(), facts.wishes.off, away=away)
    return "stuck", f"there is no other host for its DHCP: {nobody}"


def why_not(
    cloud: Cloud,
    role: str,
    name: str,
    attached: frozenset[str],
    off: frozenset[str],
    modes: frozenset[str] | None = None,
    away: frozenset[str] = frozenset(),
) -> str:
    """Return, for each host but one, why something cannot go there; `away` are elsewhere."""
    reasons = []
    for other, row in sorted(cloud.hosts.items()):
        if other == name:
            continue
        missing = sorted(attached - row.attached)
        if role not in row.roles:
            reasons.append(f"{other} has not the role {role}")
        elif modes is not None and row.agent_mode not in modes:
            reasons.append(f"{other} has agent_mode {row.agent_mode}")
        elif other not in cloud.alive:
            reasons.append(f"{other} is not alive")
        elif other in cloud.draining:
            reasons.append(f"{other} is to be empty too")
        elif role in row.disabled:
            reasons.append(f"{other} is administratively down")
        elif missing:
            reasons.append(f"{other} is not attached to {', '.join(missing)}")
        elif other in away:
            reasons.append(f"{other} does not reach the segment")
        elif other in off:
            reasons.append(f"it was removed from {other} by hand")
    return "; ".join(reasons) or "the cloud has no other one"


def look(tx: Tx, cloud: Cloud, settings: ServerSettings, name: str) -> list[Left]:
    """Return what is on a host that is emptied, in the order in which it goes."""
    requested = tx.execute(select(drain.c.requested).where(drain.c.host == name)).scalar()
    leaving = cloud.draining | {name}
    return [
        *_routers(tx, cloud, settings, name, leaving, requested or 0.0),
        *_networks(tx, cloud, settings, name, leaving),
    ]


def _routers(
    tx: Tx, cloud: Cloud, settings: ServerSettings, name: str, leaving: frozenset[str], requested: float
) -> list[Left]:
    here = select(router_candidate.c.router_id).where(router_candidate.c.host == name)
    ids = list(tx.execute(here).scalars())
    failures = _failures(tx, name, requested)
    load = load_of(tx, routers.ROLE)
    table = router.resource.table
    names = {
        row.id: row.name for row in tx.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
    }
    found = []
    for id_, facts in routers.facts_of(tx, ids).items():
        if not facts.exists:
            continue
        wanted = routers.decide(facts, cloud, load, settings.max_l3_agents_per_router, leaving)
        failed = failures.get(id_, _Failures())
        reasons = why_not(cloud, routers.ROLE, name, facts.attached, facts.wishes.off, facts.modes)
        state, reason = judge_router(name, facts, wanted, cloud, failed, reasons)
        found.append(
            Left(
                kind="router",
                id=id_,
                name=names.get(id_, ""),
                active=facts.active == name,
                state=state,
                reason=reason,
                retry=None if wanted.settled else failed.last + RETRY_SECONDS * bool(failed.count),
            )
        )
    return sorted(found, key=lambda one: (one.retry or 0.0, not one.active, one.name, one.id))


def _failures(tx: Tx, name: str, since: float) -> dict[str, _Failures]:
    """Return which moves that were to empty a host failed since it is emptied, by router."""
    failed = select(router_move).where(
        router_move.c.purpose == purpose(name),
        router_move.c.phase == "failed",
        router_move.c.phase_since >= since,
    )
    rows = tx.execute(failed.order_by(router_move.c.phase_since)).all()
    counts = Counter(row.router_id for row in rows)
    return {row.router_id: _Failures(counts[row.router_id], row.phase_since, row.detail) for row in rows}


def _networks(
    tx: Tx, cloud: Cloud, settings: ServerSettings, name: str, leaving: frozenset[str]
) -> list[Left]:
    ids = list(tx.execute(select(dhcp_server.c.network_id).where(dhcp_server.c.host == name)).scalars())
    load = load_of(tx, dhcp.ROLE, settings.dhcp_load_type)
    table = network.resource.table
    names = {
        row.id: row.name for row in tx.execute(select(table.c.id, table.c.name).where(table.c.id.in_(ids)))
    }
    found = []
    for id_, facts in dhcp.facts_of(tx, ids).items():
        if not facts.areas or all(one.host != name for one in facts.servers.values()):
            continue
        wanted = dhcp.decide(facts, cloud, load, settings.dhcp_agents_per_network, leaving)
        state, reason = judge_network(name, facts, wanted, cloud)
        retry = 0.0 if state == "waiting" else None
        found.append(
            Left(
                kind="network",
                id=id_,
                name=names.get(id_, ""),
                active=True,
                state=state,
                reason=reason,
                retry=retry,
            )
        )
    return sorted(found, key=lambda one: (one.name, one.id))


def next_of(left: Sequence[Left], now: float) -> Left | None:
    """Return what is to leave now; None if something is on its way, or nothing is due."""
    if any(one.state == "moving" for one in left):
        return None
    return next((one for one in left if one.retry is not None and one.retry <= now), None)


def state_of(left: Sequence[Left]) -> Literal["draining", "drained", "stuck"]:
    """Return how far a host is."""
    states = {one.state for one in left}
    if states & {"moving", "waiting", "failed"}:
        return "draining"
    return "stuck" if "stuck" in states else "drained"


def act(call: Call, cloud: Cloud, name: str) -> str | None:
    """Have the next thing leave a host; write down how far it is, and tell it. Return what was done."""
    now = time.time()
    row = call.tx.execute(select(drain).where(drain.c.host == name)).first()
    if row is None:
        return None
    left = look(call.tx, cloud, call.settings, name)
    state, due = state_of(left), next_of(left, now)
    if state != row.state:
        values = {"state": state, "since": now}
        call.tx.execute(update(drain).where(drain.c.host == name).values(values))
        _tell(call.tx, name, state, left, now - row.requested)
    if due is None:
        return None
    leaving = cloud.draining
    if due.kind == "network":
        return dhcp.place(call, cloud, due.id, leaving)
    return routers.place(call, cloud, due.id, now, leaving, purpose(name))


def due(tx: Tx, cloud: Cloud, settings: ServerSettings, name: str) -> bool:
    """Whether `act` would do something."""
    row = tx.execute(select(drain).where(drain.c.host == name)).first()
    if moves.serving(tx, purpose(name)):
        return False
    left = look(tx, cloud, settings, name) if row is not None else []
    return row is not None and (state_of(left) != row.state or next_of(left, time.time()) is not None)


def _tell(tx: Tx, name: str, state: str, left: Sequence[Left], seconds: float) -> None:
    subject = events.of_host(name)
    if state == "drained":
        text = f"{name} is empty after {seconds:.0f} s: safe to power off"
        events.note(tx, "drain_done", subject, text, host=name, data={"seconds": round(seconds, 3)})
    elif state == "stuck":
        stuck = [one for one in left if one.state == "stuck"]
        text = f"{name} is not safe to power off: " + "; ".join(
            f"{called(one)}: {one.reason}" for one in stuck
        )
        events.note(tx, "drain_stuck", subject, text, host=name, data={"left": [one.id for one in stuck]})


def called(one: Left) -> str:
    """Return what a thing is called in a sentence."""
    return f"{'router' if one.kind == 'router' else 'DHCP of network'} {one.name or one.id}"


def begin(call: Call, name: str) -> Drain:
    """Have a host emptied. Raises HostNotFound."""
    _known(call.tx, name)
    if call.tx.execute(select(drain).where(drain.c.host == name)).first() is None:
        now = time.time()
        call.tx.execute(insert(drain).values(host=name, requested=now, state="draining", since=now))
        call.tx.changed("drain", name, "create")
        events.note(call.tx, "drain_begun", events.of_host(name), f"{name} is to be empty", host=name)
    return shown(call, name)


def end(call: Call, name: str) -> Drain:
    """Let a host be used again. Raises HostNotFound."""
    _known(call.tx, name)
    if call.tx.execute(delete(drain).where(drain.c.host == name)).rowcount:
        call.tx.changed("drain", name, "delete")
        events.note(call.tx, "drain_ended", events.of_host(name), f"{name} is used again", host=name)
    return shown(call, name)


def shown(call: Call, name: str) -> Drain:
    """Return how far a host is with being emptied. Raises HostNotFound."""
    _known(call.tx, name)
    tx, settings = call.tx, call.settings
    row = tx.execute(select(drain).where(drain.c.host == name)).first()
    cloud = cloud_now(tx, settings.agent_down_time, watching_since=0)
    left = look(tx, cloud, settings, name) if row is not None else []
    table = port.resource.table
    bound = (table.c.binding_host_id == name, ~table.c.device_owner.startswith("network:"))
    instances = tx.execute(select(func.count()).select_from(table).where(*bound)).scalar_one()
    state: Literal["none", "draining", "drained", "stuck"] = "none"
    if row is not None:
        # The loop knows more of who lives: what it has not seen yet is not said.
        state = state_of(left) if state_of(left) == row.state else "draining"
    return Drain(
        host=name,
        state=state,
        safe=state == "drained",
        text=_in_words(state, left, instances),
        requested=row.requested if row is not None else None,
        left=left,
        instances=instances,
    )


def _in_words(state: str, left: Sequence[Left], instances: int) -> str:
    if state == "none":
        return "nobody asked that it be emptied"
    if state == "drained":
        there = f"; {instances} instances' ports are there and stop with it" if instances else ""
        return f"safe to power off{there}"
    if state == "stuck":
        stuck = "; ".join(f"{called(one)}: {one.reason}" for one in left if one.state == "stuck")
        return f"not safe to power off: {stuck}"
    going = [one for one in left if one.state in ("moving", "waiting", "failed")]
    count = Counter(one.kind for one in going)
    parts = [f"{count['router']} router{'s' * (count['router'] != 1)}"] if count["router"] else []
    if count["network"]:
        parts.append(f"DHCP of {count['network']} network{'s' * (count['network'] != 1)}")
    return f"to leave: {', '.join(parts) or 'nothing any more'}"


def _known(tx: Tx, name: str) -> None:
    known = list(tx.execute(select(host.c.name).order_by(host.c.name)).scalars())
    if name not in known:
        raise HostNotFound(host=words(name), known=", ".join(known) or "none")
