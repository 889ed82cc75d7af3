"""The judge: neutron-lib's definitions of the API, attribute by attribute, value by value."""

import re
import tomllib
from pathlib import Path

from neutron_lib.api.definitions import _ALL_API_DEFINITIONS

from deuteron.api import discovery
from deuteron.resources import registry
from tests.oracle import definitions

_LISTED = Path(__file__).with_name("differences.toml")

NOT_THERE = {"next_providers"}
"""What Neutron declares but nothing there serves: providers that a flavour's profiles stand for."""


def _found() -> list[str]:
    known = registry.load()
    theirs = definitions.expected({*known.aliases, *(one.alias for one in discovery.ALIASES)})
    both = [one for name, one in sorted(known.resources.items()) if name in theirs]
    return [line for one in both for line in definitions.differences(one, theirs[one.collection])]


def test_every_difference_has_its_reason() -> None:
    found = _found()
    assert len(found) > 100, "the definitions were not found"
    unexplained = set(found)
    stale = []
    for because in tomllib.loads(_LISTED.read_text())["because"]:
        assert because["reason"]
        for pattern in because["differences"]:
            wanted = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
            matched = {line for line in found if wanted.fullmatch(line)}
            unexplained -= matched
            if not matched:
                stale.append(pattern)
    assert not unexplained, "\n".join(sorted(unexplained))
    assert not stale, "no longer so:\n" + "\n".join(stale)


def test_every_collection_is_there() -> None:
    known = registry.load()
    below = {child.collection for one in known.resources.values() for child in one.children.values()}
    below |= {name.replace("-", "_") for one in known.resources.values() for name in one.children}
    theirs = definitions.expected({*known.aliases, *(one.alias for one in discovery.ALIASES)})
    assert theirs.keys() - known.resources.keys() - below == NOT_THERE


def test_the_documentation_names_what_is_offered_and_what_is_not() -> None:
    offered_text, rest = (Path(__file__).parents[2] / "docs/api.md").read_text().split("## Not offered")
    absent_text = rest.split("## Who says so")[0]
    offered = set(registry.load().aliases) | {one.alias for one in discovery.ALIASES}
    assert _first_column(offered_text) == offered
    assert not _first_column(absent_text) & offered
    known = {one.ALIAS for one in _ALL_API_DEFINITIONS}
    assert not known - offered - _first_column(absent_text)


def _first_column(text: str) -> set[str]:
    rows = (line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    return {alias for row in rows for alias in re.findall(r"`([^`]+)`", row)}
