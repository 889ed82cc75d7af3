"""The placement loop with a real database and agents that pretend."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deuteron.plan.units import Dhcp, Lease
from tests.placement.cloud import Cloud, sqlite


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(sqlite(tmp_path))
    yield made
    made.close()


def dhcp_hosts(cloud: Cloud, network: str) -> list[str]:
    return sorted(name for name, agent in cloud.agents.items() if network in agent.units(Dhcp))


def test_a_network_gets_two_dhcp_servers_on_different_hosts(cloud: Cloud) -> None:
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    network = cloud.network()["id"]
    cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 2)
    hosts = dhcp_hosts(cloud, network)
    port = cloud.create("ports", network_id=network, device_owner="compute:nova")
    cloud.until(lambda: all(port["id"] in cloud.agents[name].units(Lease) for name in hosts))
    units = [cloud.agents[name].units(Dhcp)[network] for name in hosts]
    assert units[0].addresses != units[1].addresses
    assert all(unit.metadata for unit in units)
