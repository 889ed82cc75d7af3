"""The drills themselves, shortened: the death of the active host, its return, a process, a walk."""

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from deuteron.drill import planned, report, stage, step
from deuteron.drill.catalogue import DRILLS
from deuteron.drill.stage import Stage
from deuteron.drill.step import Drilled
from deuteron.drill.underlay import Watch
from deuteron.drill.walk import walk
from deuteron.lab import enter, scene
from deuteron.lab import lab as labs
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
    """A second twin whose gate somebody opens by hand is found out; its switch closes it when he stops.

    That is within a second, and a look may take longer: so he insists.
    """
    built, number = drilled.stage, drilled.subject.number
    standby = next(host for host, state in scene.ha_states(built.scene).items() if state == "standby")
    opens = f"nft 'delete element bridge deuteron_gate standby {{ {number} }}' 2>/dev/null"
    insists = ["sh", "-c", f"while :; do {opens}; sleep 0.05; done"]
    hand = subprocess.Popen(enter.command(labs.locate(built.lab, standby), insists), start_new_session=True)
    try:
        scene.wait(
            lambda: any("2 twins forward" in text for text in step.look(drilled)),
            lambda: "a second twin is not seen",
        )
    finally:
        hand.kill()
        hand.wait()
    scene.wait(lambda: step.look(drilled) == [], lambda: f"{standby} stays open: {step.look(drilled)}")


def test_two_places_that_answer_for_a_floating_ip_are_seen_and_told(drilled: Drilled) -> None:
    """Somebody gives a compute host the address, too."""
    built = drilled.stage
    address = (f"{built.central_ip}/32", "dev", "eth-ext")
    stage.run(built.lab, "compute1", "ip", "address", "add", *address)
    try:
        found = step.look(drilled)
        (told,) = [text for text in found if text.startswith(f"floating IP {built.central_ip} is answered")]
        assert "compute1" in told
    finally:
        stage.run(built.lab, "compute1", "ip", "address", "delete", *address)
    assert step.look(drilled) == []


def test_a_gateway_that_leaves_its_host_is_seen_and_told(drilled: Drilled) -> None:
    """On a host of a distributed router somebody deletes the table that keeps the gateways on it."""
    built = drilled.stage
    planned.convert(built, "dvr-ha")
    assert stray(built, "true") == []
    found = stray(built, "nft delete table bridge deuteron_dvr")
    assert any(text.startswith("compute1 sent") and "about the gateway" in text for text in found), found


def stray(built: Stage, script: str) -> list[str]:
    """Do something to a host, and return what the watch hears while its instance asks for its gateway."""
    stage.run(built.lab, "compute1", "sh", "-c", script)
    with Watch(built) as watch:
        watch.begin()
        ask = "ip neighbour flush dev eth0; ping -n -q -c 1 -W 1 10.1.0.1; ping -n -q -c 1 -W 1 $1"
        stage.run(built.lab, stage.CLIENT, "sh", "-c", ask, "sh", built.addresses[stage.NEIGHBOUR])
        return watch.end()
