from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.scene import Scene, scene


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as found:
        yield found
