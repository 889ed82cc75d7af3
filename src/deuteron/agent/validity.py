"""Whether a unit of the plan can be used in commands and configuration files."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from deuteron.plan.units import Instance, Lease, Unit

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_WORD = re.compile(r"[0-9A-Za-z._:/@%+-]*")
_FREE_TEXT: tuple[type[Unit], ...] = (Instance, Lease)
"""Their texts never reach a command; DHCP checks host names itself, so as to say which lease is refused."""


def unfit(unit: Unit) -> str | None:
    """Return why a unit cannot be used, None when it can.

    Names, addresses and identifiers of the plan become words of commands: nothing may stand in them that
    could end a word or a line.
    """
    if not _ID.fullmatch(unit.id):
        return f"its id {unit.id[:80]!r} is not an identifier"
    if isinstance(unit, _FREE_TEXT):
        return None
    for text in _texts(msgspec.to_builtins(unit)):
        if not _WORD.fullmatch(text):
            return f"{text[:80]!r} has characters that do not belong into a plan"
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
