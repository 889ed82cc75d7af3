"""What happened, told once: events, written in the transaction that made them happen.

An event is for people and for programs that watch: words, and the same as data. Ids grow, but on PostgreSQL
not in the order of commits: who follows events reads the change log, where each is named ("event", its id).
"""

import time
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import delete, insert, select

from deuteron.resources import network, router
from deuteron.resources.hosts import event
from deuteron.store import Tx

KEPT = 10_000
"""Events that trimming leaves."""
_TRIM_EVERY = 100

Kind = Literal[
    "host_dead",
    "host_back",
    "promotion",
    "move_begun",
    "move_done",
    "move_failed",
    "redundancy_lost",
    "redundancy_restored",
    "drain_begun",
    "drain_done",
    "drain_stuck",
    "drain_ended",
    "rebalance_begun",
    "rebalance_done",
    "incident",
    "incident_ended",
    "converted",
    "conversion_failed",
]


class Subject(msgspec.Struct, frozen=True):
    """What an event is about: a "router", "network", "host" or "election"."""

    kind: str
    id: str
    name: str = ""


def note(
    tx: Tx,
    kind: Kind,
    subject: Subject,
    text: str,
    *,
    host: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Write down that something happened now; return the event's id. `host` is where, if in one place."""
    values = {
        "at": time.time(),
        "kind": kind,
        "subject_kind": subject.kind,
        "subject_id": subject.id,
        "subject_name": subject.name,
        "host": host,
        "text": text,
        "data": dict(data or {}),
    }
    id_: int = tx.execute(insert(event).values(values).returning(event.c.id)).scalar_one()
    tx.changed("event", str(id_), "create")
    if id_ % _TRIM_EVERY == 0:
        trim(tx)
    return id_


def trim(tx: Tx, kept: int = KEPT) -> None:
    """Remove all but the newest events."""
    newest = select(event.c.id).order_by(event.c.id.desc())
    last = tx.execute(newest.limit(1).offset(kept)).scalar()
    if last is not None:
        tx.execute(delete(event).where(event.c.id <= last))


def of_router(tx: Tx, id_: str) -> Subject:
    """Return a router as a subject, with its name if it still has one."""
    return Subject("router", id_, _name(tx, router.resource.table, id_))


def of_network(tx: Tx, id_: str) -> Subject:
    """Return a network as a subject, with its name if it still has one."""
    return Subject("network", id_, _name(tx, network.resource.table, id_))


def of_host(name: str) -> Subject:
    """Return a host as a subject."""
    return Subject("host", name, name)


def _name(tx: Tx, table: Any, id_: str) -> str:
    return str(tx.execute(select(table.c.name).where(table.c.id == id_)).scalar() or "")
