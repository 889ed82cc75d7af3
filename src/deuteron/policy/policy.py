"""The rules: those of Neutron's names and defaults, and those of an operator's policy.yaml in their place.

The language is oslo.policy's, which also reads it. The rules are evaluated here and not by its Enforcer: a
list needs them as a condition of its query, and most are decided by who asks, once for thousands of objects.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oslo_policy import policy as oslo

from deuteron.policy.tree import All, Either, Field, Has, Named, Never, Same, Tree, of_caller
from deuteron.policy.who import Who

DEFAULT = "default"
"""The rule that stands for those that are not there."""
_REMEMBERED = 20_000
_PATH = re.compile(r"%\(([^)]+)\)s")
_FIELD = re.compile(r"([^:]+):(.+)=(.*)")


class PolicyError(Exception):
    """A rule cannot be used; the text names it and says why."""


class Policy:
    """All rules. Asked for the same caller again, it remembers."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        """Take rules by name. Raises PolicyError."""
        self._trees = {name: _parsed(name, text) for name, text in rules.items()}
        self._remembered: dict[tuple[str, Who], Tree] = {}
        for name in self._trees:
            self._refuse_unknown(name, (name,))

    def __contains__(self, rule: str) -> bool:
        return rule in self._trees

    def __iter__(self) -> Any:
        return iter(self._trees)

    def of(self, who: Who, rule: str) -> Tree:
        """Return what remains of a rule for a caller; of the default one if there is none of this name."""
        known = self._remembered.get((rule, who))
        if known is None:
            known = of_caller(self._trees.get(rule, Named(DEFAULT)), who, lambda name: self.of(who, name))
            if len(self._remembered) >= _REMEMBERED:
                self._remembered = {}
            self._remembered[rule, who] = known
        return known

    def allows(self, who: Who, rule: str) -> bool:
        """Whether a caller passes a rule whatever the object is."""
        return self.of(who, rule) is True

    def _refuse_unknown(self, name: str, path: tuple[str, ...]) -> None:
        for used in _names(self._trees[name]):
            if used in path:
                raise PolicyError(f"rule {path[0]}: it uses itself, by way of {used}")
            if used not in self._trees:
                raise PolicyError(f"rule {name}: it uses rule:{used}, which there is not")
            self._refuse_unknown(used, (*path, used))


def load(defaults: Mapping[str, str], path: Path | None) -> Policy:
    """Return the defaults with a file's rules in their place. Raises PolicyError."""
    if path is None:
        return Policy(defaults)
    try:
        given = oslo.parse_file_contents(path.read_text()) or {}
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path}: {error}") from None
    if not isinstance(given, dict):
        raise PolicyError(f"{path}: not rules by name")
    wrong = [str(name) for name, text in given.items() if not isinstance(text, str | list)]
    if wrong:
        raise PolicyError(f"{path}: rule {wrong[0]}: not a text")
    try:
        return Policy({**defaults, **given})
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None


def _names(tree: Tree) -> list[str]:
    match tree:
        case Named(name):
            return [name]
        case All(parts) | Either(parts):
            return [name for part in parts for name in _names(part)]
        case Never(part):
            return _names(part)
    return []


def _parsed(name: str, text: str) -> Tree:
    check = oslo.Rules.from_dict({name: text})[name]
    # What cannot be parsed is logged and made "never" by the parser.
    if str(check) == "!" and str(text).strip() != "!":
        raise PolicyError(f"rule {name}: {text!r} is not a rule")
    return _tree(name, check)


def _tree(name: str, check: Any) -> Tree:
    if isinstance(check, oslo.AndCheck):
        return All(tuple(_tree(name, part) for part in check.rules))
    if isinstance(check, oslo.OrCheck):
        return Either(tuple(_tree(name, part) for part in check.rules))
    if isinstance(check, oslo.NotCheck):
        return Never(_tree(name, check.rule))
    if str(check) in ("@", "!"):
        return str(check) == "@"
    return _leaf(name, check.kind, check.match)


def _leaf(name: str, kind: str, match: str) -> Tree:
    if kind == "rule":
        return Named(match)
    if kind == "field":
        found = _FIELD.fullmatch(match)
        if found is None:
            raise PolicyError(f"rule {name}: field:{match} is not field:COLLECTION:ATTRIBUTE=VALUE")
        return Field(*found.groups())
    if kind in ("http", "https"):
        raise PolicyError(f"rule {name}: {kind} checks are not supported")
    path = _PATH.fullmatch(match)
    if path is None:
        return Has(kind, match)
    try:
        return Field("", path[1], str(ast.literal_eval(kind)))
    except (ValueError, SyntaxError):
        return Same(kind, path[1])
