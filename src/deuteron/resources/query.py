"""Lists: filters, sorting and paging, for tables and for computed items."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Integer, Select, and_, asc, cast, desc, func, or_, select

from deuteron.resources import access
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, HTTPBadRequest, InvalidInput
from deuteron.resources.resource import Item, Resource
from deuteron.resources.types import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a list request asks for. `sorts` are (attribute, whether ascending)."""

    filters: Mapping[str, list[str]] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()
    sorts: tuple[tuple[str, bool], ...] = ()
    limit: int = 0
    marker: str | None = None
    reverse: bool = False
    parent: str = ""
    """Of a resource that lives below another: below which object."""
    changed_since: str | None = None
    """Only what changed at this time or later, as timestamps are shown."""


def rows(call: Call, resource: Resource, query: Query) -> list[Item]:
    """Return the stored rows that a query asks for and the caller sees, those of extensions joined in."""
    _check_names(resource, query)
    if resource.rows is not None:
        return _computed(call, resource, query)
    order = _order(query)
    statement, names = _select(resource)
    if (seen := access.condition(call, resource)) is not None:
        statement = statement.where(seen)
    if query.parent:
        statement = statement.where(resource.column(f"{resource.parent}_id") == query.parent)
    for name, texts in query.filters.items():
        statement = statement.where(_condition(call, resource, name, texts))
    if query.changed_since is not None:
        statement = statement.where(resource.table.c.updated_at >= query.changed_since)
    if query.marker is not None:
        statement = statement.where(_beyond(call, resource, query.marker, order))
    for name, ascending in order:
        statement = statement.order_by((asc if ascending else desc)(_sortable(resource, name)))
    if query.limit:
        statement = statement.limit(query.limit)
    found = [dict(zip(names, row, strict=True)) for row in call.tx.execute(statement).all()]
    _fill_defaults(resource, found)
    return found[::-1] if query.reverse else found


def with_extensions(call: Call, resource: Resource, row: Item) -> Item:
    """Return a stored row with what extensions store for it."""
    for extension in resource.extensions:
        if extension.table is not None:
            stored = [name for name, attr in extension.attributes.items() if attr.stored]
            found = call.tx.execute(
                select(*(resource.column(name) for name in stored)).where(extension.table.c.id == row["id"])
            ).first()
            defaults = [extension.attributes[name].default for name in stored]
            row = {**row, **dict(zip(stored, found or defaults, strict=True))}
    return row


def _check_names(resource: Resource, query: Query) -> None:
    wrong = [
        name
        for name in query.filters
        if name not in resource.filters
        and name not in resource.narrowing
        and not _usable(resource.attributes.get(name), "filter")
    ]
    if wrong:
        raise HTTPBadRequest(msg=f"{[shown(name) for name in wrong]} is invalid attribute for filtering")
    wrong = [name for name, _ in query.sorts if not _usable(resource.attributes.get(name), "sort")]
    if wrong:
        raise HTTPBadRequest(msg=f"{[shown(name) for name in wrong]} is invalid attribute for sort_keys")


def _usable(attr: Attr | None, use: str) -> bool:
    return attr is not None and attr.visible and bool(getattr(attr, use))


def _order(query: Query) -> list[tuple[str, bool]]:
    order = list(query.sorts)
    if (order or query.limit or query.marker) and "id" not in dict(order):
        order.append(("id", True))
    return [(name, ascending is not query.reverse) for name, ascending in order]


def _select(resource: Resource) -> tuple[Select[Any], list[str]]:
    names = list(resource.stored)
    source: Any = resource.table
    for extension in resource.extensions:
        if extension.table is not None:
            source = source.outerjoin(extension.table, extension.table.c.id == resource.table.c.id)
            names += [name for name, attr in extension.attributes.items() if attr.stored]
    return select(*(resource.column(name) for name in names)).select_from(source), names


def _fill_defaults(resource: Resource, items: list[Item]) -> None:
    for extension in resource.extensions:
        for name, attr in extension.attributes.items():
            if attr.stored and not attr.nullable:
                for item in items:
                    if item[name] is None:
                        item[name] = attr.default


def _condition(call: Call, resource: Resource, name: str, texts: list[str]) -> ColumnElement[bool]:
    if any("\0" in text for text in texts):
        raise InvalidInput(error_message=f"filter {name}: a NUL character")
    if name in resource.filters:
        return resource.filters[name](call, texts)
    attr = resource.attributes[name]
    if not resource.has_column(name):
        raise HTTPBadRequest(msg=f"{[name]} is invalid attribute for filtering")
    column = resource.column(name)
    values = [_from_query(name, attr, text) for text in texts]
    matches = column.in_(values) if len(values) > 1 else column == values[0]
    if attr.nullable and "" in texts:
        matches = or_(matches, column.is_(None))
    if name not in resource.stored and attr.default in values:
        matches = or_(matches, column.is_(None))
    return matches


def _from_query(name: str, attr: Attr, text: str) -> Any:
    try:
        return attr.type.from_query(text)
    except ValueError as error:
        raise InvalidInput(error_message=f"{name}: {error}") from None


def _sortable(resource: Resource, name: str) -> ColumnElement[Any]:
    if not resource.has_column(name):
        raise HTTPBadRequest(msg=f"{[name]} is invalid attribute for sort_keys")
    column = resource.column(name)
    if isinstance(column.type, Boolean):
        return cast(column, Integer)
    if resource.attributes[name].nullable:
        return func.coalesce(column, -1 if isinstance(column.type, Integer) else "")
    return column


def _beyond(
    call: Call, resource: Resource, marker: str, order: list[tuple[str, bool]]
) -> ColumnElement[bool]:
    keys = [_sortable(resource, name) for name, _ in order]
    asked = select(*keys).where(resource.table.c.id == marker)
    if (seen := access.condition(call, resource)) is not None:
        asked = asked.where(seen)
    found = call.tx.execute(asked).first()
    if found is None:
        raise resource.not_found(id=shown(marker))
    steps: list[ColumnElement[bool]] = []
    for place, ((_, ascending), key) in enumerate(zip(order, keys, strict=True)):
        before = [k == v for k, v in zip(keys[:place], found[:place], strict=True)]
        steps.append(and_(*before, key > found[place] if ascending else key < found[place]))
    return or_(*steps)


def _computed(call: Call, resource: Resource, query: Query) -> list[Item]:
    items = resource.rows(call) if resource.rows else []
    items = [item for item in items if access.sees(call, resource, item)]
    for name, texts in query.filters.items():
        wanted = [_from_query(name, resource.attributes[name], text) for text in texts]
        narrow = resource.narrowing.get(name)
        items = narrow(items, wanted) if narrow else [item for item in items if item.get(name) in wanted]
    for name, ascending in reversed(_order(query)):
        items.sort(key=lambda item: (item[name] is not None, item[name]), reverse=not ascending)
    if query.marker is not None:
        ids = [item["id"] for item in items]
        if query.marker not in ids:
            raise resource.not_found(id=shown(query.marker))
        items = items[ids.index(query.marker) + 1 :]
    if query.limit:
        items = items[: query.limit]
    return items[::-1] if query.reverse else items


def limit(text: str, most: int) -> int:
    """Return the number of items that a request's limit allows; 0 for all. Raises BadRequest."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadRequest(
            resource="limit", msg=f"Limit must be an integer 0 or greater and not '{shown(text)}'"
        )
    wanted = int(text)
    return min(wanted, most) or most if most else wanted
