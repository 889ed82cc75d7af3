"""Who is active in an election: what its members say, weighed, and written down with an epoch and a cause."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deuteron.plan.units import ElectionReport
from deuteron.resources.hosts import election, election_member, router_candidate, router_history
from deuteron.store import Tx

KEPT_EPOCHS = 200
"""Of a router's history."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a member of an election said of itself last, and when the server heard it."""

    state: str
    heard: float


def active_member(members: Mapping[str, Member], before: str | None) -> str | None:
    """Return the active member: of those who say so, the one who said it last; `before` if none does.

    Silence is no demotion: a host that died said that it is active, until another one says so later.
    """
    claims = {host: member.heard for host, member in members.items() if member.state == "active"}
    if not claims:
        return before
    return max(claims, key=lambda host: (claims[host], host == before, host))


def take(tx: Tx, host: str, reports: Sequence[ElectionReport], now: float) -> list[str]:
    """Store what a host says of its elections; return the ids of those in which it was promoted."""
    wanted = {report.id: report for report in reports}
    known = tx.execute(select(election).where(election.c.id.in_(wanted))).all()
    promoted = []
    for row in known:
        report = wanted[row.id]
        found = tx.execute(select(election_member).where(election_member.c.election_id == row.id)).all()
        said = {member.host: (member.state, member.since) for member in found}
        if said.get(host) == (report.state, report.since):
            continue
        _store(tx, host, report, now, new=host not in said)
        members = {member.host: Member(state=member.state, heard=member.heard) for member in found}
        members[host] = Member(state=report.state, heard=now)
        active = active_member(members, row.active)
        if active is not None and active != row.active:
            cause = report.cause if active == host else f"{host} gave up: {report.cause or report.state}"
            promote(tx, row.id, row.active, active, now, cause)
            promoted.append(row.id)
    return promoted


def _store(tx: Tx, host: str, report: ElectionReport, now: float, *, new: bool) -> None:
    values = {"state": report.state, "since": report.since, "cause": report.cause, "heard": now}
    if new:
        tx.execute(insert(election_member).values(election_id=report.id, host=host, **values))
    else:
        mine = (election_member.c.election_id == report.id, election_member.c.host == host)
        tx.execute(update(election_member).where(*mine).values(values))
    tx.changed("election_member", f"{report.id}/{host}", "update")


def promote(tx: Tx, election_id: str, before: str | None, active: str, now: float, cause: str) -> None:
    """Write down that another member is active, and that all routers of the election moved with it."""
    tx.execute(
        update(election)
        .where(election.c.id == election_id)
        .values(active=active, epoch=election.c.epoch + 1, since=now, joined=True)
    )
    tx.changed("election", election_id, "update")
    riding = select(router_candidate.c.router_id).where(router_candidate.c.election_id == election_id)
    record(tx, list(tx.execute(riding.distinct()).scalars()), before, active, now, cause)


def record(tx: Tx, routers: Sequence[str], before: str | None, active: str, now: float, cause: str) -> None:
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
        }
        for router in routers
    ]
    tx.execute(insert(router_history), rows)
    for router in (id_ for id_, epoch in epochs.items() if epoch > KEPT_EPOCHS):
        old = (router_history.c.router_id == router, router_history.c.epoch <= epochs[router] - KEPT_EPOCHS)
        tx.execute(delete(router_history).where(*old))
