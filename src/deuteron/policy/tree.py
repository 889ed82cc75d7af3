"""A rule as a tree, and what remains of it once it is known who asks.

What remains is True, False, or a tree of conditions on the object alone, which may be held against an object
or become a condition of a query.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from deuteron.policy.who import Who


@dataclass(frozen=True, slots=True)
class Named:
    """What another rule says."""

    rule: str


@dataclass(frozen=True, slots=True)
class Has:
    """The caller has this value under this name, such as a role."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Same:
    """The caller has under this name what the object has at this path."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Match:
    """What the object has at this path is one of the values.

    `network:project_id` is its network's project.
    """

    path: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute of the object has this value. `collection` says whose attribute it is."""

    collection: str
    name: str
    value: str

    def holds(self, value: object) -> bool:
        """Whether a value is the one; `~...` is a regular expression."""
        if value is None:
            return False
        if self.value.startswith("~"):
            return re.match(self.value[1:], str(value)) is not None
        if isinstance(value, bool):
            return value is (self.value.lower() in ("true", "1"))
        return str(value) == self.value


@dataclass(frozen=True, slots=True)
class All:
    """All of the parts."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of the parts."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Never:
    """Not the part."""

    part: "Tree"


Tree: TypeAlias = bool | Named | Has | Same | Match | Field | All | Either | Never


def of_caller(tree: Tree, who: Who, rule: Callable[[str], Tree]) -> Tree:
    """Return what remains of a tree for a caller; `rule` gives what remains of another rule."""
    match tree:
        case Named(name):
            return rule(name)
        case Has(name, value):
            return (value.lower() if "role" in name else value) in who.values(name)
        case Same(name, path):
            values = who.values(name)
            return Match(path, values) if values else False
        case All(parts):
            return _joined(All, [of_caller(part, who, rule) for part in parts], neutral=True)
        case Either(parts):
            return _joined(Either, [of_caller(part, who, rule) for part in parts], neutral=False)
        case Never(part):
            rest = of_caller(part, who, rule)
            return (not rest) if isinstance(rest, bool) else Never(rest)
    return tree


def _joined(kind: type[All] | type[Either], parts: list[Tree], neutral: bool) -> Tree:
    """Leave out what changes nothing, and all if one part decides."""
    rest: dict[Tree, None] = {}
    for part in parts:
        if part is (not neutral):
            return not neutral
        if part is not neutral:
            rest.update(dict.fromkeys(part.parts if isinstance(part, kind) else (part,)))
    if not rest:
        return neutral
    return kind(tuple(rest)) if len(rest) > 1 else next(iter(rest))
