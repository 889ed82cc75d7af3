"""The steps of a move: a pure decision."""

import msgspec
import pytest

from deuteron.placement.moves import Facts, next_step

BUILT = Facts(
    phase="build",
    age=1.0,
    source="net1",
    target="net2",
    acknowledged=frozenset({"net1", "net2"}),
    silent=frozenset(),
    ready=True,
)


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({}, "drain"),
        ({"acknowledged": frozenset({"net1"})}, None),
        ({"ready": False}, None),
        ({"copied": False}, None),
        ({"ready": False, "age": 31.0}, "failed"),
        ({"copied": False, "age": 31.0}, "failed"),
        ({"silent": frozenset({"net1"})}, "switch"),
        ({"source": "net2"}, "switch"),
        ({"source": None}, "switch"),
        ({"source_there": False}, "switch"),
        ({"silent": frozenset({"net2"})}, "failed"),
        ({"silent": frozenset({"net2"}), "acknowledged": frozenset({"net1"})}, "failed"),
    ],
)
def test_what_follows_when_a_twin_is_built(changes: dict[str, object], phase: str | None) -> None:
    step = next_step(msgspec.structs.replace(BUILT, **changes))
    assert (step.phase if step else None) == phase


@pytest.mark.parametrize(("source", "phase"), [("net1", "overlap"), ("net2", "done")])
def test_only_a_host_that_is_left_overlaps(source: str, phase: str) -> None:
    step = next_step(msgspec.structs.replace(BUILT, phase="switch", source=source))
    assert step is not None
    assert step.phase == phase


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({"phase": "switch"}, "close"),
        ({"phase": "switch", "source": "net1"}, "overlap"),
        ({"phase": "close"}, None),
        ({"phase": "close", "acknowledged": frozenset({"net3"})}, "done"),
        ({"phase": "close", "silent": frozenset({"net3"})}, "done"),
        ({"phase": "close", "age": 11.0}, "done"),
    ],
)
def test_who_stood_by_and_shall_not_closes_first(changes: dict[str, object], phase: str | None) -> None:
    """When the election ends, who is left in it for a moment would take over."""
    alone = msgspec.structs.replace(BUILT, source="net2", unwanted=frozenset({"net3"}))
    step = next_step(msgspec.structs.replace(alone, **changes))
    assert (step.phase if step else None) == phase


@pytest.mark.parametrize(
    ("phase", "acknowledged", "after"),
    [("drain", {"net1", "net2"}, "failed"), ("switch", {"net1"}, "failed"), ("switch", {"net2"}, "overlap")],
)
def test_nobody_waits_for_a_target_that_is_dead(phase: str, acknowledged: set[str], after: str) -> None:
    facts = msgspec.structs.replace(
        BUILT, phase=phase, acknowledged=frozenset(acknowledged), silent=frozenset({"net2"})
    )
    step = next_step(facts)
    assert step is not None
    assert step.phase == after
