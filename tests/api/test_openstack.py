"""The judge that nobody here wrote: the openstack command, unmodified."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest

from tests.api.conftest import Client, Topology

pytestmark = pytest.mark.filterwarnings(
    "ignore::openstack.warnings.RemovedInSDK50Warning", "ignore::openstack.warnings.RemovedInSDK60Warning"
)
COMMAND = Path(sys.executable).parent / "openstack"


def _run(api: Client, *words: str) -> Any:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    endpoint = ["--os-auth-type", "none", "--os-endpoint", f"http://127.0.0.1:{api.port}"]
    done = subprocess.run(
        [COMMAND, *endpoint, *words], capture_output=True, text=True, timeout=120, env=clean, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return json.loads(done.stdout) if "json" in words else done.stdout


def test_the_command_builds_and_removes_a_topology(api: Client, database_url: str) -> None:
    if database_url.startswith("postgresql"):
        return  # the command is slow, and what it sends does not depend on the database
    _run(api, "network", "create", "--external", "--provider-network-type", "flat",
         "--provider-physical-network", "external", "ext")  # fmt: skip
    _run(api, "subnet", "create", "--network", "ext", "--subnet-range", "203.0.113.0/24", "--no-dhcp", "ext4")
    assert _run(api, "network", "create", "net1", "-f", "json")["mtu"] == 1450
    _run(api, "subnet", "create", "--network", "net1", "--subnet-range", "10.1.0.0/24", "sub1")
    assert _run(api, "router", "create", "--ha", "r1", "-f", "json")["ha"] is True
    _run(api, "router", "set", "--external-gateway", "ext", "r1")
    _run(api, "router", "add", "subnet", "r1", "sub1")
    _run(api, "port", "create", "--network", "net1", "--fixed-ip", "subnet=sub1,ip-address=10.1.0.50", "p1")
    floating = _run(api, "floating", "ip", "create", "--port", "p1", "ext", "-f", "json")
    assert floating["fixed_ip_address"] == "10.1.0.50"
    assert len(_run(api, "port", "list", "--router", "r1", "-f", "json")) == 2
    assert [one["Name"] for one in _run(api, "network", "list", "--external", "-f", "json")] == ["ext"]
    _run(api, "floating", "ip", "delete", floating["floating_ip_address"])
    _run(api, "port", "delete", "p1")
    _run(api, "router", "remove", "subnet", "r1", "sub1")
    _run(api, "router", "delete", "r1")
    _run(api, "network", "delete", "net1", "ext")
    assert api.get("/ports").body == {"ports": []}
    assert api.get("/subnets").body == {"subnets": []}


@pytest.fixture
def cloud(api: Client) -> Iterator[Any]:
    connection = openstack.connection.Connection(
        auth_type="none", endpoint=f"http://127.0.0.1:{api.port}", network_api_version="2"
    )
    yield connection.network
    connection.close()


def test_the_sdk_finds_lists_and_changes(api: Client, topology: Topology, cloud: Any) -> None:
    assert cloud.find_network("ext").is_router_external is True
    assert cloud.find_network("inside").id == topology.network
    assert [one.id for one in cloud.routers(name="r")] == [topology.router]
    ports = [cloud.create_port(network_id=topology.network, name=f"p{n}") for n in range(5)]
    listed = list(cloud.ports(network_id=topology.network, device_owner="", limit=2))
    assert len(listed) == 6
    assert cloud.update_port(ports[0], name="renamed").name == "renamed"
    floating = cloud.create_ip(floating_network_id=topology.external, port_id=ports[0].id)
    assert cloud.get_ip(floating.id).router_id == topology.router
    created = cloud.create_ports([{"network_id": topology.network}, {"network_id": topology.network}])
    assert len(list(created)) == 2
    cloud.delete_ip(floating)
    cloud.delete_port(ports[0])
    assert cloud.find_port("renamed") is None
    with pytest.raises(openstack.exceptions.ConflictException):
        cloud.delete_network(topology.network)
