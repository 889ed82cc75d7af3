from pathlib import Path

import pytest

from deuteron.drill import acts, book, effects
from deuteron.drill.acts import Act
from deuteron.drill.catalogue import DRILLS, of_mode
from deuteron.drill.walk import walk
from deuteron.lab.modes import MODES, Mode

BOOK = Path(__file__).parents[2] / "docs" / "failure-book.md"


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_a_drill_names_known_things_and_repairs_what_it_breaks(mode: Mode) -> None:
    for drill in of_mode(mode).values():
        broken: set[str] = set()
        for step in drill.steps:
            for act in step.acts:
                assert act.who in acts.NOUNS
                assert str(act)
                if act.do in ("power off", "cut"):
                    broken.add(act.what or "power")
                if act.do in ("power on", "heal"):
                    broken.discard(act.what or "power")
        assert not broken
        assert drill.steps[-1].settles


def test_every_effect_belongs_to_something_that_is_done() -> None:
    done = [act for drill in DRILLS.values() for step in drill.steps for act in step.acts]
    done += [act for step, _ in walk(1, 2000) for act in step.acts]
    assert {*effects.EFFECTS, *effects.PLAIN} <= {(act.do, act.who, act.what) for act in done}


@pytest.mark.parametrize("mode", MODES.values(), ids=list(MODES))
def test_in_each_mode_there_is_traffic_before_every_step_that_measures_it(mode: Mode) -> None:
    """What stops it for good is repaired in a step that measures nothing, and no walk goes there."""
    silent = False
    steps = [step for drill in of_mode(mode).values() for step in drill.steps]
    for step in [*steps, *(step for step, _ in walk(1, 500, mode))]:
        assert not (silent and step.traffic), step
        stops = effects.of_all(step.acts, mode).outward_gap_ms == effects.FOR_GOOD_MS
        silent = stops or (silent and not any(act.do == "heal" for act in step.acts))


@pytest.mark.parametrize(
    "mode", [one for one in MODES.values() if not one.redundant], ids=lambda one: one.name
)
def test_nothing_is_ended_that_only_twins_have(mode: Mode) -> None:
    acts = {act for step, _ in walk(1, 2000, mode) for act in step.acts}
    assert Act("kill", "active", "radvd") in acts
    assert not [act for act in acts if act.what in ("keepalived", "conntrack-sync")]
    assert not [act for act in acts if (act.who, act.what) == ("standby", "radvd")]


def test_the_book_has_every_drill_as_it_is() -> None:
    text = BOOK.read_text()
    assert book.refreshed(text) == text, "python -m deuteron.drill.book docs/failure-book.md"
    for name in DRILLS:
        for row in book.rows(name):
            assert row in text


def test_a_step_that_converts_says_what_the_router_is_afterwards() -> None:
    ha = MODES["ha"]
    (to, back) = next(drill.steps[:2] for name, drill in of_mode(ha).items() if name == "convert")
    assert (to.converts, to.leads_to(ha)) == (True, MODES["legacy"])
    assert (back.converts, back.leads_to(MODES["legacy"])) == (True, ha)
    plain = DRILLS["move"].steps[0]
    assert (plain.converts, plain.leads_to(MODES["dvr"])) == (False, MODES["dvr"])
