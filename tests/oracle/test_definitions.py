"""The judge: neutron-lib's definitions of the API, attribute by attribute, value by value."""

import re
import tomllib
from pathlib import Path

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
