"""The state of the whole: hosts, elections, where routers are active, what is wrong."""

import time
from collections import Counter
from typing import Any

from sqlalchemy import select

from deuteron.placement import moves
from deuteron.resources import router
from deuteron.resources.agent import is_alive
from deuteron.resources.call import Call
from deuteron.resources.hosts import (
    dhcp_server,
    election,
    election_member,
    host,
    router_candidate,
    router_move,
)


def of_all(call: Call) -> dict[str, Any]:
    """Return the state of the whole; times are Unix times."""
    hosts = _hosts(call)
    elections = _elections(call)
    return {
        "hosts": hosts,
        "elections": elections,
        "routers": _routers(call, {one["id"]: one["active"] for one in elections}),
        "problems": _problems(hosts, elections),
    }


def _hosts(call: Call) -> list[dict[str, Any]]:
    serving = Counter(call.tx.execute(select(dhcp_server.c.host)).scalars())
    carrying = Counter(call.tx.execute(select(router_candidate.c.host)).scalars())
    now = time.time()
    return [
        {
            "name": row.name,
            "alive": is_alive(row, call.settings.agent_down_time),
            "roles": row.roles,
            "zone": row.zone,
            "vtep": row.vtep,
            "physical_networks": row.physical_networks,
            "last_seen_seconds": round(now - row.last_seen, 3),
            "started": row.started,
            "version": row.version,
            "dhcp_networks": serving[row.name],
            "routers": carrying[row.name],
            "problems": row.problems,
        }
        for row in call.tx.execute(select(host).order_by(host.c.name))
    ]


def _elections(call: Call) -> list[dict[str, Any]]:
    standing = select(election).where(election.c.retired.is_(None))
    members: dict[str, dict[str, Any]] = {}
    for row in call.tx.execute(select(election_member)):
        said = {"state": row.state, "since": row.since, "cause": row.cause, "heard": row.heard}
        members.setdefault(row.election_id, {})[row.host] = said
    return [
        {
            "id": row.id,
            "ha_network_id": row.ha_network_id,
            "vrid": row.vrid,
            "candidates": row.candidates,
            "active": row.active,
            "epoch": row.epoch,
            "since": row.since,
            "members": members.get(row.id, {}),
        }
        for row in call.tx.execute(standing.order_by(election.c.created))
    ]


def _routers(call: Call, active: dict[str, str | None]) -> list[dict[str, Any]]:
    candidates: dict[str, list[Any]] = {}
    for row in call.tx.execute(select(router_candidate).order_by(router_candidate.c.position)):
        candidates.setdefault(row.router_id, []).append(row)
    moving = set(call.tx.execute(select(router_move.c.running)).scalars())
    table = router.resource.table
    return [
        {
            "id": row.id,
            "name": row.name,
            "ha": row.ha,
            "active": moves.active_of(candidates.get(row.id, ()), active),
            "candidates": [one.host for one in candidates.get(row.id, ())],
            "built": [one.host for one in candidates.get(row.id, ()) if one.applied >= one.version],
            "moving": row.id in moving,
        }
        for row in call.tx.execute(select(table.c.id, table.c.name, table.c.ha).order_by(table.c.name))
    ]


def _problems(hosts: list[dict[str, Any]], elections: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong, in words."""
    found = []
    for one in hosts:
        if not one["alive"]:
            found.append(f"{one['name']}: silent for {one['last_seen_seconds']:.0f} s")
        found += [f"{one['name']}: {key}: {text}" for key, text in sorted(one["problems"].items())]
    seen = {one["name"]: time.time() - one["last_seen_seconds"] for one in hosts}
    for one in elections:
        twice = claims(one["members"], seen)
        if len(twice) > 1:
            found.append(f"election {one['id']}: active on {' and on '.join(twice)}")
        if one["active"] is None:
            found.append(f"election {one['id']}: nobody is active yet")
    return found


def claims(members: dict[str, Any], seen: dict[str, float]) -> list[str]:
    """Return the hosts that say that they are active, and were heard after the last one of them began to.

    One that is not heard any more has most likely died, which is no incident.
    """
    active = [name for name, said in members.items() if said["state"] == "active"]
    last = max((members[name]["heard"] for name in active), default=0.0)
    return sorted(name for name in active if seen.get(name, 0.0) >= last)
