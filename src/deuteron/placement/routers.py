"""Routers' candidates: the first placement at once, every later one by a move that breaks nothing."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from deuteron.placement import elections, ha, moves
from deuteron.placement.cloud import Cloud, Load, load_of, of
from deuteron.placement.decide import choose
from deuteron.plan.compute import MAX_CANDIDATES
from deuteron.resources import router
from deuteron.resources.call import Call
from deuteron.resources.hosts import (
    Wishes,
    candidate_changed,
    election,
    forget_wishes,
    router_candidate,
    router_move,
    wishes_of,
)
from deuteron.resources.scheduling import physical_networks
from deuteron.store import Tx

ROLE = "l3"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A router as far as its candidates go. `elected` are those that an election opens."""

    exists: bool
    redundant: bool = False
    candidates: Sequence[str] = ()
    elected: frozenset[str] = frozenset()
    moving: bool = False
    physical_networks: frozenset[str] = frozenset()
    zones: Sequence[str] = ()
    wishes: Wishes = Wishes()


class Wanted(msgspec.Struct, frozen=True):
    """Where a router should be, and why there."""

    hosts: tuple[str, ...]
    reason: str
    settled: bool
    """Whether it is so already, or on its way."""
    dropped: frozenset[str] = frozenset()
    """Hosts that were asked for, are dead and replaced: they are not asked for any more."""


def decide(facts: Facts, cloud: Cloud, load: Load, most: int) -> Wanted:
    """Return where a router should be; a redundant one on up to `most` hosts, 0 for all."""
    current = facts.candidates
    if not facts.exists:
        return Wanted((), "the router is gone", settled=not current)
    if facts.moving:
        return Wanted(tuple(current), "it is on its way", settled=True)
    wishes, physical = facts.wishes, facts.physical_networks
    wanted = min(most or max(1, len(cloud.hosts)), MAX_CANDIDATES) if facts.redundant else 1
    fit = cloud.fit(ROLE, load, current, physical, wishes.off)
    if not facts.redundant and wishes.on & fit.keys():
        # There is only one place, and it is taken.
        fit = {name: fit[name] for name in wishes.on & fit.keys()}
    left = [name for name in current if name not in wishes.off]
    choice = choose(
        wanted,
        current,
        fit,
        cloud.silent_of(left, ROLE, physical),
        facts.zones,
        wishes.on,
        cloud.disabled_of(left, ROLE, physical),
    )
    same_kind = facts.elected == (set(current) if facts.redundant else set())
    as_it_is = same_kind and set(choice.hosts) == set(current)
    nowhere_else = not choice.hosts and not wishes.off.issuperset(current)
    dropped = (wishes.on & cloud.silent) - set(choice.hosts)
    return Wanted(choice.hosts, choice.reason, as_it_is or nowhere_else, dropped)


def settled(facts: Facts, cloud: Cloud, load: Load, most: int) -> bool:
    """Whether nothing is to be done about a router."""
    wanted = decide(facts, cloud, load, most)
    return wanted.settled and not wanted.dropped


def facts_of(tx: Tx, ids: Collection[str] | None) -> dict[str, Facts]:
    """Return the facts of routers, those that are gone included; of all if None."""
    table = router_candidate
    carrying: dict[str, list[Any]] = defaultdict(list)
    for row in tx.execute(of(select(table), table.c.router_id, ids).order_by(table.c.position, table.c.host)):
        carrying[row.router_id].append(row)
    moving = set(tx.execute(of(select(router_move.c.running), router_move.c.running, ids)).scalars())
    physical = physical_networks(tx, ids)
    wishes = wishes_of(tx, ROLE, ids)
    c = router.resource.table.c
    found = {
        row.id: Facts(
            exists=True,
            redundant=row.ha,
            candidates=[one.host for one in carrying.get(row.id, ())],
            elected=frozenset(one.host for one in carrying.get(row.id, ()) if one.election_id),
            moving=row.id in moving,
            physical_networks=physical.get(row.id, frozenset()),
            zones=row.availability_zone_hints,
            wishes=wishes.get(row.id, Wishes()),
        )
        for row in tx.execute(of(select(c.id, c.ha, c.availability_zone_hints), c.id, ids))
    }
    for id_ in carrying.keys() - found.keys():
        found[id_] = Facts(exists=False, candidates=[one.host for one in carrying[id_]])
    return found


def place(call: Call, cloud: Cloud, router_id: str, now: float) -> str:
    """Make a router's candidates what they should be, or begin to; return what was done."""
    facts = facts_of(call.tx, [router_id]).get(router_id, Facts(exists=False))
    wanted = decide(facts, cloud, load_of(call.tx, ROLE), call.settings.max_l3_agents_per_router)
    for name in wanted.dropped:
        forget_wishes(call.tx, ROLE, router_id, host=name)
    if wanted.settled:
        return f"router {router_id}: {wanted.reason}"
    if not facts.exists:
        _remove(call.tx, router_id)
    elif not wanted.hosts:
        _take_away(call.tx, router_id)
    elif not facts.candidates:
        _first(call, router_id, wanted, now, redundant=facts.redundant)
    else:
        _transfer(call.tx, router_id, wanted, now)
    return f"router {router_id}: {', '.join(wanted.hosts) or 'nowhere'} ({wanted.reason})"


def candidates(tx: Tx, router_id: str) -> list[Any]:
    """Return a router's candidates in order."""
    mine = select(router_candidate).where(router_candidate.c.router_id == router_id)
    return list(tx.execute(mine.order_by(router_candidate.c.position, router_candidate.c.host)))


def _first(call: Call, router_id: str, wanted: Wanted, now: float, *, redundant: bool) -> None:
    election_id = ha.election_for(call, router_id, wanted.hosts) if redundant else None
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


def _take_away(tx: Tx, router_id: str) -> None:
    for row in candidates(tx, router_id):
        candidate_changed(tx, router_id, row.host)
    tx.execute(delete(router_candidate).where(router_candidate.c.router_id == router_id))


def _remove(tx: Tx, router_id: str) -> None:
    _take_away(tx, router_id)
    tx.execute(delete(router_move).where(router_move.c.router_id == router_id))


def orphans(tx: Tx) -> list[str]:
    """Return the routers that have candidates and do not exist any more."""
    there = select(router.resource.table.c.id)
    having = select(router_candidate.c.router_id).where(router_candidate.c.router_id.not_in(there))
    return list(tx.execute(having.distinct()).scalars())
