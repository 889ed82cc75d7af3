"""Routers' candidates: the first placement at once, every later one by a move that breaks nothing."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from deuteron.placement import elections, ha, moves
from deuteron.placement.cloud import Cloud, Load, load_of, of
from deuteron.placement.decide import Candidate, choose
from deuteron.plan.compute import MAX_CANDIDATES
from deuteron.resources import attachments, router
from deuteron.resources.call import Call
from deuteron.resources.distribution import Rung
from deuteron.resources.hosts import (
    CENTRAL_MODES,
    SNAT_MODES,
    Wishes,
    candidate_changed,
    election,
    forget_wishes,
    router_candidate,
    router_move,
    wishes_of,
)
from deuteron.store import Tx

ROLE = "l3"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A router as far as its candidates go. `elected` are those that an election opens."""

    exists: bool
    redundant: bool = False
    candidates: Sequence[str] = ()
    """In their order."""
    active: str | None = None
    elected: frozenset[str] = frozenset()
    built: frozenset[str] = frozenset()
    """Candidates that have followed what was asked of them last."""
    moving: bool = False
    """Whether it is on its way to other candidates, or becomes distributed or central just now."""
    attached: frozenset[str] = frozenset()
    """To what its hosts must be attached: see deuteron.resources.attachments."""
    zones: Sequence[str] = ()
    wishes: Wishes = Wishes()
    distributed: bool = False
    """Whether it has distributed parts, or is to have some."""
    central: bool = True
    """Whether it has a central part: without one it has no candidates."""

    @property
    def modes(self) -> frozenset[str]:
        """Agent modes of the hosts that may carry its central part."""
        return SNAT_MODES if self.distributed else CENTRAL_MODES


class Wanted(msgspec.Struct, frozen=True):
    """Where a router should be, and why there."""

    hosts: tuple[str, ...]
    reason: str
    settled: bool
    """Whether it is so already, or on its way."""
    dropped: frozenset[str] = frozenset()
    """Hosts that were asked for, are dead and replaced: they are not asked for any more."""


def decide(
    facts: Facts, cloud: Cloud, load: Load, most: int, leaving: frozenset[str] = frozenset()
) -> Wanted:
    """Return where a router should be; a redundant one on up to `most` hosts, 0 for all.

    It is not to be active on hosts that it is `leaving`, and there at all only if there is nobody else.
    """
    if not facts.exists:
        return Wanted((), "the router is gone", settled=not facts.candidates)
    if facts.moving:
        return Wanted(tuple(facts.candidates), "it is on its way", settled=True)
    if not facts.central:
        return Wanted((), "it is distributed and has no gateway", settled=not facts.candidates)
    current = sorted(facts.candidates, key=lambda name: name != facts.active)
    wishes = facts.wishes
    left = [name for name in current if name not in wishes.off]
    choice = choose(
        desired(facts, cloud, most),
        current,
        _fit(facts, cloud, load, current, leaving),
        cloud.unfit(ROLE, load, left, facts.attached, leaving, modes=facts.modes, patient=facts.redundant),
        facts.zones,
        wishes.on,
    )
    hosts = choice.hosts
    same_kind = facts.elected == (set(current) if facts.redundant else set())
    as_it_is = same_kind and set(hosts) == set(current)
    if facts.active in leaving and hosts and hosts[0] != facts.active:
        as_it_is = False
    nobody = not hosts and not wishes.off.issuperset(current)
    # Nothing can be built on hosts that are away: what is there waits for them.
    waits = bool(hosts) and hosts[0] not in cloud.alive and set(hosts) <= set(current)
    dropped = (wishes.on & (cloud.silent | leaving)) - set(hosts)
    return Wanted(hosts, choice.reason, as_it_is or nobody or waits, dropped)


def desired(facts: Facts, cloud: Cloud, most: int) -> int:
    """Return on how many hosts a router is to be, if there are so many."""
    return min(most or max(1, len(cloud.hosts)), MAX_CANDIDATES) if facts.redundant else 1


def _fit(
    facts: Facts, cloud: Cloud, load: Load, current: Sequence[str], leaving: frozenset[str]
) -> dict[str, Candidate]:
    fit = cloud.fit(ROLE, load, current, facts.attached, facts.wishes.off | leaving, facts.modes)
    asked = sorted(facts.wishes.on & fit.keys(), key=lambda name: (name not in current, name))
    if asked and not facts.redundant:
        # There is only one place, and it is taken.
        return {asked[0]: fit[asked[0]]}
    return fit


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
    active = {row.id: row.active for row in tx.execute(select(election.c.id, election.c.active))}
    attached = attachments.of_routers(tx, ids)
    wishes = wishes_of(tx, ROLE, ids)
    c = router.resource.table.c
    columns = (c.id, c.ha, c.availability_zone_hints, c.distributed, c.rung, c.gw_port_id)
    found = {
        row.id: Facts(
            exists=True,
            redundant=row.ha,
            candidates=[one.host for one in carrying.get(row.id, ())],
            active=moves.active_of(carrying.get(row.id, ()), active),
            elected=frozenset(one.host for one in carrying.get(row.id, ()) if one.election_id),
            built=frozenset(one.host for one in carrying.get(row.id, ()) if one.applied >= one.version),
            moving=row.id in moving or Rung.CENTRAL < row.rung < Rung.DISTRIBUTED,
            attached=attached.get(row.id, frozenset()),
            zones=row.availability_zone_hints,
            wishes=wishes.get(row.id, Wishes()),
            distributed=row.distributed or row.rung > Rung.CENTRAL,
            central=not row.distributed or row.rung < Rung.DISTRIBUTED or row.gw_port_id is not None,
        )
        for row in tx.execute(of(select(*columns), c.id, ids))
    }
    for id_ in carrying.keys() - found.keys():
        found[id_] = Facts(exists=False, candidates=[one.host for one in carrying[id_]])
    return found


def place(
    call: Call,
    cloud: Cloud,
    router_id: str,
    now: float,
    leaving: frozenset[str] = frozenset(),
    purpose: str = "",
) -> str:
    """Make a router's candidates what they should be, or begin to; return what was done.

    `leaving` and `purpose`: see `decide`, and `router_move`.
    """
    facts = facts_of(call.tx, [router_id]).get(router_id, Facts(exists=False))
    load, most = load_of(call.tx, ROLE), call.settings.max_l3_agents_per_router
    wanted = decide(facts, cloud, load, most, leaving)
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
        moves.request(call.tx, router_id, wanted.hosts, wanted.reason, now, purpose)
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
