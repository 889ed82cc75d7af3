"""What drills found: a line for each step, a table of all rounds, the same as JSON."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from deuteron.drill import effects
from deuteron.drill.step import Outcome

HEADER = ("drill", "step", "n", "kept", "gap ms", "lost", "TCP", "DHCP ms", "metadata ms", "settled s")


def line(outcome: Outcome) -> str:
    """Say in one line what was expected and measured, and in more what was worse."""
    where = f" ({', '.join(outcome.hosts)})" if outcome.hosts else ""
    verdict = "kept" if outcome.kept else "MISSED"
    expected = f"expected {effects.describe(outcome.effect)}" if outcome.met else "no traffic"
    text = f"{outcome.drill}: {outcome.step}{where}: {expected}; measured {_measured(outcome)}: {verdict}"
    return "\n".join([text, *(f"    {reason}" for reason in outcome.missed)])


def _measured(outcome: Outcome) -> str:
    parts = []
    if met := outcome.met:
        gaps = ", ".join(f"{name} {flow.gap_ms:.0f}" for name, flow in met.flows.items())
        parts.append(f"gaps in ms {gaps}" if met.lost else "0 lost")
        alive = sum(one.survived for one in met.connections.values())
        parts.append(f"TCP {alive} of {len(met.connections)}")
        for name, service in met.services.items():
            failed = f"{service.failed} of {service.asked} failed, " if service.failed else ""
            parts.append(f"{name} {failed}slowest {service.slowest_ms:.0f} ms")
    if outcome.settled_s is not None:
        parts.append(f"settled in {outcome.settled_s:.1f} s")
    return ", ".join(parts) or "nothing"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a table with a row for each step of each drill: median/worst over the rounds."""
    grouped: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        grouped.setdefault((outcome.drill, outcome.step), []).append(outcome)
    rows = [HEADER, *(_row(*key, found) for key, found in grouped.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [_aligned(row, widths) for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    kept = sum(outcome.kept for outcome in outcomes)
    return "\n".join([*lines, f"{kept} of {len(outcomes)} steps as expected (median/worst of each step)"])


def _row(drill: str, step: str, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    met = [outcome.met for outcome in outcomes if outcome.met]
    survived = [one.survived for found in met for one in found.connections.values()]
    return (
        drill,
        step,
        str(len(outcomes)),
        str(sum(outcome.kept for outcome in outcomes)),
        _spread([found.gap_ms for found in met]),
        _spread([float(found.lost) for found in met]),
        f"{sum(survived)}/{len(survived)}" if survived else "",
        _spread([found.services["DHCP"].slowest_ms for found in met if "DHCP" in found.services]),
        _spread([found.metadata_ms for found in met]),
        _spread([one.settled_s for one in outcomes if one.settled_s is not None], 1),
    )


def _spread(samples: Sequence[float], digits: int = 0) -> str:
    if not samples:
        return ""
    return f"{statistics.median(samples):.{digits}f}/{max(samples):.{digits}f}"


def _aligned(row: Iterable[str], widths: Sequence[int]) -> str:
    cells = list(row)
    left = [cell.ljust(width) for cell, width in zip(cells[:2], widths, strict=False)]
    right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join([*left, *right]).rstrip()


def document(outcomes: Sequence[Outcome], seed: int | None = None) -> dict[str, Any]:
    """Return the same as plain data, with everything that was measured."""
    return {
        "seed": seed,
        "steps": [
            {
                **msgspec.to_builtins(outcome),
                "kept": outcome.kept,
                "lost": outcome.met.lost if outcome.met else None,
            }
            for outcome in outcomes
        ],
    }
