"""Each project has its own HA network: elections apart, failover in each, and nothing is left behind."""

import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from deuteron.lab import lab as labs
from deuteron.lab import topology
from deuteron.lab.scene import INTERNET
from tests.system.cloud import Cloud, Flow, Json, agents, lab, until
from tests.system.hoststate import states
from tests.system.test_failover import CRASH_GAP_MS
from tests.system.test_orphans import clean

pytestmark = pytest.mark.lab

PROJECTS = ("red", "green")
HEARTBEAT = "network:router_ha_heartbeat"
_VRRP_SENDERS = """
import socket, time
heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
heard.bind((%r, 0))
heard.settimeout(0.1)
end, senders = time.monotonic() + 1, set()
while time.monotonic() < end:
    try:
        frame = heard.recv(2048)
    except TimeoutError:
        continue
    if frame[12:14] == b"\\x08\\0" and frame[23] == 112:
        senders.add(frame[6:12].hex(":"))
print(*senders)
"""
"""Print the MAC addresses from which a device gets, or sends, adverts within a second."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The usual lab, in which each project has its own HA network."""
    file = tmp_path_factory.mktemp("lab") / "lab.toml"
    shipped = Path(topology.__file__).with_name("default.toml").read_text()
    file.write_text(f'{shipped}\n[server]\nha_network_scope = "project"\n')
    with lab(f"e{uuid.uuid4().hex[:6]}", file) as found:
        yield found


def build(cloud: Cloud, external: str, project: str, host: str) -> tuple[str, Flow]:
    """Build a network behind a redundant router, and an instance; return the router and the way out."""
    network, subnets = cloud.network(project, "10.1.0.0/24", project_id=project)
    gateway = {"external_gateway_info": {"network_id": external}}
    made = cloud.api.create("router", name=project, ha=True, project_id=project, **gateway)
    router = str(made["id"])
    cloud.attach(router, subnets[0])
    cloud.boot(f"vm-{project}", host, network)
    cloud.reaches(f"vm-{project}", INTERNET)
    return router, Flow(project, f"vm-{project}", INTERNET)


def ha_network(cloud: Cloud, project: str) -> Json:
    (found,) = cloud.list("network", name=f"HA network tenant {project}".rstrip())
    return found


def held_apart(cloud: Cloud, routers: dict[str, str]) -> None:
    """The networks have VNIs of their own, and on neither is anything heard of the other one's elections."""
    networks = {project: ha_network(cloud, project) for project in PROJECTS}
    assert len({one["provider:segmentation_id"] for one in networks.values()}) == 2
    for project, network in networks.items():
        active = cloud.settled(routers[project])
        own = {
            one["binding:host_id"]: one["mac_address"]
            for one in cloud.list("port", network_id=network["id"], device_owner=HEARTBEAT)
        }
        shown = cloud.list("port", device_id=routers[project], device_owner="network:router_ha_interface")
        assert {one["binding:host_id"]: one["mac_address"] for one in shown} == own
        assert set(own) == {"net1", "net2", "net3"}
        with ThreadPoolExecutor() as pool:
            list(pool.map(partial(_hears_alone, cloud, network, own[active]), own))


def _hears_alone(cloud: Cloud, network: Json, sender: str, host: str) -> None:
    told = f"{host} hears {sender} alone on {network['name']}"
    until(lambda: senders(cloud, host, network) == [sender], told)


def senders(cloud: Cloud, host: str, network: Json) -> list[str]:
    """Return from whom a host hears adverts, itself included, on an HA network with this VNI."""
    namespace, device = f"qha-{network['id']}", f"ha-{network['id'][:11]}"
    link = cloud.run(host, "ip", "-n", namespace, "-d", "link", "show", device).stdout
    if f"vxlan id {network['provider:segmentation_id']} " not in link:
        return []
    script = _VRRP_SENDERS % device
    return cloud.run(host, "ip", "netns", "exec", namespace, sys.executable, "-c", script).stdout.split()


def fail_over(cloud: Cloud, routers: dict[str, str], flows: dict[str, Flow], project: str) -> None:
    """Cut the power of a project's active host; give it back."""
    first = cloud.settled(routers[project])
    others = [name for name, router in routers.items() if cloud.settled(router) != first]
    with cloud.probing(*flows.values(), after=2.0) as traffic:
        labs.power_off(cloud.lab, first)
    assert traffic.broken == {}
    assert 0 < traffic.longest_gap_ms[project] < CRASH_GAP_MS
    assert not traffic.lost.keys() & set(others), "it is nothing to the other project"
    assert cloud.settled(routers[project], 2) != first
    cloud.power_cycle(first)
    for router in routers.values():
        cloud.settled(router)


def test_two_projects_have_two_ha_networks(cloud: Cloud) -> None:
    """From the first router of a project to its last: apart, redundant each, and gone without a trace."""
    before = states(cloud, agents(cloud))
    external = cloud.external()
    built = {
        project: build(cloud, external, project, host)
        for project, host in zip(PROJECTS, ("compute1", "compute2"), strict=True)
    }
    routers = {project: router for project, (router, _) in built.items()}
    flows = {project: flow for project, (_, flow) in built.items()}
    held_apart(cloud, routers)
    elections = cloud.api.get("/v1/status")["elections"]
    assert {one["vrid"] for one in elections} == {1}, "numbers are free to be the same"
    for project in PROJECTS:
        fail_over(cloud, routers, flows, project)
    held_apart(cloud, routers)
    cloud.empty()
    until(lambda: not cloud.list("network") and not cloud.list("port"), "the HA networks are gone")
    clean(cloud, before)
