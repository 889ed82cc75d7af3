"""Incidents: several hosts were active in one election at once. Each is named, ended and kept."""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update

from deuteron.placement import events
from deuteron.plan.units import ElectionReport
from deuteron.resources.hosts import election_member, incident, router_candidate
from deuteron.store import Tx

KEPT = 1000
"""Incidents that are told of."""


def begin(tx: Tx, election_id: str, began: float, stays: str, others: Sequence[str], reason: str) -> None:
    """Write down that several are active, or that it is decided anew who stays."""
    hosts = sorted({stays, *others})
    cause = (
        f"{' and '.join(hosts)} are active at once: they do not hear each other on the heartbeat network, and"
        f" all of them report: the heartbeat's path between them is cut; {reason}"
    )
    values = {"hosts": hosts, "stays": stays, "cause": cause}
    if _open(tx, election_id) is not None:
        mine = (incident.c.election_id == election_id, incident.c.ended.is_(None))
        tx.execute(update(incident).where(*mine).values(values))
        return
    _write(tx, election_id, began, None, **values)
    events.note(tx, "incident", _subject(election_id), cause, data={"hosts": hosts, "stays": stays})


def follow(tx: Tx, election_id: str, host: str, heard: float, report: ElectionReport, now: float) -> None:
    """Take note of what a member says that may end an incident, or tell of one that VRRP has ended itself.

    `heard` is when it said what it said before.
    """
    if report.state == "active":
        return
    row = _open(tx, election_id)
    if row is not None:
        if host in row.hosts and len(_active(tx, election_id) & set(row.hosts)) < 2:
            _end(tx, row, now)
        return
    if report.rival:
        hosts = sorted({host, report.rival})
        cause = f"{' and '.join(hosts)} were active at once until they heard each other again"
        theirs = select(election_member.c.heard).where(
            election_member.c.election_id == election_id,
            election_member.c.host == report.rival,
            election_member.c.state == "active",
        )
        began = max(heard, tx.execute(theirs).scalar() or now)
        _write(tx, election_id, began, now, hosts=hosts, stays=report.rival, cause=cause)
        data = {"hosts": hosts, "stays": report.rival, "seconds": now - began}
        events.note(tx, "incident_ended", _subject(election_id), cause, data=data)


def end_without(tx: Tx, dead: Iterable[str], now: float) -> None:
    """End those that last because of hosts that are dead now."""
    gone = set(dead)
    for row in tx.execute(select(incident).where(incident.c.ended.is_(None))).all():
        if len(set(row.hosts) - gone) < 2:
            _end(tx, row, now)


def _open(tx: Tx, election_id: str) -> Any:
    mine = (incident.c.election_id == election_id, incident.c.ended.is_(None))
    return tx.execute(select(incident).where(*mine)).first()


def _active(tx: Tx, election_id: str) -> set[str]:
    mine = (election_member.c.election_id == election_id, election_member.c.state == "active")
    return set(tx.execute(select(election_member.c.host).where(*mine)).scalars())


def _write(tx: Tx, election_id: str, began: float, ended: float | None, **values: Any) -> None:
    riding = select(router_candidate.c.router_id).where(router_candidate.c.election_id == election_id)
    routers = sorted(tx.execute(riding.distinct()).scalars())
    fixed = {"id": str(uuid.uuid4()), "election_id": election_id, "began": began, "ended": ended}
    tx.execute(insert(incident).values(**fixed, routers=routers, **values))
    last = tx.execute(select(incident.c.began).order_by(incident.c.began.desc()).offset(KEPT).limit(1))
    if (oldest := last.scalar()) is not None:
        tx.execute(delete(incident).where(incident.c.began <= oldest))


def _end(tx: Tx, row: Any, now: float) -> None:
    tx.execute(update(incident).where(incident.c.id == row.id).values(ended=now))
    seconds = now - row.began
    text = f"only {row.stays} is active again, after {seconds:.1f} s"
    data = {"hosts": row.hosts, "stays": row.stays, "seconds": seconds}
    events.note(tx, "incident_ended", _subject(row.election_id), text, data=data)


def _subject(election_id: str) -> events.Subject:
    return events.Subject("election", election_id)
