"""When what failed is tried again."""

import time
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.plan import Batch, PlanFile
from deuteron.agent.reconciler import Reconciler, retry_after
from deuteron.agent.status import Status
from deuteron.plan.units import Unit


@given(st.integers(1, 10_000), st.floats(0, 100))
def test_failing_is_cheap_and_what_heals_is_noticed_soon(failures: int, took: float) -> None:
    pause = retry_after(failures, took)
    assert pause >= 10 * took
    assert pause <= max(5.0, 10 * took)
    assert retry_after(failures + 1, took) >= pause
    assert retry_after(1, 0.0) < 0.5


class _Failing:
    """A manager that fails as often as it is told to."""

    kinds: tuple[type[Unit], ...] = ()
    pending = False

    def __init__(self, outcomes: list[dict[str, str]]) -> None:
        self.outcomes = deque(outcomes)

    def put(self, unit: Unit) -> None:
        """Nothing is wanted of it."""

    def delete(self, key: str) -> None:
        """Nor unwanted."""

    def recheck(self) -> None:
        """It fails all the same."""

    def apply(self) -> dict[str, str]:
        return self.outcomes.popleft() if self.outcomes else {}


def test_what_fails_is_tried_until_it_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    manager = _Failing([{"port/a": "in the way"}] * 12)
    status = Status()
    loop = Reconciler(PlanFile(tmp_path / "plan", tmp_path / "confirmed"), [manager], status)
    loop.submit(Batch(True, revision="1"))
    loop.step()
    assert status.take().problems == {"port/a": "in the way"}
    pauses = []
    while status.take().problems:
        pauses.append(loop._pause() or 0.0)
        now += pauses[-1]
        loop.step()
    assert len(pauses) == 12
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
