"""Since when a host has had a problem."""

from collections.abc import Iterator

import pytest

from deuteron.insight import status
from tests.placement.cloud import Cloud


@pytest.fixture
def cloud(database_url: str) -> Iterator[Cloud]:
    opened = Cloud(database_url)
    yield opened
    opened.close()


def since(cloud: Cloud) -> dict[str, float | None]:
    return {one.text.partition(":")[0]: one.since for one in cloud.call(status.of_all).wrong}


def test_a_problem_keeps_its_time_until_it_is_gone(cloud: Cloud) -> None:
    agent = cloud.agent("net1")
    agent.step(problems={"dhcp/n": "dnsmasq died"})
    first = since(cloud)["dhcp/n"]
    assert first is not None
    agent.step(problems={"dhcp/n": "dnsmasq died twice", "router/r": "no device"})
    assert since(cloud)["dhcp/n"] == first
    later = since(cloud)["router/r"]
    assert later is not None
    assert later > first
    agent.step(problems={})
    assert since(cloud) == {}
    agent.step(problems={"dhcp/n": "dnsmasq died"})
    assert (since(cloud)["dhcp/n"] or 0) > later
