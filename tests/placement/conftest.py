"""Clouds for tests of placement: once on SQLite, once on PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.placement.cloud import Cloud


@pytest.fixture
def cloud(database_url: str) -> Iterator[Cloud]:
    made = Cloud(database_url)
    yield made
    made.close()


@pytest.fixture
def three(database_url: str) -> Iterator[Cloud]:
    made = Cloud(database_url, ("net1", "net2", "net3"))
    yield made
    made.close()
