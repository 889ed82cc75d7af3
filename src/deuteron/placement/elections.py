"""Who is active in an election: what its members say, weighed, and written down with an epoch and a cause.

Members hear each other on the heartbeat network, the server hears them on another one. When the heartbeat's
way between two of them is cut, both say that they are active; the server alone knows. It asks both how much
of the underlay they reach, and has all but one of them yield: see `verdict`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deuteron.placement import events, incidents
from deuteron.plan.units import ContestReport, ElectionReport
from deuteron.resources.hosts import election, election_member, router_candidate, router_history
from deuteron.store import Tx

KEPT_EPOCHS = 200
"""Of a router's history."""
PLANNED_GAP_MS = 0.0
"""Of a move on purpose: both were open for a while."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a member of an election said of itself last, and when the server heard it."""

    state: str
    heard: float
    since: float = 0.0
    contested: float | None = None
    """The contest in which it said how many hosts it `reaches`."""
    reaches: int = 0
    yields_to: str | None = None
    """The host because of which it takes no part."""


class Verdict(msgspec.Struct, frozen=True):
    """Who stays active of several, and why; the `others` yield to it."""

    stays: str
    others: tuple[str, ...]
    reason: str


def active_member(members: Mapping[str, Member], before: str | None) -> str | None:
    """Return the active member: of those who say so and do not yield, the one who said it last.

    It is `before` if none does: silence is no demotion. A host that died said that it is active, until
    another one says so later.
    """
    claims = {host: m.heard for host, m in members.items() if m.state == "active" and not m.yields_to}
    if not claims:
        return before
    return max(claims, key=lambda host: (claims[host], host == before, host))


def contest(members: Mapping[str, Member]) -> float:
    """Return when the last of several members said that it is active; 0 if at most one says so.

    One of them may be dead: only those who say so again, when they are asked, are really active.
    """
    claims = [member.heard for member in members.values() if member.state == "active"]
    return max(claims) if len(claims) > 1 else 0.0


def verdict(members: Mapping[str, Member]) -> Verdict | None:
    """Return who stays of several active members that have answered; None unless there are several.

    The one who reaches more hosts on the underlay is of more use there, and has not been cut off itself.
    Among equals it is the one who said it last: it announced the routers last.
    """
    asked = contest(members)
    found = {host: m for host, m in members.items() if m.state == "active" and m.contested == asked}
    if not asked or len(found) < 2:
        return None
    stays = max(found, key=lambda host: (found[host].reaches, found[host].heard, host))
    others = tuple(sorted(found.keys() - {stays}))
    most, rest = found[stays].reaches, max(found[host].reaches for host in others)
    why = (
        f"it reaches {most} hosts on the underlay, {' and '.join(others)} {rest}"
        if most > rest
        else "it was promoted last, and all reach as many hosts"
    )
    return Verdict(stays, others, f"{stays} stays active: {why}")


def take(tx: Tx, host: str, reports: Sequence[ElectionReport], now: float) -> list[str]:
    """Store what a host says of its elections; return the ids of those in which another one is active now."""
    wanted = {report.id: report for report in reports}
    promoted = []
    for row in _locked(tx, wanted):
        report = wanted[row.id]
        before = _members(tx, row.id)
        mine = before.get(host)
        if mine and (mine.state, mine.since) == (report.state, report.since):
            continue
        yields = mine.yields_to if mine and report.state == "fault" else None
        _store(tx, host, report, now, yields_to=yields, new=mine is None)
        if report.state != "active":
            release(tx, [host], [row.id])
        incidents.follow(tx, row.id, host, mine.heard if mine else now, report, now)
        if _settle(tx, row, report, host, now):
            promoted.append(row.id)
        tx.changed("election", row.id, "update")
    return promoted


def weigh(tx: Tx, host: str, contests: Iterable[ContestReport], now: float) -> None:
    """Store how much an active member reaches that is not the only one; decide who stays when they said."""
    said = {report.id: report for report in contests}
    for row in _locked(tx, said):
        report = said[row.id]
        members = _members(tx, row.id)
        mine = members.get(host)
        if mine is None or mine.state != "active" or mine.contested == report.contested:
            continue
        if contest(members) != report.contested:
            continue
        _change(tx, report.id, host, contested=report.contested, reaches=report.reaches)
        decided = verdict(_members(tx, report.id))
        if decided is None:
            continue
        _change(tx, report.id, decided.stays, yields_to=None)
        for other in decided.others:
            _change(tx, report.id, other, yields_to=decided.stays)
        incidents.begin(tx, report.id, report.contested, decided.stays, decided.others, decided.reason)
        _explain(tx, row.since, "; it still reports: the heartbeat's path is cut")
        if row.active != decided.stays:
            promote(tx, report.id, row.active, decided.stays, now, decided.reason)
        tx.changed("election", report.id, "update")


def bury(tx: Tx, dead: Iterable[str], now: float) -> None:
    """Take note of hosts that are dead: nobody yields to them, and it is known now why they were replaced."""
    names = set(dead)
    release(tx, names)
    incidents.end_without(tx, names, now)
    for name in names:
        silent = f"adverts of {name} stopped"
        replaced = (router_history.c.from_host == name, router_history.c.cause == silent)
        words = f"{silent}; nothing is heard of {name} at all: it is dead"
        tx.execute(update(router_history).where(*replaced).values(cause=words))


