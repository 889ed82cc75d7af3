"""A guest moves from one host to another, by two bindings of its port, while it speaks to a third."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cloud import Cloud, Flow, lab, until
from tests.system.guest import Guest

pytestmark = pytest.mark.lab

HOSTS = """
[hosts.controller]
networks = ["management"]
services = ["server"]
[hosts.compute1]
networks = ["management", "underlay"]
roles = ["l2"]
[hosts.compute2]
networks = ["management", "underlay"]
roles = ["l2"]
[hosts.compute3]
networks = ["management", "underlay"]
roles = ["l2", "dhcp", "metadata"]
"""
MOST_MS = 100.0
"""What nobody hears of the guest for, at most."""
SILENT_MS = 2000.0
"""The same for a guest that does not say where it is: then the plan has to tell."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    file = tmp_path_factory.mktemp("lab") / "lab.toml"
    file.write_text(HOSTS)
    with lab(f"v{uuid.uuid4().hex[:6]}", Path(file)) as found:
        yield found


@pytest.fixture(scope="module")
def guest(cloud: Cloud) -> Iterator[Guest]:
    """A guest on compute1 that an instance on compute3 reaches."""
    network, _ = cloud.network("blue", "10.7.0.0/24")
    cloud.boot("vm3", "compute3", network=network)
    binding = {"device_id": str(uuid.uuid4()), "device_owner": "compute:nova", "binding:host_id": "compute1"}
    port = cloud.api.create("port", network_id=network, **binding)
    with contextlib.closing(Guest(cloud, port)) as found:
        found.cable("compute1")
        found.use("compute1")
        until(lambda: cloud.port(port["id"])["status"] == "ACTIVE", "the port is up")
        cloud.reaches("vm3", found.address)
        yield found


@pytest.mark.parametrize(
    ("source", "target", "announced", "most"),
    [("compute1", "compute2", True, MOST_MS), ("compute2", "compute1", False, SILENT_MS)],
)
def test_a_guest_moves(
    cloud: Cloud, guest: Guest, source: str, target: str, announced: bool, most: float
) -> None:
    path = f"/v2.0/ports/{guest.port['id']}/bindings"
    with cloud.probing(Flow("guest", "vm3", guest.address)) as traffic:
        made = cloud.api.post(path, {"binding": {"host": target}})["binding"]
        assert (made["status"], made["vif_type"]) == ("INACTIVE", "bridge")
        guest.cable(target)
        until(lambda: guest.connected(target), "the target is prepared")
        assert cloud.port(guest.port["id"])["status"] == "ACTIVE"
        time.sleep(0.3)
        guest.arrive(source, target, announced=announced)
        cloud.api.put(f"{path}/{target}/activate", None)
        until(lambda: cloud.port(guest.port["id"])["status"] == "ACTIVE", "the port is up at the target")
        assert cloud.port(guest.port["id"])["binding:host_id"] == target
        cloud.api.delete(f"{path}/{source}")
        guest.uncable(source)
    print(f"{source} -> {target}: gap {traffic.longest_gap_ms}, lost {traffic.lost}")
    assert traffic.broken == {}
    assert traffic.longest_gap_ms["guest"] < most
    assert cloud.status(source)["problems"] == cloud.status(target)["problems"] == {}
    assert "brq" not in cloud.sh(source, "ip -br link")
