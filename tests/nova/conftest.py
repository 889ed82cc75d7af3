from collections.abc import Iterator

import pytest

from deuteron.settings import NovaSettings
from tests.access.keystone_double import Keystone
from tests.nova.nova_double import Nova


@pytest.fixture
def keystone() -> Iterator[Keystone]:
    found = Keystone()
    yield found
    found.close()


@pytest.fixture
def nova(keystone: Keystone) -> Iterator[Nova]:
    """Nova, as Keystone's catalogue names it."""
    found = Nova(lambda token: token in keystone.tokens)
    endpoint = {"interface": "internal", "region": "one", "region_id": "one", "url": found.url, "id": "e"}
    keystone.catalog = [{"type": "compute", "name": "nova", "id": "c", "endpoints": [endpoint]}]
    yield found
    found.close()


@pytest.fixture
def settings(keystone: Keystone, nova: Nova) -> NovaSettings:
    return NovaSettings(auth_url=keystone.url, password="secret", endpoint_type="internal", region_name="one")
