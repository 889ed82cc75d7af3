import uuid
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.system.cloud")

from tests.system.cloud import Cloud, Standard, lab, standard  # noqa: E402


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """The lab of a test file: seven hosts."""
    with lab(f"e{uuid.uuid4().hex[:6]}") as found:
        yield found


@pytest.fixture(scope="module")
def built(cloud: Cloud) -> Standard:
    """The standard topology in that lab."""
    return standard(cloud)
