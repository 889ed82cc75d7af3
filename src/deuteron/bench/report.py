"""What a run found, as a table for people and as JSON for machines."""

from collections.abc import Sequence
from typing import Any

from deuteron.bench.figures import Bound, Figure, Group, median, percentile

HEADER = ("figure", "bound", "median", "p99", "min..max", "per s", "n", "")
P99_FROM = 20
"""With fewer samples the 99th percentile only repeats the maximum."""


def table(groups: Sequence[Group]) -> str:
    """Return one table of all groups; each group ends with its notes and a summary line."""
    rows = [[_cells(figure) for figure in group.figures] for group in groups]
    everything = [HEADER, *(cells for group in rows for cells in group)]
    widths = [max(len(cells[column]) for cells in everything) for column in range(len(HEADER))]
    lines = [_line(HEADER, widths), "  ".join("-" * width for width in widths[:-1])]
    for group, group_rows in zip(groups, rows, strict=True):
        lines.extend(_line(cells, widths) for cells in group_rows)
        lines.extend(f"  {note}" for note in group.notes)
        lines.extend((group.summary, ""))
    return "\n".join(lines)


def document(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the same as plain data, with every sample."""
    return {
        group.name: {
            "figures": [_plain(figure) for figure in group.figures],
            "notes": list(group.notes),
            "summary": group.summary,
        }
        for group in groups
    }


def number(value: float) -> str:
    """Return three significant digits, without an exponent: 0.0123, 4.56, 78.9, 1234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    digits = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return text if float(text) != 0 else f"{value:.1g}"


def bound_text(bound: Bound | None, unit: str) -> str:
    """Return the bound in a few characters: `<= 100 ms`, `all >= 100 %`."""
    if bound is None:
        return ""
    sign = "<=" if bound.kind == "at most" else ">="
    every = "all " if bound.of == "every" else ""
    return f"{every}{sign} {number(bound.limit)} {unit}"


def _cells(figure: Figure) -> tuple[str, ...]:
    samples = figure.samples
    rate = number(figure.rate) if figure.rate is not None else ""
    bound = bound_text(figure.bound, figure.unit)
    if not samples:
        return (figure.name, bound, "", "", "", rate, "0", figure.verdict)
    return (
        figure.name,
        bound,
        f"{number(median(samples))} {figure.unit}",
        number(percentile(samples, 99)) if len(samples) >= P99_FROM else "",
        f"{number(min(samples))}..{number(max(samples))}",
        rate,
        str(len(samples)),
        figure.verdict,
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    middle = [cell.rjust(width) for cell, width in zip(cells[1:-1], widths[1:-1], strict=True)]
    return "  ".join([first, *middle, cells[-1]]).rstrip()


def _plain(figure: Figure) -> dict[str, Any]:
    samples = figure.samples
    bound = figure.bound
    return {
        "name": figure.name,
        "unit": figure.unit,
        "bound": {"kind": bound.kind, "limit": bound.limit, "of": bound.of} if bound else None,
        "median": median(samples) if samples else None,
        "p99": percentile(samples, 99) if samples else None,
        "min": min(samples, default=None),
        "max": max(samples, default=None),
        "per_second": figure.rate,
        "n": len(samples),
        "verdict": figure.verdict,
        "samples": list(samples),
    }
