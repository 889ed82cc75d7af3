"""What a Neutron resource is: a declaration from which table, validation, filters and routes come.

A module of deuteron.resources declares in `DECLARES` what it adds: `Resource`s, `Extension`s of
other modules' resources, and `Alias`es (names under which clients find out what a server can do).
How to do it is given as plain functions; where none is given, `rows` does the usual.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, ColumnElement, ForeignKey, Index, Table
from sqlalchemy.schema import SchemaItem

from deuteron.resources.attribute import UNSET, Attr, column_name
from deuteron.resources.call import Call
from deuteron.resources.errors import NotFound
from deuteron.resources.types import NAME, UUID, integer, line, text
from deuteron.store import metadata

Item = dict[str, Any]
"""A resource's attributes as they are stored or shown."""

STANDARD: Mapping[str, Attr] = {
    "id": Attr(type=UUID, default=UNSET),
    "name": Attr(type=NAME, default="", post=True, put=True),
    "description": Attr(type=text(255), default="", post=True, put=True),
    "project_id": Attr(type=line(), default=UNSET, post=True, index=True),
    "created_at": Attr(type=line(20), default=UNSET),
    "updated_at": Attr(type=line(20), default=UNSET),
    "revision_number": Attr(type=integer(0, 2**63 - 1), default=UNSET),
}
"""What every resource has."""

_BELOW: Mapping[str, Attr] = {
    "name": Attr(type=NAME, default="", stored=False, visible=False),
    "description": Attr(type=text(255), default="", stored=False, visible=False),
    "project_id": Attr(type=line(), default=UNSET, post=True, stored=False, visible=False),
    "created_at": Attr(type=line(20), default=UNSET, visible=False),
    "updated_at": Attr(type=line(20), default=UNSET, visible=False),
    "revision_number": Attr(type=integer(0, 2**63 - 1), default=UNSET, visible=False),
}
"""What of it a resource shows that lives below another: nothing but its id."""


@dataclass(frozen=True, kw_only=True)
class Alias:
    """An extension as `GET /v2.0/extensions` lists it."""

    alias: str
    name: str
    description: str
    updated: str = "2026-01-01T00:00:00-00:00"
    setting: str = ""
    """The setting of the server that must be on; without one it is always listed."""


@dataclass(frozen=True)
class Rules:
    """Rules of policy for what a module adds, where Neutron has none: name -> check."""

    rules: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Child:
    """A collection below one object, such as /networks/ID/dhcp-agents.

    `listing(call, id)` gives the items; `add(call, id, body)`, `show(call, id, child_id)`,
    `change(call, id, child_id, body)`, `remove(call, id, child_id)` and `actions`, which are like
    `change`, may be absent. `collection` is the key in the answer to a list.
    """

    collection: str
    listing: Callable[[Call, str], list[Item]]
    add: Callable[[Call, str, Any], Any] | None = None
    remove: Callable[[Call, str, str], None] | None = None
    show: Callable[[Call, str, str], Any] | None = None
    change: Callable[[Call, str, str, Any], Any] | None = None
    actions: Mapping[str, Callable[[Call, str, str, Any], Any]] = field(default_factory=dict)
    rule: str = ""
    """What rules of policy call one of them, where that is not its name in the path."""


Action = Callable[[Call, str, Any], Any]
"""action(call, id, body) -> the body of the answer; PUT /COLLECTION/ID/ACTION."""
Present = Callable[[Call, list[Item]], None]
"""Fill in derived attributes of many objects with few queries."""
Filter = Callable[[Call, list[str]], ColumnElement[bool]]
"""A filter of an attribute without a column: the texts of the query -> a condition on the table."""

Narrowing = Callable[[list[Item], Sequence[Any]], list[Item]]
"""A filter of a resource without a table: its objects and the values of the query -> what is left of them."""


@dataclass(kw_only=True, eq=False)
class Extension:
    """What a module adds to a resource of another module.

    Stored attributes get a table of their own, COLLECTION_NAME, with a row for each object that does
    not have all defaults. In the same transaction run `created(call, row, values)` and
    `updated(call, row, changes)`, with the row as it was, after the resource's own work,
    `updating(call, row, changes)` and `deleting(call, row)` before it.
    """

    resource: str
    name: str
    attributes: Mapping[str, Attr] = field(default_factory=dict)
    present: Present | None = None
    created: Callable[[Call, Item, Mapping[str, Any]], None] | None = None
    updating: Callable[[Call, Item, Mapping[str, Any]], None] | None = None
    updated: Callable[[Call, Item, Mapping[str, Any]], None] | None = None
    deleting: Callable[[Call, Item], None] | None = None
    actions: Mapping[str, Action] = field(default_factory=dict)
    children: Mapping[str, Child] = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    table: Table | None = None


