"""Numbers that must be unique: the lowest free one of a column, fast.

Uniqueness is the database's: whoever inserts a number that was taken meanwhile asks again.
"""

from collections.abc import Sequence

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


def lowest_free(tx: Tx, column: "Column[int | None]", ranges: Sequence[Range]) -> int | None:
    """Return the lowest number of the ranges that no row has; None if all are taken."""
    key = str(column)
    start = tx.memory.next.get(key, 0)
    found = _search(tx, column, ranges, start)
    if found is None and start:
        found = _search(tx, column, ranges, 0)
    if found is not None:
        tx.memory.next[key] = found
    return found


def freed(tx: Tx, column: "Column[int | None]", number: int | None) -> None:
    """Remember that a number may be free again."""
    key = str(column)
    if number is not None and number < tx.memory.next.get(key, 0):
        tx.memory.next[key] = number


def _search(tx: Tx, column: "Column[int | None]", ranges: Sequence[Range], start: int) -> int | None:
    taken, after = column.table.alias(), column.table.alias()
    mine, next_ = taken.c[column.name], after.c[column.name]
    for first, last in ranges:
        low = max(first, start)
        if low > last:
            continue
        if tx.execute(select(mine).where(mine == low)).first() is None:
            return low
        gap = (
            select(mine + 1)
            .where(mine >= low, mine < last, ~select(next_).where(next_ == mine + 1).exists())
            .order_by(mine)
            .limit(1)
        )
        row = tx.execute(gap).first()
        if row is not None:
            return int(row[0])
    return None
