"""An attribute of a resource, declared once: its type, default, and who may do what with it.

A table's column, the validation of requests, filters and sorting all come from this declaration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import UNSET
from sqlalchemy.types import TypeEngine

REQUIRED = object()
"""As a default: a POST must name the attribute."""


def _as_text(value: str) -> Any:
    return value


@dataclass(frozen=True)
class Type:
    """A type of values.

    `convert` takes what JSON gave and returns the canonical value; it raises ValueError with the
    reason. `column` is how it is stored; None if it never is. `from_query` converts the text of a
    filter. `schema` is the JSON Schema of canonical values, for the API's description; it checks nothing.
    """

    convert: Callable[[Any], Any]
    column: TypeEngine[Any] | None
    from_query: Callable[[str], Any] = _as_text
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, kw_only=True)
class Attr:
    """An attribute.

    What is not `stored` has no column: the resource's own functions make it of something else.
    With default UNSET, an absent value is left to the resource's `create`.
    """

    type: Type
    default: Any = REQUIRED
    post: bool = False
    put: bool = False
    visible: bool = True
    stored: bool = True
    nullable: bool = False
    filter: bool = True
    sort: bool = True
    index: bool = False
    unique: bool = False
    references: str | None = None
    """TABLE.COLUMN that it must name."""
    on_delete: str | None = None
    """What becomes of the row when that one goes: CASCADE, SET NULL; None: that one cannot go."""


def column_name(attribute: str) -> str:
    """Return the column of an attribute: `binding:host_id` is `binding_host_id`."""
    return attribute.replace(":", "_")


__all__ = ["REQUIRED", "UNSET", "Attr", "Type", "column_name"]
