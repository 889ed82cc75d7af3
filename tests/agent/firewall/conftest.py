from collections.abc import Iterator

import pytest

from tests.agent.conftest import here
from tests.agent.firewall.scene import Guarded, guarded
from tests.agent.scene import Scene

__all__ = ["here"]


@pytest.fixture
def at(here: Scene) -> Iterator[Guarded]:
    """A host whose agent is up."""
    with guarded(here) as found:
        yield found
