"""Routers leave a host from which their way out does not answer, if it answers another of their candidates.

Each candidate asks the next hops of its routers' gateways, and reports who answers. Where nobody is answered
nothing moves: then it is the next hop that is dead, and a move would help nobody.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from deuteron.placement import moves, routers
from deuteron.placement.cloud import Cloud
from deuteron.plan.units import UplinkReport
from deuteron.resources import port, subnet
from deuteron.resources.call import Call
from deuteron.resources.hosts import host, router_move
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.owners import ROUTER_GATEWAY
from deuteron.store import Tx

PURPOSE = "uplink"
REST_SECONDS = 30.0
"""Between two moves of one router because of its uplinks."""

Way = tuple[str, str]
"""An external network and the address of a next hop there."""
Answers = Mapping[str, Mapping[Way, UplinkReport]]
"""Host -> what it says of the next hops that it asks."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A redundant router as far as its uplinks go."""

    active: str
    candidates: Sequence[str]
    """Those that could be the active one, in order."""
    ways: frozenset[Way]
    """The next hops of its gateway."""
    moved: float | None = None
    """When it was moved last because of them."""


class Decision(msgspec.Struct, frozen=True):
    """Where to, and why; None to stay."""

    target: str | None
    reason: str


def decide(facts: Facts, answers: Answers, now: float) -> Decision:
    """Return whether a router is to move.

    Only what a host says counts: a next hop of which it says nothing is neither well nor lost. The target has
    lost none but some of those that the active host has lost.
    """
    lost = _silent(facts.active, facts.ways, answers)
    if not lost:
        return Decision(None, f"{facts.active} has no uplink that is silent")
    fit = {
        name: heard
        for name in facts.candidates
        if name != facts.active
        and (heard := lost & _answering(name, facts.ways, answers))
        and not _silent(name, facts.ways, answers) - lost
    }
    words = ", ".join(
        f"{address} does not answer since {now - answers[facts.active][network, address].since:.0f} s"
        for network, address in sorted(lost)
    )
    if not fit:
        return Decision(None, f"uplink of {facts.active} lost: {words}; no other candidate is better off")
    if facts.moved is not None and now - facts.moved < REST_SECONDS:
        left = REST_SECONDS - (now - facts.moved)
        return Decision(None, f"uplink of {facts.active} lost: {words}; it was moved just now: {left:.0f} s")
    target = max(fit, key=lambda name: (len(fit[name]), -list(facts.candidates).index(name)))
    answered = "it answers" if len(lost) == len(fit[target]) == 1 else "more of them answer"
    return Decision(target, f"uplink of {facts.active} lost: {words}; {answered} {target}")


def _silent(name: str, ways: Collection[Way], answers: Answers) -> set[Way]:
    said = answers.get(name, {})
    return {way for way in ways if way in said and not said[way].ok}


def _answering(name: str, ways: Collection[Way], answers: Answers) -> set[Way]:
    said = answers.get(name, {})
    return {way for way in ways if way in said and said[way].ok}


def answers_of(tx: Tx, hosts: Iterable[str]) -> dict[str, dict[Way, UplinkReport]]:
    """Return what hosts say of the next hops that they ask."""
    found = {}
    for row in tx.execute(select(host.c.name, host.c.uplinks).where(host.c.name.in_(set(hosts)))):
        said = (msgspec.convert(one, UplinkReport) for one in row.uplinks)
        found[row.name] = {(one.network, one.address): one for one in said}
    return found


def concerned(tx: Tx, cloud: Cloud, now: float) -> dict[str, Decision]:
    """Return the routers that are to move, each with where to and why."""
    answers = answers_of(tx, cloud.alive)
    if all(one.ok for said in answers.values() for one in said.values()):
        return {}
    found = {id_: decide(facts, answers, now) for id_, facts in _facts_of(tx, cloud, None).items()}
    return {id_: decision for id_, decision in found.items() if decision.target is not None}


def place(call: Call, cloud: Cloud, router_id: str) -> str | None:
    """Begin to move a router, if it still is to move; return what was done."""
    tx, now = call.tx, time.time()
    facts = _facts_of(tx, cloud, [router_id]).get(router_id)
    if facts is None:
        return None
    decision = decide(facts, answers_of(tx, cloud.alive), now)
    if decision.target is None:
        return None
    before = routers.facts_of(tx, [router_id])[router_id].candidates
    hosts = [decision.target, *(name for name in before if name != decision.target)]
    moves.request(tx, router_id, hosts, decision.reason, now, PURPOSE)
    return f"router {router_id}: to {decision.target} ({decision.reason})"


def _facts_of(tx: Tx, cloud: Cloud, ids: Collection[str] | None) -> dict[str, Facts]:
    """Return the facts of those routers that could move now."""
    ways = _ways(tx, ids)
    last = select(router_move.c.router_id, func.max(router_move.c.phase_since).label("at"))
    last = last.where(router_move.c.purpose == PURPOSE, router_move.c.phase == "done")
    moved = {row.router_id: row.at for row in tx.execute(last.group_by(router_move.c.router_id))}
    found = {}
    for id_, one in routers.facts_of(tx, ids).items():
        ready = one.exists and one.redundant and not one.moving and one.active in cloud.alive
        if not ready or one.active is None or id_ not in ways:
            continue
        found[id_] = Facts(
            active=one.active,
            candidates=[name for name in one.candidates if _may_take(name, one, cloud)],
            ways=frozenset(ways[id_]),
            moved=moved.get(id_),
        )
    return found


def _may_take(name: str, facts: routers.Facts, cloud: Cloud) -> bool:
    return (
        name in facts.built
        and name in cloud.alive
        and name not in cloud.draining
        and name not in facts.wishes.off
        and cloud.able(name, routers.ROLE, facts.attached, facts.modes)
        and routers.ROLE not in cloud.hosts[name].disabled
    )


def _ways(tx: Tx, ids: Collection[str] | None) -> dict[str, set[Way]]:
    """Return the next hops of routers' gateways."""
    ports, subnets = port.resource.table, subnet.resource.table
    gateways: Any = (
        select(ports.c.device_id, ports.c.network_id, subnets.c.gateway_ip)
        .join(fixed_ip, fixed_ip.c.port_id == ports.c.id)
        .join(subnets, subnets.c.id == fixed_ip.c.subnet_id)
        .where(ports.c.device_owner == ROUTER_GATEWAY, subnets.c.gateway_ip.is_not(None))
    )
    if ids is not None:
        gateways = gateways.where(ports.c.device_id.in_(ids))
    found: dict[str, set[Way]] = defaultdict(set)
    for row in tx.execute(gateways):
        found[row.device_id].add((row.network_id, row.gateway_ip))
    return found
