"""A port's further DHCP options: what a request may say, and what it changes."""

from collections.abc import Sequence
from typing import Any

from deuteron.resources.types import known_keys, line, list_of

Option = dict[str, Any]
"""`opt_name`, `opt_value`, `ip_version`."""

_MAY_BE_EMPTY = ("router", "classless-static-route")
"""Options that say by an empty value that a client gets none of them."""
_NAME = line(64)
_VALUE = line(255)


def _option(value: Any) -> Option:
    given = known_keys(value, ("opt_name",), ("opt_value", "ip_version"))
    name = _NAME.convert(given["opt_name"])
    if not name.strip():
        raise ValueError("'' Blank strings are not permitted")
    text = given.get("opt_value")
    if text is not None:
        text = _VALUE.convert(text)
        if not text.strip() and name not in _MAY_BE_EMPTY:
            raise ValueError(f"'{text}' Blank strings are not permitted")
    version = given.get("ip_version", 4)
    if str(version) not in ("4", "6"):
        raise ValueError(f"{version} is not in [4, 6]")
    return {"opt_name": name, "opt_value": text, "ip_version": int(version)}


OPTIONS = list_of(_option, what="option")
"""A list of options; a value of None takes one away."""


def merged(present: Sequence[Option], wanted: Sequence[Option]) -> list[Option]:
    """Return a port's options after a request: each of them adds, changes or, with None, takes one away."""
    found = {(one["opt_name"], one["ip_version"]): one for one in present}
    found.update({(one["opt_name"], one["ip_version"]): one for one in wanted})
    return [one for one in found.values() if one["opt_value"] is not None]
