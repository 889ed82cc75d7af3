"""Tags: words that a user puts on an object, to find it by them."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, and_, func, not_, or_, type_coerce

from deuteron.resources import access, operations, rows
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, InvalidInput, NotFound
from deuteron.resources.resource import Alias, Extension, Filter, Item, Resource
from deuteron.resources.types import line, list_of, shown
from deuteron.store import metadata

MAX_LENGTH = 255
MAX_COUNT = 50

_word = line(MAX_LENGTH)
TAGS = list_of(_word.convert, what="tag")


class TagNotFound(NotFound):
    """`tag`."""

    message = "Tag {tag} could not be found."


def of(call: Call, resource: Resource, id_: str) -> list[str]:
    """Return an object's tags."""
    return _tags(_allowed(call, resource, id_, "get"))


def require(call: Call, resource: Resource, id_: str, tag: str) -> None:
    """Raise TagNotFound unless an object has a tag."""
    if tag not in of(call, resource, id_):
        raise TagNotFound(tag=shown(tag))


def replace(call: Call, resource: Resource, id_: str, body: Any) -> list[str]:
    """Give an object these tags and no others."""
    wanted = _given(body)
    row = _allowed(call, resource, id_, "update")
    _store(call, resource, row, wanted)
    return wanted


def add(call: Call, resource: Resource, id_: str, body: Any, operation: str = "create") -> list[str]:
    """Give an object these tags besides those that it has."""
    wanted = _given(body)
    row = _allowed(call, resource, id_, operation)
    _store(call, resource, row, list(dict.fromkeys([*_tags(row), *wanted])))
    return wanted


def remove(call: Call, resource: Resource, id_: str, tag: str | None) -> None:
    """Take a tag, or all of them, from an object. Raises TagNotFound."""
    row = _allowed(call, resource, id_, "delete")
    if tag is not None and tag not in _tags(row):
        raise TagNotFound(tag=shown(tag))
    _store(call, resource, row, [one for one in _tags(row) if tag is not None and one != tag])


def _allowed(call: Call, resource: Resource, id_: str, operation: str) -> Item:
    """Return an object's row if the caller may do this with its tags."""
    access.refuse_scope(call)
    row = operations.get(call, resource, id_, lock=operation != "get")
    access.check(call, resource, f"{operation}_{resource.name}:tags", row)
    return row


def _tags(row: Item) -> list[str]:
    found: list[str] = row["tags"]
    return found


def _given(body: Any) -> list[str]:
    if not isinstance(body, dict) or "tags" not in body:
        raise InvalidInput(error_message="Invalid tags body")
    try:
        found: list[str] = TAGS.convert(body["tags"])
    except ValueError as error:
        raise InvalidInput(error_message=str(error)) from None
    return found


def _store(call: Call, resource: Resource, row: Item, tags: list[str]) -> None:
    if len(tags) > MAX_COUNT:
        raise BadRequest(
            resource=resource.collection,
            msg=f"The number of tags exceed the per-resource limit of {MAX_COUNT}",
        )
    if tags != _tags(row):
        operations.store_extensions(call, resource, row["id"], {"tags": tags})
        rows.change(call, resource, row, {})


def on(name: str, post: bool = False) -> Extension:
    """Return what gives a resource tags; `post`: also when an object is created."""

    def created(call: Call, row: Item, values: Any) -> None:  # noqa: ARG001
        if len(values["tags"]) > MAX_COUNT:
            raise BadRequest(
                resource=name, msg=f"The number of tags exceed the per-resource limit of {MAX_COUNT}"
            )

    return Extension(
        resource=name,
        name="tags",
        attributes={"tags": Attr(type=TAGS, default=[], post=post, filter=False, sort=False)},
        created=created if post else None,
        filters={
            "tags": _filter(name, and_),
            "tags-any": _filter(name, or_),
            "not-tags": _filter(name, lambda *has: not_(and_(*has))),
            "not-tags-any": _filter(name, lambda *has: not_(or_(*has))),
        },
    )


def _filter(name: str, joined: Callable[..., ColumnElement[bool]]) -> Filter:
    def condition(call: Call, texts: list[str]) -> ColumnElement[bool]:
        wanted = [tag for text in texts for tag in text.split(",")]
        return joined(*(_has(call, name, tag) for tag in wanted))

    return condition


def _has(call: Call, name: str, tag: str) -> ColumnElement[bool]:
    """Whether an object has a tag: its JSON stands in the list's after the bracket or a comma.

    Nowhere else can that be: within a tag a quotation mark follows a backslash.
    """
    resource: Resource = metadata.tables[name].info["resource"]
    stored = func.coalesce(type_coerce(resource.column("tags"), Text), "[]")
    find = func.instr if call.tx.dialect == "sqlite" else func.strpos
    word = msgspec.json.encode(tag).decode()
    places: Sequence[ColumnElement[bool]] = [find(stored, f"{before}{word}") > 0 for before in "[,"]
    return or_(*places)


DECLARES = (
    *(on(name) for name in ("network", "subnet", "router", "floatingip", "security_group")),
    *(on(name) for name in ("segment", "network_segment_range")),
    on("port", post=True),
    Alias(
        alias="standard-attr-tag",
        name="Tag support for resources with standard attribute",
        description="Words by which objects are found",
    ),
    Alias(alias="tag-creation", name="Tag creation", description="Several tags are added at once"),
    Alias(
        alias="tag-ports-during-bulk-creation",
        name="Tag Ports During Bulk Creation",
        description="Ports are created with tags",
    ),
)
