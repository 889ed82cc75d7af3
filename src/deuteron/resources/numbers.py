"""Numbers that must be unique: the lowest free one of a column, fast.

Uniqueness is the database's: whoever inserts a number that was taken meanwhile asks again.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Column, select

from deuteron.store import Tx

Range = tuple[int, int]


def parse_ranges(text: str) -> list[Range]:
    """Return the ranges of "FIRST:LAST,FIRST:LAST", sorted. Raises ValueError."""
    ranges = []
    for part in text.split(","):
        first, _, last = part.strip().partition(":")
        if not (first.isdigit() and last.isdigit() and int(first) <= int(last)):
            raise ValueError(f"{part.strip()!r} is not FIRST:LAST")
        ranges.append((int(first), int(last)))
    return sorted(ranges)


def without(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """Return what is left of ranges without those numbers that others have, sorted."""
    left = sorted(ranges)
    for low, high in others:
        left = [
            (first, last)
            for begin, end in left
            for first, last in ((begin, min(end, low - 1)), (max(begin, high + 1), end))
            if first <= last
        ]
    return left


def lowest_free(
    tx: Tx,
    column: "Column[int | None]",
    ranges: Sequence[Range],
    among: Mapping[str, object] | None = None,
    memory: str | None = None,
) -> int | None:
    """Return the lowest number of the ranges that no row has; None if all are taken.

    Only rows count that have the values of `among`, by column. `memory` is what `freed` is told of them;
    "" for numbers of which nothing is to be remembered.
    """
    key = str(column) if memory is None else memory
    start = tx.memory.next.get(key, 0) if key else 0
    found = _search(tx, column, ranges, start, among or {})
    if found is None and start:
        found = _search(tx, column, ranges, 0, among or {})
    if found is not None and key:
        tx.memory.next[key] = found
    return found


def freed(tx: Tx, column: "Column[int | None]", number: int | None, memory: str | None = None) -> None:
    """Remember that a number may be free again."""
    key = str(column) if memory is None else memory
    if number is not None and number < tx.memory.next.get(key, 0):
        tx.memory.next[key] = number


def _search(
    tx: Tx, column: "Column[int | None]", ranges: Sequence[Range], start: int, among: Mapping[str, object]
) -> int | None:
    taken, after = column.table.alias(), column.table.alias()
    mine, next_ = taken.c[column.name], after.c[column.name]
    of_mine = [taken.c[name] == value for name, value in among.items()]
    of_next = [after.c[name] == value for name, value in among.items()]
    for first, last in ranges:
        low = max(first, start)
        if low > last:
            continue
        if tx.execute(select(mine).where(mine == low, *of_mine)).first() is None:
            return low
        followed = select(next_).where(next_ == mine + 1, *of_next).exists()
        gap = select(mine + 1).where(mine >= low, mine < last, *of_mine, ~followed).order_by(mine).limit(1)
        row = tx.execute(gap).first()
        if row is not None:
            return int(row[0])
    return None
