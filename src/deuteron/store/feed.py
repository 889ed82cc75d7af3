"""The change log: what changed, appended in the transaction that changed it, read in commit order.

It says which object changed, not how: a reader looks at the object's present state. So a change
may be delivered twice, but is never missed.

On SQLite there is one writer, and ids are in commit order. On PostgreSQL they are not: a
transaction that started earlier may commit later, so a reader that remembers only the last id
loses rows. There each row has the id of its transaction, and a reader takes only what is older than
the oldest transaction that still runs (in any database of the cluster: a long write delays it).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text, text

from deuteron.store.schema import ID_LENGTH, metadata

if TYPE_CHECKING:
    from deuteron.store.database import Tx

Op = Literal["create", "update", "delete"]

KEPT = 100_000
"""Changes that trimming leaves."""

change = Table(
    "change",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("xid", BigInteger, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("object_id", Text, nullable=False),
    Column("op", String(8), nullable=False),
    Index(None, "xid", "id"),
    sqlite_autoincrement=True,
)

change_floor = Table(
    "change_floor",
    metadata,
    Column("name", String(ID_LENGTH), primary_key=True),
    Column("xid", BigInteger, nullable=False),
    Column("change_id", BigInteger, nullable=False),
)
"""One row, "trimmed": the last change that is gone."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """A place in the log: everything up to and including it is known."""

    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class Change:
    """One object changed. `kind` is the resource's singular name."""

    kind: str
    object_id: str
    op: Op


class TooOld(Exception):
    """What follows this cursor was trimmed: take a snapshot and a new cursor."""


_CURRENT_XID = {"sqlite": "0", "postgresql": "pg_current_xact_id()::text::bigint"}
# What has a smaller transaction id is committed or will never be.
_SETTLED = {"sqlite": "1", "postgresql": "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"}
_APPEND = {
    dialect: text(f"INSERT INTO change (xid, kind, object_id, op) VALUES ({xid}, :kind, :object_id, :op)")
    for dialect, xid in _CURRENT_XID.items()
}
_READ = {
    "sqlite": text("SELECT xid, id, kind, object_id, op FROM change WHERE id > :id ORDER BY id LIMIT :limit"),
    "postgresql": text(
        "SELECT xid, id, kind, object_id, op FROM change"
        f" WHERE (xid, id) > (:xid, :id) AND xid < {_SETTLED['postgresql']} ORDER BY xid, id LIMIT :limit"
    ),
}
_HEAD = {
    "sqlite": text(
        "SELECT 0 AS xid, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0) AS id"
    ),
    # All below xmin are seen by this snapshot; those from xmin on may or may not be, and come again.
    "postgresql": text(f"SELECT {_SETTLED['postgresql']} - 1 AS xid, 9223372036854775807 AS id"),
}
_FLOOR = text("SELECT xid, change_id AS id FROM change_floor WHERE name = 'trimmed'")
_OVERDUE = {
    dialect: text(
        f"SELECT xid, id FROM change WHERE xid < {settled} ORDER BY xid DESC, id DESC LIMIT 1 OFFSET :kept"
    )
    for dialect, settled in _SETTLED.items()
}
_TRIM = text("DELETE FROM change WHERE (xid, id) <= (:xid, :id)")
_RAISE_FLOOR = text(
    "INSERT INTO change_floor (name, xid, change_id) VALUES ('trimmed', :xid, :id)"
    " ON CONFLICT (name) DO UPDATE SET xid = excluded.xid, change_id = excluded.change_id"
)


def append(tx: "Tx", changes: Sequence[Change]) -> None:
    """Write changes into the log of this transaction."""
    rows = [{"kind": c.kind, "object_id": c.object_id, "op": c.op} for c in changes]
    tx.execute(_APPEND[tx.dialect], rows)


def head(tx: "Tx") -> Cursor:
    """Return a cursor such that all that this transaction does not see comes after it.

    Take it in the same `Database.read` as a snapshot of the state.
    """
    row = tx.execute(_HEAD[tx.dialect]).one()
    return Cursor(row.xid, row.id)


def read(tx: "Tx", cursor: Cursor, limit: int = 1000) -> tuple[list[Change], Cursor]:
    """Return up to `limit` changes after the cursor, and the cursor behind them. Raises TooOld."""
    floor = tx.execute(_FLOOR).first()
    if floor is not None and cursor < Cursor(floor.xid, floor.id):
        raise TooOld
    wanted = {"id": cursor.id, "limit": limit}
    if tx.dialect == "postgresql":
        wanted["xid"] = cursor.xid
    rows = tx.execute(_READ[tx.dialect], wanted).all()
    if rows:
        cursor = Cursor(rows[-1].xid, rows[-1].id)
    return [Change(row.kind, row.object_id, row.op) for row in rows], cursor


def trim(tx: "Tx", kept: int = KEPT) -> int:
    """Remove all but the newest changes; return how many went."""
    last = tx.execute(_OVERDUE[tx.dialect], {"kept": kept}).first()
    if last is None:
        return 0
    tx.execute(_RAISE_FLOOR, {"xid": last.xid, "id": last.id})
    return tx.execute(_TRIM, {"xid": last.xid, "id": last.id}).rowcount
