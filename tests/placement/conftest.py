"""Clouds for tests of placement: once on SQLite, once on PostgreSQL."""

from collections.abc import Iterator

import pytest

from deuteron.placement import moves
from tests.placement.cloud import Cloud


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents that pretend have no connections to copy."""
    monkeypatch.setattr(moves, "COPY_SECONDS", 0.1)


@pytest.fixture
def cloud(database_url: str) -> Iterator[Cloud]:
    made = Cloud(database_url)
    yield made
    made.close()


@pytest.fixture
def three(cloud: Cloud) -> Cloud:
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    return cloud
