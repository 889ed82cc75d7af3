"""One run of the bench: its groups in order, each reported as soon as it is measured."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from deuteron.bench import api, crash, modes, move, plans, rule, scale, steady, storm, ways
from deuteron.bench.figures import Group
from deuteron.bench.processes import BenchError
from deuteron.bench.report import document, table
from deuteron.lab.topology import LabError

Say = Callable[[str], None]
Measure = Callable[[Group, int, Say], None]
"""Adds figures to a group, from so many runs; what it has added before it fails is kept."""

GROUPS: dict[str, tuple[Measure, int]] = {
    "api": (api.measure, 3),
    "crash": (crash.measure, 10),
    "modes": (modes.measure, 10),
    "move": (move.measure, 20),
    "plan": (plans.measure, 1),
    "rule": (rule.measure, 20),
    "scale": (scale.measure, 1),
    "steady": (steady.measure, 10),
    "storm": (storm.measure, 3),
    "ways": (ways.measure, 3),
}
"""Each group, and how many runs of it make its figures when nobody says."""


def run(names: Sequence[str], runs: int | None, path: Path | None, say: Say) -> list[Group]:
    """Measure groups; a group that fails carries its error, and the others go on.

    Writes the JSON file `path`, if any, at first and after each group. Raises OSError when that fails.
    """
    groups: list[Group] = []
    _write(groups, path)
    say(machine())
    for name in names:
        measure, usual = GROUPS[name]
        groups.append(Group(name))
        try:
            measure(groups[-1], runs or usual, say)
        except (BenchError, LabError) as error:
            groups[-1].error = str(error)
        _write(groups, path)
        say(table(groups[-1:]))
    return groups


def machine() -> str:
    """Say what it is measured on."""
    system = os.uname()
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors ({system.machine}), load {load:.2f} before, Linux {system.release}"


def _write(groups: Sequence[Group], path: Path | None) -> None:
    if path:
        path.write_text(json.dumps(document(groups), indent=1) + "\n")
