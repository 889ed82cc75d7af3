"""Clouds for tests of placement: once on SQLite, once on PostgreSQL."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deuteron.placement import moves
from tests.placement.cloud import Cloud
from tests.placement.world import Clock, World, shared


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No move fails because the machine is busy with something else."""
    monkeypatch.setattr(moves, "PATIENCE", {phase: 10 * long for phase, long in moves.PATIENCE.items()})


@pytest.fixture
def cloud(database_url: str, patient: None) -> Iterator[Cloud]:
    made = Cloud(database_url)
    yield made
    made.close()


@pytest.fixture
def three(database_url: str, patient: None) -> Iterator[Cloud]:
    made = Cloud(database_url, ("net1", "net2", "net3"))
    yield made
    made.close()


@pytest.fixture
def world(database_url: str) -> Iterator[Callable[..., World]]:
    """Return what makes a cloud whose time passes in steps."""
    clock = Clock()
    restore = shared(clock)
    made: list[World] = []

    def make(**settings: Any) -> World:
        made.append(World(database_url, clock, **settings))
        return made[-1]

    try:
        yield make
    finally:
        restore()
        for one in made:
            one.close()