@dataclass(kw_only=True, eq=False)
class Resource:
    """A resource. `attributes` come on top of the standard ones, or replace them.

    `create(call, values)` gets validated values with defaults and returns the stored row;
    `update(call, row, changes)` returns the new row; `delete(call, row)`. With `rows`, a resource has
    no table: the function returns all objects, and filters, sorting and paging work on them.
    """

    name: str
    collection: str
    attributes: Mapping[str, Attr]
    path: str = ""
    """Below /v2.0, where that is not the collection's name."""
    blank: Mapping[str, Any] = field(default_factory=dict)
    """What an update says that names no attribute at all."""
    parent: str = ""
    """The resource below each of whose objects it has a collection: /PARENTS/ID/COLLECTION. It has an
    attribute PARENT_id and goes with its parent; who owns that one is `ext_parent` in rules of policy."""
    key: str = "id"
    """Of a resource that lives below another: the attribute by which paths name one of them there."""
    member: str = ""
    """What one is called in bodies, where that is not its name."""
    also: str = ""
    """Another word for one in bodies: understood as well, and answers bear both."""
    not_found: type[NotFound] = NotFound
    constraints: Sequence[SchemaItem] = ()
    create: Callable[[Call, Item], Item] | None = None
    update: Callable[[Call, Item, Item], Item] | None = None
    delete: Callable[[Call, Item], None] | None = None
    present: Present | None = None
    rows: Callable[[Call], list[Item]] | None = None
    show: Callable[[Call, str, frozenset[str]], Item] | None = None
    """show(call, id, fields) -> the object as it is shown; may write what it shows."""
    before_listing: Callable[[Call, Mapping[str, list[str]]], None] | None = None
    """Writes what must be there before a list with these filters is made."""
    actions: Mapping[str, Action] = field(default_factory=dict)
    children: Mapping[str, Child] = field(default_factory=dict)
    filters: Mapping[str, Filter] = field(default_factory=dict)
    narrowing: Mapping[str, Narrowing] = field(default_factory=dict)
    """With `rows`: filters that do more than compare."""
    listable: bool = True
    creatable: bool = True
    updatable: bool = True
    deletable: bool = True
    table: Table = field(init=False)
    stored: tuple[str, ...] = field(init=False)
    """The attributes that are columns of the table, in their order."""
    extensions: list[Extension] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Derive the path and the table."""
        self.path = self.path or self.collection
        self.member = self.member or self.name
        if self.rows is None:
            self.attributes = {**STANDARD, **self._of_parent(), **self.attributes}
            columns = [_column(name, attr) for name, attr in self.attributes.items() if attr.stored]
            self.table = Table(self.name, metadata, *columns, *self.constraints, info={"resource": self})
        self.stored = tuple(name for name, attr in self.attributes.items() if attr.stored)

    def _of_parent(self) -> Mapping[str, Attr]:
        if not self.parent:
            return {}
        references = f"{self.parent}.id"
        own = Attr(
            type=UUID, default=UNSET, visible=False, references=references, on_delete="CASCADE", index=True
        )
        return {**_BELOW, f"{self.parent}_id": own}

    def extend(self, extension: Extension) -> None:
        """Take in what another module adds."""
        clash = set(extension.attributes) & set(self.attributes)
        if clash:
            raise ValueError(f"{extension.name}: {self.name} already has {', '.join(sorted(clash))}")
        if any(attr.stored for attr in extension.attributes.values()):
            extension.table = _side_table(self, extension)
        self.extensions.append(extension)
        self.attributes = {**self.attributes, **extension.attributes}
        self.actions = {**self.actions, **extension.actions}
        self.children = {**self.children, **extension.children}
        self.filters = {**self.filters, **extension.filters}

    def has_column(self, attribute: str) -> bool:
        """Whether an attribute, also an extension's, is stored in a column."""
        return self.rows is None and self.attributes[attribute].stored

    def column(self, attribute: str) -> ColumnElement[Any]:
        """Return the column of a stored attribute, also of an extension's."""
        for extension in self.extensions:
            if attribute in extension.attributes and extension.table is not None:
                return extension.table.c[column_name(attribute)]
        return self.table.c[column_name(attribute)]


def _column(name: str, attr: Attr) -> Column[Any]:
    if attr.type.column is None:
        raise ValueError(f"{name}: its type has no column; declare it with stored=False")
    references = [ForeignKey(attr.references, ondelete=attr.on_delete)] if attr.references else []
    return Column(
        column_name(name),
        attr.type.column,
        *references,
        primary_key=name == "id",
        nullable=attr.nullable,
        index=True if attr.index else None,
        unique=True if attr.unique else None,
    )


def _side_table(resource: Resource, extension: Extension) -> Table:
    key = Column("id", UUID.column, ForeignKey(f"{resource.name}.id", ondelete="CASCADE"), primary_key=True)
    columns = [_column(name, attr) for name, attr in extension.attributes.items() if attr.stored]
    return Table(f"{resource.name}_{extension.name}", metadata, key, *columns)


def index(*columns: str, unique: bool = False, where: Any = None, name: str | None = None) -> Index:
    """Return an index, unique or not, on the rows that meet a condition."""
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)
