"""Texts of the plan that reach dnsmasq's files."""

import re

NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Unfit(Exception):
    """A text of the plan cannot stand in a configuration file."""


def checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    """Return a text that is as a pattern says. Raises Unfit."""
    if not pattern.fullmatch(text):
        raise Unfit(f"{what} {text[:80]!r} cannot be served: it has characters that do not belong there")
    return text
