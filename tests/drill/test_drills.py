"""The drills themselves, shortened: the death of the active host, its return, a process, a walk."""

import uuid
from collections.abc import Iterator

import pytest

from deuteron.drill import report, stage, step
from deuteron.drill.catalogue import DRILLS
from deuteron.drill.step import Drilled
from deuteron.drill.walk import walk
from deuteron.lab import lab as labs
from deuteron.lab import scene
from deuteron.lab.modes import MODES
from deuteron.lab.state import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def drilled() -> Iterator[Drilled]:
    lab = Lab(f"d{uuid.uuid4().hex[:6]}")
    try:
        yield step.prepare(stage.build(lab, MODES["ha"]))
    finally:
        labs.down(lab)


@pytest.mark.parametrize(("name", "steps"), [("power-cut-active", 2), ("keepalived-active", 1)])
def test_a_drill(drilled: Drilled, name: str, steps: int) -> None:
    for one in DRILLS[name].steps[:steps]:
        outcome = step.take(drilled, name, one)
        assert outcome.kept, report.line(outcome)


def test_a_walk(drilled: Drilled) -> None:
    for todo, effect in walk(seed=4, rounds=2):
        outcome = step.take(drilled, "walk", todo, effect)
        assert outcome.kept, report.line(outcome)


def test_a_broken_invariant_is_seen_and_told(drilled: Drilled) -> None:
    """A second twin whose gate somebody opens by hand is found out."""
    built, number = drilled.stage, drilled.subject.number
    standby = next(host for host, state in scene.ha_states(built.scene).items() if state == "standby")
    element = f"bridge deuteron_gate standby {{ {number} }}"
    stage.run(built.lab, standby, "sh", "-c", f"nft 'delete element {element}'")
    try:
        assert any("2 twins forward" in text for text in step.look(drilled))
    finally:
        stage.run(built.lab, standby, "sh", "-c", f"nft 'add element {element}'")
    assert step.look(drilled) == []
