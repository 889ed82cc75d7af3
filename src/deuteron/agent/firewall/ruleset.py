"""Tables of nftables in pieces that can change alone, and the commands from what is there to what should be.

A piece is what one thing (a port, a group, a set of addresses...) brings into the tables. Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TABLE = "deuteron_firewall"
Name = tuple[str, str]
"""Of a chain or a set: its family, and what it is called there."""
Elements = frozenset[tuple[Name, str, str]]
"""(set or map, key, value or "")."""


@dataclass(frozen=True)
class Piece:
    """Chains with their rules, sets, and elements of these sets or of those that are always there."""

    chains: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    sets: Mapping[Name, str] = field(default_factory=dict)
    """Set -> its type and flags."""
    elements: Elements = frozenset()


NOTHING = Piece()


def commands(changes: Iterable[tuple[Piece, Piece]]) -> list[str]:
    """Return the commands for one transaction that turns each first piece into its second.

    Ordered so that nothing is named before it is there, or removed while something names it.
    """
    pairs = list(changes)
    made: list[str] = []
    flushed: list[str] = []
    rules: list[str] = []
    deleted: list[str] = []
    for old, new in pairs:
        made += [f"add set {_at(n)} {{ {what} }}" for n, what in new.sets.items() if n not in old.sets]
        made += [f"add chain {_at(name)}" for name in new.chains if name not in old.chains]
        for name, lines in new.chains.items():
            if old.chains.get(name, ()) != lines:
                flushed += [f"flush chain {_at(name)}"] if name in old.chains else []
                rules += [f"add rule {_at(name)} {line}" for line in lines]
        gone = [name for name in old.chains if name not in new.chains]
        flushed += [f"flush chain {_at(name)}" for name in gone]
        deleted += [f"delete chain {_at(name)}" for name in gone]
        deleted += [f"delete set {_at(name)}" for name in old.sets if name not in new.sets]
    less = _elements("delete", (_leaving(old, new) for old, new in pairs))
    more = _elements("add", (new.elements - old.elements for old, new in pairs))
    return [*made, *less, *flushed, *rules, *more, *deleted]


def _leaving(old: Piece, new: Piece) -> Elements:
    """Return the elements that go, but for those whose set goes as a whole."""
    going = old.sets.keys() - new.sets.keys()
    return frozenset(element for element in old.elements - new.elements if element[0] not in going)


def _elements(verb: str, parts: Iterable[Elements]) -> list[str]:
    by_set: dict[Name, list[str]] = {}
    for name, key, value in (element for part in parts for element in part):
        by_set.setdefault(name, []).append(f"{key} : {value}" if value and verb == "add" else key)
    return [
        f"{verb} element {_at(name)} {{ {', '.join(sorted(keys))} }}" for name, keys in sorted(by_set.items())
    ]


def _at(name: Name) -> str:
    return f"{name[0]} {TABLE} {name[1]}"
