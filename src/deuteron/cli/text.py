"""Words and tables for people: they fit into the terminal, and are whole when they go elsewhere."""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence

WIDE = 10_000
"""Columns where nobody looks at lines as such: a pipe, a file."""
_LEAST = 16


def width() -> int:
    """Return how many columns there are."""
    if "COLUMNS" in os.environ or sys.stdout.isatty():
        return max(40, shutil.get_terminal_size((80, 24)).columns)
    return WIDE


def age(seconds: float | None) -> str:
    """Return a duration in words, two units at most; "-" for none."""
    if seconds is None:
        return "-"
    left = max(0, round(seconds))
    units = [(left // 86400, "d"), (left % 86400 // 3600, "h"), (left % 3600 // 60, "m"), (left % 60, "s")]
    first = next((number for number, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"


def moment(at: float) -> str:
    """Return a Unix time as the clock on the wall shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def gap(milliseconds: float | None) -> str:
    """Return how long nobody was active."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], columns: int) -> Iterator[str]:
    """Yield the lines of a table; what does not fit is wrapped in the last column."""
    widths = [max(len(line[number]) for line in (header, *rows)) for number in range(len(header) - 1)]
    left = max(_LEAST, columns - sum(widths) - 2 * len(widths))
    for row in (header, *rows) if any(header) else rows:
        start = "".join(f"{cell:<{size}}  " for cell, size in zip(row, widths, strict=False))
        lines = textwrap.wrap(row[-1], left, break_on_hyphens=False) or [""]
        yield (start + lines[0]).rstrip()
        for more in lines[1:]:
            yield " " * len(start) + more


def count(number: int, what: str) -> str:
    """Return "1 host", "2 hosts"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def named(names: Sequence[str], most: int = 3) -> str:
    """Return names, the first of them if there are many."""
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def fold(words: str, columns: int, first: int = 0, rest: int | None = None) -> list[str]:
    """Return text as lines, the first one and the rest indented by so much."""
    indents = " " * first, " " * (first if rest is None else rest)
    return textwrap.wrap(
        words,
        max(_LEAST + len(indents[1]), columns),
        initial_indent=indents[0],
        subsequent_indent=indents[1],
        break_on_hyphens=False,
    )
