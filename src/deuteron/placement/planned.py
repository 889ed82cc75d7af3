"""Moves that somebody asks for, and what became of them."""

import time
from typing import Any

from sqlalchemy import select

from deuteron.placement import conversions, moves, routers
from deuteron.placement.cloud import look
from deuteron.resources import conversion, router, router_mode, rows
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, HTTPBadRequest
from deuteron.resources.hosts import Wishes, forget_wishes, router_history, router_move, wishes_of

MAX_SHOWN = 100


class RouterIsMoving(Conflict):
    """`id`, `move`."""

    message = "Router {id} is moving already (move {move})."


class RouterIsConverting(Conflict):
    """`id`."""

    message = "Router {id} is being converted."


class RouterIsSo(Conflict):
    """`id`, `mode`."""

    message = "Router {id} is {mode} already."


class HostCannotCarryRouter(Conflict):
    """`host`, `id`, `reason`."""

    message = "Host {host} cannot carry router {id}: {reason}."


def move(call: Call, router_id: str, host: str) -> dict[str, Any]:
    """Ask that a router goes to a host. Raises RouterNotFound, RouterIsMoving, HostCannotCarryRouter."""
    row = rows.get(call, router.resource, _clean(router_id), lock=True)
    running = moves.running(call.tx, router_id)
    if running:
        raise RouterIsMoving(id=router_id, move=running.id)
    if conversion.running_of(call.tx, router_id):
        raise RouterIsConverting(id=router_id)
    reason = _objection(call, router_id, host)
    if reason:
        raise HostCannotCarryRouter(host=host, id=router_id, reason=reason)
    before = [candidate.host for candidate in routers.candidates(call.tx, router_id)]
    hosts = [host, *(name for name in before if name != host)]
    hosts = hosts[: max(1, len(before) if row["ha"] else 1)]
    for name in wishes_of(call.tx, "l3", [router_id]).get(router_id, Wishes()).on - set(hosts):
        forget_wishes(call.tx, "l3", router_id, host=name)
    id_ = moves.request(call.tx, router_id, hosts, "asked for", time.time())
    return shown(call.tx.execute(select(router_move).where(router_move.c.id == id_)).one())


def _objection(call: Call, router_id: str, host: str) -> str | None:
    """Return why a router cannot go to a host; None if it can."""
    cloud = look(call.tx, call.settings.agent_down_time, watching_since=0)
    there = cloud.hosts.get(host)
    if there is None:
        return f"there is no such host (there are: {', '.join(sorted(cloud.hosts)) or 'none'})"
    if host not in cloud.alive:
        return "its agent is not alive"
    facts = routers.facts_of(call.tx, [router_id])[router_id]
    attached = facts.attached
    if not facts.central:
        return "the router is distributed and has no gateway: it has no central part"
    if not cloud.able(host, "l3"):
        return "its agent has not the role l3"
    if not cloud.able(host, "l3", modes=facts.modes):
        return f"its agent_mode is {there.agent_mode}, not {' or '.join(sorted(facts.modes))}"
    if not cloud.able(host, "l3", attached):
        missing = sorted(attached - there.attached)
        return f"it is not attached to {', '.join(missing)}"
    if host in cloud.draining:
        return "it is to be empty"
    if "l3" in there.disabled:
        return "its L3 agent is administratively down"
    if host in wishes_of(call.tx, "l3", [router_id]).get(router_id, Wishes()).off:
        return "it was removed from its L3 agent by hand; add it there again first"
    if moves.active_host(call.tx, router_id) == host:
        return "it is active there already"
    return None


def moves_of(call: Call, router_id: str) -> list[dict[str, Any]]:
    """Return a router's moves, the newest first."""
    rows.get(call, router.resource, _clean(router_id))
    found = call.tx.execute(select(router_move).where(router_move.c.router_id == router_id)).all()
    newest = sorted(found, key=lambda one: one.steps[0][1], reverse=True)
    return [shown(one) for one in newest[:MAX_SHOWN]]


def shown(row: Any) -> dict[str, Any]:
    """Return a move as it is shown; times are Unix times."""
    steps = [{"phase": phase, "at": at, "reason": reason} for phase, at, reason in row.steps]
    return {
        "id": row.id,
        "router_id": row.router_id,
        "from": row.source,
        "to": row.candidates[0],
        "candidates": row.candidates,
        "phase": row.phase,
        "running": row.running is not None,
        "reason": row.reason,
        "detail": row.detail,
        "seconds": steps[-1]["at"] - steps[0]["at"],
        "steps": steps,
    }


def convert(call: Call, router_id: str, mode: conversion.Mode, *, dry_run: bool = False) -> dict[str, Any]:
    """Ask that a router becomes redundant or plain, distributed or central; return the conversion.

    A `dry_run` asks for nothing: what is returned is what would be done. Raises RouterNotFound,
    RouterIsConverting, and what `router_mode.change` does.
    """
    row = rows.get(call, router.resource, _clean(router_id), lock=True)
    if conversion.running_of(call.tx, router_id):
        raise RouterIsConverting(id=router_id)
    before = conversion.mode_of(ha=row["ha"], distributed=row["distributed"])
    ha, distributed = conversion.MODES[mode]
    if before == mode:
        raise RouterIsSo(id=router_id, mode=mode)
    up = bool(row["admin_state_up"])
    router_mode.check(call, row, ha=ha, distributed=distributed, up=up)
    planned = conversions.steps(before, mode)
    if dry_run:
        return {"router_id": router_id, "from": before, "to": mode, "planned": planned}
    router_mode.change(call, router.resource, row, ha=ha, distributed=distributed, up=up)
    return {**converted(conversion.running_of(call.tx, router_id)), "planned": planned}


def conversions_of(call: Call, router_id: str) -> list[dict[str, Any]]:
    """Return a router's conversions, the newest first."""
    rows.get(call, router.resource, _clean(router_id))
    mine = conversion.router_conversion.c.router_id == router_id
    found = call.tx.execute(select(conversion.router_conversion).where(mine)).all()
    newest = sorted(found, key=lambda one: one.steps[0][1], reverse=True)
    return [converted(one) for one in newest[:MAX_SHOWN]]


def converted(row: Any) -> dict[str, Any]:
    """Return a conversion as it is shown; times are Unix times."""
    steps = [{"phase": phase, "at": at, "reason": reason} for phase, at, reason in row.steps]
    return {
        "id": row.id,
        "router_id": row.router_id,
        "from": row.from_mode,
        "to": row.to_mode,
        "phase": row.phase,
        "running": row.running is not None,
        "detail": row.detail,
        "seconds": steps[-1]["at"] - steps[0]["at"],
        "steps": steps,
    }


def history_of(call: Call, router_id: str) -> list[dict[str, Any]]:
    """Return who was active for a router, the newest first."""
    rows.get(call, router.resource, _clean(router_id))
    mine = select(router_history).where(router_history.c.router_id == router_id)
    found = call.tx.execute(mine.order_by(router_history.c.epoch.desc()).limit(MAX_SHOWN))
    return [
        {
            "epoch": row.epoch,
            "at": row.at,
            "from": row.from_host,
            "to": row.to_host,
            "cause": row.cause,
            "gap_ms": row.gap_ms,
        }
        for row in found
    ]


def _clean(router_id: str) -> str:
    if "\0" in router_id:
        raise HTTPBadRequest(msg="a router's id has no NUL")
    return router_id
