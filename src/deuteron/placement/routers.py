"""Routers' candidates: the first placement at once, every later one by a move that breaks nothing."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from deuteron.placement import elections, ha, moves
from deuteron.placement.cloud import Cloud
from deuteron.placement.decide import choose
from deuteron.resources import network, owners, port, router, rows
from deuteron.resources.call import Call
from deuteron.resources.hosts import candidate_changed, election, router_candidate, router_move
from deuteron.store import Tx


class Wanted(msgspec.Struct, frozen=True):
    """Where a router should be, and why there."""

    hosts: tuple[str, ...]
    reason: str
    settled: bool
    """Whether it is so already, or on its way."""


def decide(call: Call, cloud: Cloud, router_id: str) -> Wanted:
    """Return where a router should be."""
    row = rows.find(call, router.resource, router_id)
    found = candidates(call.tx, router_id)
    if row is None:
        return Wanted((), "the router is gone", settled=not found)
    if moves.running(call.tx, router_id):
        return Wanted(tuple(c.host for c in found), "it is on its way", settled=True)
    physical = physical_networks(call, router_id)
    current = [c.host for c in found]
    wanted = (call.settings.max_l3_agents_per_router or len(cloud.hosts)) if row["ha"] else 1
    choice = choose(
        max(1, wanted),
        current,
        cloud.fit(call.tx, "l3", current, physical),
        cloud.silent_of(current, "l3", physical),
        row["availability_zone_hints"],
    )
    same_kind = all((c.election_id is not None) == bool(row["ha"]) for c in found)
    nothing_to_do = not choice.hosts or (same_kind and set(choice.hosts) == set(current))
    return Wanted(choice.hosts, choice.reason, settled=nothing_to_do)


def place(call: Call, cloud: Cloud, router_id: str, now: float) -> str:
    """Make a router's candidates what they should be, or begin to; return what was done."""
    wanted = decide(call, cloud, router_id)
    if wanted.settled:
        return f"router {router_id}: {wanted.reason}"
    row = rows.find(call, router.resource, router_id)
    if row is None:
        _remove(call.tx, router_id)
    elif not candidates(call.tx, router_id):
        _first(call, router_id, wanted, now, redundant=row["ha"])
    else:
        _transfer(call.tx, router_id, wanted, now)
    return f"router {router_id}: {', '.join(wanted.hosts) or 'nowhere'} ({wanted.reason})"


def candidates(tx: Tx, router_id: str) -> list[Any]:
    """Return a router's candidates in order."""
    mine = select(router_candidate).where(router_candidate.c.router_id == router_id)
    return list(tx.execute(mine.order_by(router_candidate.c.position, router_candidate.c.host)))


def _first(call: Call, router_id: str, wanted: Wanted, now: float, *, redundant: bool) -> None:
    election_id = ha.election_for(call, wanted.hosts) if redundant else None
    values = [
        {
            "router_id": router_id,
            "host": name,
            "position": position,
            "gate": "election" if redundant else "open",
            "election_id": election_id,
            "draining": False,
            "version": 1,
            "applied": 0,
        }
        for position, name in enumerate(wanted.hosts)
    ]
    call.tx.execute(insert(router_candidate), values)
    for name in wanted.hosts:
        candidate_changed(call.tx, router_id, name)
    active = wanted.hosts[0]
    if redundant:
        active = call.tx.execute(select(election.c.active).where(election.c.id == election_id)).scalar_one()
    if active is not None:
        elections.record(call.tx, [router_id], None, active, now, f"placed: {wanted.reason}")


def _transfer(tx: Tx, router_id: str, wanted: Wanted, now: float) -> None:
    """Begin to move a router to other candidates; the active one stays so if it is among them."""
    active = moves.active_host(tx, router_id)
    hosts: Sequence[str] = wanted.hosts
    if active is not None and active in hosts:
        hosts = [active, *(name for name in hosts if name != active)]
    moves.request(tx, router_id, hosts, wanted.reason, now)


def _remove(tx: Tx, router_id: str) -> None:
    for row in candidates(tx, router_id):
        candidate_changed(tx, router_id, row.host)
    tx.execute(delete(router_candidate).where(router_candidate.c.router_id == router_id))
    tx.execute(delete(router_move).where(router_move.c.router_id == router_id))


def physical_networks(call: Call, router_id: str) -> list[str]:
    """Return the physical networks that a router's ports are on."""
    table = port.resource.table
    networks = network.resource.table
    found = (
        select(networks.c.provider_physical_network)
        .join(table, table.c.network_id == networks.c.id)
        .where(table.c.device_id == router_id, table.c.device_owner.in_(owners.ROUTER_PORTS))
        .where(networks.c.provider_physical_network.is_not(None))
    )
    return list(call.tx.execute(found).scalars())


def orphans(tx: Tx) -> list[str]:
    """Return the routers that have candidates and do not exist any more."""
    there = select(router.resource.table.c.id)
    having = select(router_candidate.c.router_id).where(router_candidate.c.router_id.not_in(there))
    return list(tx.execute(having.distinct()).scalars())
