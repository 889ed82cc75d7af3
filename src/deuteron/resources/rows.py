"""Rows of a resource's table as items (attribute name -> value), with their changes in the log."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from deuteron.resources.attribute import column_name
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict
from deuteron.resources.resource import Item, Resource

_CHUNK = 5000


def new(call: Call, resource: Resource, values: Mapping[str, Any]) -> Item:
    """Return a row of these values, with id, times and revision; not inserted."""
    now = call.tx.now
    standard = {
        "id": str(uuid.uuid4()),
        "created_at": now,
        "updated_at": now,
        "revision_number": 1,
        "project_id": call.project_id,
    }
    return {name: values[name] if name in values else standard[name] for name in resource.stored}


def insert(call: Call, resource: Resource, values: Mapping[str, Any]) -> Item | None:
    """Insert a row and return it; None where one of its unique values is taken."""
    row = new(call, resource, values)
    parameters = {column_name(name): value for name, value in row.items()}
    if call.tx.execute(_insert(resource, call.tx.dialect), parameters).rowcount == 0:
        return None
    call.tx.changed(resource.name, row["id"], "create")
    return row


def create(call: Call, resource: Resource, values: Mapping[str, Any]) -> Item:
    """Insert a row and return it. Raises Conflict where one of its unique values is taken."""
    row = insert(call, resource, values)
    if row is None:
        raise Conflict
    return row


def find(call: Call, resource: Resource, id_: str, lock: bool = False) -> Item | None:
    """Return a row; None if there is none. `lock`: nobody else changes it until the transaction ends."""
    found = call.tx.execute(_select_one(resource, lock), {"row_id": id_}).first()
    return None if found is None else dict(zip(resource.stored, found, strict=True))


def get(call: Call, resource: Resource, id_: str, lock: bool = False) -> Item:
    """Return a row, or raise the resource's error that says that there is none."""
    row = find(call, resource, id_, lock)
    if row is None:
        raise resource.not_found(id=id_)
    return row


def where(call: Call, resource: Resource, *conditions: ColumnElement[bool]) -> list[Item]:
    """Return the rows that meet all conditions."""
    found = call.tx.execute(columns(resource).where(*conditions)).all()
    return [dict(zip(resource.stored, row, strict=True)) for row in found]


def change(call: Call, resource: Resource, row: Item, changes: Mapping[str, Any]) -> Item:
    """Change attributes of a row that was read; return the new row. The revision counts up."""
    changed = {
        **changes,
        "updated_at": call.tx.now,
        "revision_number": row["revision_number"] + 1,
    }
    values = {column_name(name): value for name, value in changed.items()}
    statement = _update(resource, tuple(values))
    call.tx.execute(statement, {"row_id": row["id"], **{f"new_{k}": v for k, v in values.items()}})
    call.tx.changed(resource.name, row["id"], "update")
    return {**row, **changed}


def replace(call: Call, resource: Resource, row: Item) -> None:
    """Store a row of this transaction otherwise than it was inserted: not a change."""
    values = {column_name(name): row[name] for name in resource.stored}
    statement = _update(resource, tuple(values))
    call.tx.execute(statement, {"row_id": row["id"], **{f"new_{k}": v for k, v in values.items()}})


def remove(call: Call, resource: Resource, id_: str) -> None:
    """Delete a row."""
    call.tx.execute(delete(resource.table).where(resource.table.c.id == id_))
    call.tx.changed(resource.name, id_, "delete")


@cache
def columns(resource: Resource) -> Select[Any]:
    """Return a SELECT of the columns that make an item, in the order of `resource.stored`."""
    return select(*(resource.table.c[column_name(name)] for name in resource.stored))


def chunks(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """Split ids into parts that fit one statement."""
    iterator = iter(ids)
    while part := list(islice(iterator, _CHUNK)):
        yield part


@cache
def _insert(resource: Resource, dialect: str) -> Any:
    kind = sqlite.insert if dialect == "sqlite" else postgresql.insert
    # Without the option the count of an INSERT is unknown (-1) with psycopg.
    return kind(resource.table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


@cache
def _select_one(resource: Resource, lock: bool) -> Select[Any]:
    statement = columns(resource).where(resource.table.c.id == bindparam("row_id"))
    # FOR NO KEY UPDATE: inserting rows that refer to this one need not wait.
    return statement.with_for_update(key_share=True) if lock else statement


@cache
def _update(resource: Resource, names: tuple[str, ...]) -> Update:
    table = resource.table
    values = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}
    return update(table).where(table.c.id == bindparam("row_id")).values(values)
