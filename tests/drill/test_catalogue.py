from pathlib import Path

import pytest

from deuteron.drill import acts, book, effects
from deuteron.drill.catalogue import DRILLS, of_mode
from deuteron.drill.walk import walk
from deuteron.lab.modes import MODES

BOOK = Path(__file__).parents[2] / "docs" / "failure-book.md"


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_names_known_things_and_repairs_what_it_breaks(name: str) -> None:
    broken: set[str] = set()
    for step in DRILLS[name].steps:
        for act in step.acts:
            assert act.who in acts.NOUNS
            assert str(act)
            if act.do in ("power off", "cut"):
                broken.add(act.what or "power")
            if act.do in ("power on", "heal"):
                broken.discard(act.what or "power")
    assert not broken
    assert DRILLS[name].steps[-1].settles


def test_every_effect_belongs_to_something_that_is_done() -> None:
    done = [act for drill in DRILLS.values() for step in drill.steps for act in step.acts]
    done += [act for step, _ in walk(1, 2000) for act in step.acts]
    assert set(effects.EFFECTS) <= {(act.do, act.who, act.what) for act in done}


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
