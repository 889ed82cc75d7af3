"""Events as they are read: a page of them, and what came since."""

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Select, select

from deuteron.resources.hosts import event
from deuteron.store import Cursor, TooOld, Tx, feed


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in words and as data. `at` is a Unix time."""

    id: int
    at: float
    kind: str
    subject_kind: str
    """What it is about: "router", "network", "host" or "election"."""
    subject_id: str
    subject_name: str
    host: str | None
    text: str
    data: dict[str, Any]


def page(tx: Tx, since: int | None, limit: int) -> list[Event]:
    """Return the first events after one, or without one the newest; oldest first."""
    if since is None:
        newest = tx.execute(select(event).order_by(event.c.id.desc()).limit(limit)).all()
        return [_event(row) for row in reversed(newest)]
    return _events(tx, select(event).where(event.c.id > since).order_by(event.c.id).limit(limit))


def news(tx: Tx, cursor: Cursor, last: int) -> tuple[list[Event], Cursor]:
    """Return the events that were committed after a cursor, and the new cursor.

    When the change log does not reach back so far, those after the event with the id `last`.
    """
    named: set[int] = set()
    try:
        while True:
            changes, after = feed.read(tx, cursor)
            named.update(int(one.object_id) for one in changes if one.kind == "event")
            if after == cursor:
                break
            cursor = after
    except TooOld:
        found = _events(tx, select(event).where(event.c.id > last).order_by(event.c.id))
        return found, feed.head(tx)
    return _named(tx, named), cursor


def _named(tx: Tx, ids: Collection[int]) -> list[Event]:
    if not ids:
        return []
    return _events(tx, select(event).where(event.c.id.in_(ids)).order_by(event.c.id))


def _events(tx: Tx, statement: Select[Any]) -> list[Event]:
    return [_event(row) for row in tx.execute(statement)]


def _event(row: Any) -> Event:
    return Event(**{name: getattr(row, name) for name in Event.__struct_fields__})
