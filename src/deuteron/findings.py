"""What a check found, whoever checked."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at: it is well, could be better (warn) or must be mended (fail)."""

    level: Literal["ok", "warn", "fail"]
    group: str
    text: str
    fix: str = ""


def judge(group: str, good: str, wrong: str | None, fix: str = "", *, warn: bool = False) -> Finding:
    """Return a finding: `good` unless something is `wrong`, which is a failure or only a warning."""
    if wrong is None:
        return Finding(level="ok", group=group, text=good)
    return Finding(level="warn" if warn else "fail", group=group, text=wrong, fix=fix)
