"""Runs: drills by name, in rounds; or a random walk until something does not hold."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from deuteron.drill import report, step
from deuteron.drill.catalogue import Drill, of_mode
from deuteron.drill.stage import build
from deuteron.drill.step import Drilled, Outcome
from deuteron.drill.walk import walk
from deuteron.lab import lab as labs
from deuteron.lab.modes import Mode
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError

WALK = "walk"
"""What the steps of a random walk go by instead of a drill's name."""

Say = Callable[[str], None]


def drills(
    lab: Lab, mode: Mode, names: Sequence[str], rounds: int, path: Path | None, say: Say
) -> list[Outcome]:
    """Do drills, each so many times; what one leaves broken is rebuilt for the next.

    Writes the JSON file `path`, if any, at first and after each drill. Raises OSError when that fails, and
    LabError when the lab cannot be built.
    """
    outcomes: list[Outcome] = []
    _write(path, outcomes)
    drilled = _stage(lab, mode, say)
    for _ in range(rounds):
        for name in names:
            try:
                _take(drilled, of_mode(mode)[name], outcomes, say)
            except LabError as error:
                outcomes.append(step.failed(name, str(error), drilled))
                say(report.line(outcomes[-1]))
            _write(path, outcomes)
            if not _repaired(drilled, name, say):
                labs.down(lab)
                drilled = _stage(lab, mode, say)
    return outcomes


def random_walk(lab: Lab, mode: Mode, seed: int, rounds: int, path: Path | None, say: Say) -> list[Outcome]:
    """Walk until the end or the first thing that does not hold; the last outcome then has the evidence.

    Raises OSError when `path` cannot be written, and LabError when the lab cannot be built.
    """
    outcomes: list[Outcome] = []
    _write(path, outcomes, seed)
    drilled = _stage(lab, mode, say)
    for number, (todo, effect) in enumerate(walk(seed, rounds, mode), 1):
        try:
            outcomes.append(step.take(drilled, WALK, todo, effect))
        except LabError as error:
            outcomes.append(step.failed(WALK, f"{todo}: {error}", drilled))
        say(f"{number:4}. {report.line(outcomes[-1])}")
        _write(path, outcomes, seed)
        if not outcomes[-1].kept:
            break
    return outcomes


def _stage(lab: Lab, mode: Mode, say: Say) -> Drilled:
    say(f"building a cloud with a router of mode {mode.name} in the lab {lab.name}")
    return step.prepare(build(lab, mode))


def _repaired(drilled: Drilled, name: str, say: Say) -> bool:
    try:
        step.repair(drilled)
    except LabError as error:
        say(f"{name}: what it leaves cannot be repaired: {error}")
        return False
    return True


def _take(drilled: Drilled, drill: Drill, outcomes: list[Outcome], say: Say) -> None:
    for one in drill.steps:
        outcomes.append(step.take(drilled, drill.name, one))
        say(report.line(outcomes[-1]))


def _write(path: Path | None, outcomes: Sequence[Outcome], seed: int | None = None) -> None:
    if path:
        path.write_text(json.dumps(report.document(outcomes, seed), indent=1) + "\n")
