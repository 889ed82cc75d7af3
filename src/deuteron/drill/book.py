"""The tables of the failure book, from the drills: `python -m deuteron.drill.book docs/failure-book.md`.

The words of the book are written by hand; the names in the first column of a table say which drills it has.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from deuteron.drill import effects
from deuteron.drill.catalogue import DRILLS

HEADER = ("| drill | what is done | what it may cost |", "|---|---|---|")
_NAME = re.compile(r"\| `([a-z-]+)`")


def rows(name: str) -> list[str]:
    """Return the rows of a drill, one for each step."""
    found = []
    for number, step in enumerate(DRILLS[name].steps):
        effect = effects.of_all(step.acts)
        if step.traffic:
            cost = effects.describe(effect)
        else:
            cost = f"whole within {effect.settled_s:.0f} s" if step.settles else "everything"
        found.append(f"| {'' if number else f'`{name}`'} | {step} | {cost} |")
    return found


def refreshed(book: str) -> str:
    """Return a book with the tables as the drills are now; drills that are not any more fall out."""
    return "\n".join(_lines(book.split("\n")))


def _lines(lines: list[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        inside = line == HEADER[0] or (inside and line.startswith("|"))
        if not inside or line in HEADER:
            yield line
        elif (found := _NAME.match(line)) and found[1] in DRILLS:
            yield from rows(found[1])


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(refreshed(path.read_text()))