def release(tx: Tx, gone: Iterable[str], elections: Iterable[str] | None = None) -> None:
    """Let those take part again who yield to hosts that are gone, or not active any more."""
    names = set(gone)
    found = select(election_member.c.election_id, election_member.c.host)
    found = found.where(election_member.c.yields_to.in_(names))
    if elections is not None:
        found = found.where(election_member.c.election_id.in_(set(elections)))
    for row in tx.execute(found).all():
        _change(tx, row.election_id, row.host, yields_to=None)
        tx.changed("election", row.election_id, "update")


def _explain(tx: Tx, at: float | None, words: str) -> None:
    """Add to the causes of what was written into histories at a moment."""
    mine = (router_history.c.at == at, router_history.c.cause.like("adverts of % stopped"))
    tx.execute(update(router_history).where(*mine).values(cause=router_history.c.cause + words))


def _locked(tx: Tx, ids: Iterable[str]) -> Sequence[Any]:
    """Return elections. What another transaction says of them meanwhile waits for the end of this one."""
    wanted = select(election).where(election.c.id.in_(set(ids))).order_by(election.c.id)
    return tx.execute(wanted.with_for_update()).all()


def _members(tx: Tx, election_id: str) -> dict[str, Member]:
    found = tx.execute(select(election_member).where(election_member.c.election_id == election_id))
    return {
        row.host: Member(
            state=row.state,
            heard=row.heard,
            since=row.since,
            contested=row.contested,
            reaches=row.reaches or 0,
            yields_to=row.yields_to,
        )
        for row in found
    }


def _settle(tx: Tx, row: Any, report: ElectionReport, host: str, now: float) -> bool:
    """Promote whoever is active now, if it is another one."""
    active = active_member(_members(tx, row.id), row.active)
    if active is None or active == row.active:
        return False
    if active == host:
        promote(tx, row.id, row.active, active, now, report.cause, report.gap_ms)
    else:
        promote(tx, row.id, row.active, active, now, f"{host} gave up: {report.cause or report.state}")
    return True


def _store(
    tx: Tx, host: str, report: ElectionReport, now: float, *, yields_to: str | None, new: bool
) -> None:
    values = {
        "state": report.state,
        "since": report.since,
        "cause": report.cause,
        "heard": now,
        "contested": None,
        "reaches": None,
        "yields_to": yields_to,
    }
    if new:
        tx.execute(insert(election_member).values(election_id=report.id, host=host, **values))
    else:
        _change(tx, report.id, host, **values)


def _change(tx: Tx, election_id: str, host: str, **values: Any) -> None:
    mine = (election_member.c.election_id == election_id, election_member.c.host == host)
    tx.execute(update(election_member).where(*mine).values(values))


def promote(
    tx: Tx,
    election_id: str,
    before: str | None,
    active: str,
    now: float,
    cause: str,
    gap_ms: float | None = None,
) -> None:
    """Write down that another member is active, and that all routers of the election moved with it."""
    tx.execute(
        update(election)
        .where(election.c.id == election_id)
        .values(active=active, epoch=election.c.epoch + 1, since=now, joined=True)
    )
    tx.changed("election", election_id, "update")
    riding = select(router_candidate.c.router_id).where(router_candidate.c.election_id == election_id)
    routers = list(tx.execute(riding.distinct()).scalars())
    record(tx, routers, before, active, now, cause, gap_ms)
    if routers and before is not None:
        subject, count = events.Subject("election", election_id), len(routers)
        text = f"{active} is active for {count} router{'s' * (count != 1)}, after {before}: {cause}"
        data = {"from": before, "to": active, "routers": routers, "gap_ms": gap_ms}
        events.note(tx, "promotion", subject, text, host=active, data=data)


def record(
    tx: Tx,
    routers: Sequence[str],
    before: str | None,
    active: str,
    now: float,
    cause: str,
    gap_ms: float | None = None,
) -> None:
    """Append to the history of routers that another host is the active one."""
    if not routers:
        return
    last = (
        select(router_history.c.router_id, func.max(router_history.c.epoch).label("epoch"))
        .where(router_history.c.router_id.in_(routers))
        .group_by(router_history.c.router_id)
    )
    epochs: dict[str, int] = {row.router_id: row.epoch for row in tx.execute(last)}
    rows = [
        {
            "router_id": router,
            "epoch": epochs.get(router, 0) + 1,
            "at": now,
            "from_host": before,
            "to_host": active,
            "cause": cause,
            "gap_ms": gap_ms,
        }
        for router in routers
    ]
    tx.execute(insert(router_history), rows)
    for router in (id_ for id_, epoch in epochs.items() if epoch > KEPT_EPOCHS):
        old = (router_history.c.router_id == router, router_history.c.epoch <= epochs[router] - KEPT_EPOCHS)
        tx.execute(delete(router_history).where(*old))
