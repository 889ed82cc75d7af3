"""A lab with the server and the agents in it, and the demonstration, as a stranger runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deuteron.lab import lab as labs
from deuteron.lab.client import Client
from tests.lab.conftest import Command, new_command
from tests.lab.test_lifecycle import traces

pytestmark = pytest.mark.lab

SMALL = """
[hosts.controller]
networks = ["management"]
services = ["server"]
[hosts.net1]
networks = ["management", "underlay", "external"]
roles = ["l2", "l3", "dhcp", "metadata"]
[hosts.compute1]
networks = ["management", "underlay", "external"]
roles = ["l2", "metadata"]
[hosts.outside]
networks = ["external"]
services = ["echo"]
external = ["203.0.113.1/24"]
loopback = ["198.51.100.1/32"]
"""


PING = "for n in $(seq 60); do ping -c1 -W1 {} && exit; sleep 0.2; done; exit 1"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    path = tmp_path_factory.mktemp("lab") / "small.toml"
    path.write_text(SMALL)
    command = new_command()
    try:
        command.ok("up", str(path))
        yield command
    finally:
        labs.down(command.lab)


@pytest.fixture(scope="module")
def api(small: Command) -> Client:
    client = Client(json.loads(small.ok("status", "--json"))["endpoint"])
    network = client.create("network", name="blue")
    client.create("subnet", network_id=network["id"], ip_version=4, cidr="10.1.0.0/24")
    return client


@pytest.fixture(scope="module")
def internet(api: Client) -> str:
    """The network that the outside host is on."""
    flat = {"provider:network_type": "flat", "provider:physical_network": "external", "router:external": True}
    external = str(api.create("network", name="internet", **flat)["id"])
    pool = [{"start": "203.0.113.100", "end": "203.0.113.199"}]
    more = {"network_id": external, "ip_version": 4, "enable_dhcp": False, "allocation_pools": pool}
    api.create("subnet", cidr="203.0.113.0/24", gateway_ip="203.0.113.1", **more)
    return external


def test_up_returns_when_all_agents_are_alive(api: Client) -> None:
    agents = api.get("/v2.0/agents")["agents"]
    assert sorted({agent["host"] for agent in agents}) == ["compute1", "net1"]
    assert all(agent["alive"] for agent in agents)


def test_an_instance_boots_and_is_destroyed_with_its_port(
    small: Command, api: Client, tmp_path: Path
) -> None:
    (tmp_path / "user-data").write_text("#!/bin/sh\necho hello\n")
    words = ("--host", "compute1", "--network", "blue", "--user-data", str(tmp_path / "user-data"))
    said = small.ok("boot", "vm1", *words)
    assert "vm1 on compute1: 10.1.0." in said
    assert "lease in" in said
    assert "metadata in" in said
    assert small.inside("vm1", "cat /run/user-data") == "#!/bin/sh\necho hello\n"
    (port,) = api.get("/v2.0/ports", name="vm1")["ports"]
    assert (port["binding:host_id"], port["status"]) == ("compute1", "ACTIVE")
    small.ok("destroy", "vm1")
    assert api.get("/v2.0/ports", name="vm1")["ports"] == []
    assert json.loads(small.ok("status", "--json"))["instances"] == []
    assert port["id"][:11] not in small.inside("compute1", "ls /sys/class/net")


def test_a_port_of_ones_own_outlives_its_instance(small: Command, api: Client) -> None:
    network = api.find("network", "blue")
    port = api.create("port", network_id=network["id"], name="mine")
    small.ok("boot", "vm2", "--host", "compute1", "--port", "mine")
    assert "in use" in small("boot", "vm3", "--host", "compute1", "--port", "mine").stderr
    small.ok("destroy", "vm2")
    found = api.find("port", "mine")
    assert (found["id"], found["device_id"], found["binding:host_id"]) == (port["id"], "", "")


def test_vlans_of_one_wire_do_not_hear_each_other(small: Command, api: Client) -> None:
    tags = {"network_type": "vlan", "physical_network": "external", "minimum": 7, "maximum": 8}
    api.post("/v2.0/network_segment_ranges", {"network_segment_range": tags})
    for name, address in (("red", "10.7.0.0/24"), ("grey", "10.7.0.0/24")):
        network = api.create("network", name=name, **{"provider:network_type": "vlan"})
        assert network["provider:segmentation_id"] == (7 if name == "red" else 8)
        api.create("subnet", network_id=network["id"], ip_version=4, cidr=address)
    small.ok("boot", "red1", "--host", "compute1", "--network", "red")
    small.ok("boot", "red2", "--host", "net1", "--network", "red")
    small.ok("boot", "grey1", "--host", "compute1", "--network", "grey")
    ((there,),) = (port["fixed_ips"] for port in api.get("/v2.0/ports", name="red2")["ports"])
    ping = ("--", "ping", "-c1", "-W3", there["ip_address"])
    assert "1 received" in small("exec", "red1", *ping).stdout
    assert "0 received" in small("exec", "grey1", *ping).stdout
    for name in ("red1", "red2", "grey1"):
        small.ok("destroy", name)


def test_a_router_leads_out_of_a_vlan_on_the_wire_that_it_came_by(
    small: Command, api: Client, internet: str
) -> None:
    tags = {"network_type": "vlan", "physical_network": "external", "minimum": 9, "maximum": 9}
    api.post("/v2.0/network_segment_ranges", {"network_segment_range": tags})
    kind = {"provider:network_type": "vlan", "provider:physical_network": "external"}
    network = api.create("network", name="office", **kind, **{"provider:segmentation_id": 9})["id"]
    subnet = api.create("subnet", network_id=network, ip_version=4, cidr="10.9.0.0/24")["id"]
    router = api.create("router", ha=False, external_gateway_info={"network_id": internet})["id"]
    api.put(f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})
    small.ok("boot", "desk", "--host", "compute1", "--network", "office")
    (port,) = api.get("/v2.0/ports", name="desk")["ports"]
    small.inside("desk", PING.format("198.51.100.1"))
    floating = api.create("floatingip", floating_network_id=internet, port_id=port["id"])
    small.inside("outside", PING.format(floating["floating_ip_address"]))
    seen = json.loads(small.inside("net1", "ip -j link show"))
    bridges = {link["ifname"]: link.get("master") for link in seen}
    assert bridges[f"vlan{network[:11]}"] == f"brq{network[:11]}"
    small.ok("destroy", "desk")


def test_a_floating_ip_of_an_instance_behind_two_routers(small: Command, api: Client, internet: str) -> None:
    between = api.create("network", name="between")["id"]
    subnet = api.create("subnet", network_id=between, ip_version=4, cidr="10.8.0.0/24")["id"]
    leading = api.create("port", network_id=between, fixed_ips=[{"ip_address": "10.8.0.9"}])["id"]
    first = api.create("router", ha=False, external_gateway_info={"network_id": internet})["id"]
    second = api.create("router", ha=False)["id"]
    for router, interface, destination, hop in (
        (first, {"subnet_id": subnet}, "10.1.0.0/24", "10.8.0.9"),
        (second, {"port_id": leading}, "0.0.0.0/0", "10.8.0.1"),
    ):
        api.put(f"/v2.0/routers/{router}/add_router_interface", interface)
        route = {"destination": destination, "nexthop": hop}
        api.put(f"/v2.0/routers/{router}", {"router": {"routes": [route]}})
    own = api.find("network", "blue")["subnets"][0]
    api.put(f"/v2.0/routers/{second}/add_router_interface", {"subnet_id": own})
    small.ok("boot", "inner", "--host", "compute1", "--network", "blue")
    (port,) = api.get("/v2.0/ports", name="inner")["ports"]
    floating = api.create("floatingip", floating_network_id=internet, port_id=port["id"], router_id=first)
    small.inside("outside", PING.format(floating["floating_ip_address"]))
    small.ok("destroy", "inner")


def test_an_instance_of_a_routed_network_gets_its_lease_on_its_segment(small: Command, api: Client) -> None:
    tags = {"network_type": "vlan", "physical_network": "external", "minimum": 10, "maximum": 10}
    api.post("/v2.0/network_segment_ranges", {"network_segment_range": tags})
    physical = {"provider:physical_network": "external", "provider:segmentation_id": 10}
    both = [{"provider:network_type": "vlan", **physical}, {"provider:network_type": "vxlan"}]
    network = api.create("network", name="wide", segments=both)["id"]
    for number, one in enumerate(api.get("/v2.0/segments", network_id=network)["segments"]):
        cidr = "10.10.0.0/24" if one["network_type"] == "vlan" else f"10.20.{number}.0/24"
        api.create("subnet", network_id=network, ip_version=4, cidr=cidr, segment_id=one["id"])
    said = small.ok("boot", "here", "--host", "compute1", "--network", "wide")
    assert "here on compute1: 10.10.0." in said
    assert "from 10.10.0." in said
    assert "metadata in" in said
    routes = small.inside("here", "ip route show")
    assert "via 10.10.0.1" in next(line for line in routes.splitlines() if line.startswith("10.20."))
    small.ok("destroy", "here")


def test_the_api_keeps_its_address_when_its_host_loses_power(small: Command, api: Client) -> None:
    before = json.loads(small.ok("status", "--json"))["endpoint"]
    small.ok("power-off", "controller")
    assert labs.endpoint(small.lab.record()) == before
    small.ok("power-on", "controller")
    assert json.loads(small.ok("status", "--json"))["endpoint"] == before
    assert api.find("network", "blue")["name"] == "blue"  # the disk was kept


def test_requests_wait_while_the_server_restarts(small: Command, api: Client) -> None:
    small.ok("service", "controller", "stop", "server")
    asked = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import urllib.request as r; print(r.urlopen('{api.endpoint}/v2.0/').status)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.5)
    assert asked.poll() is None
    small.ok("service", "controller", "start", "server")
    assert asked.communicate(timeout=30)[0] == "200\n"


def demo(name: str, *words: str) -> "subprocess.Popen[str]":
    command = [str(Path(sys.prefix) / "bin" / "deuteron"), "demo", *words]
    return subprocess.Popen(
        command,
        env={**os.environ, "DEUTERON_LAB": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_demonstration_holds(fresh: Command) -> None:
    process = demo(fresh.lab.name)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "NOT HELD" not in said
    for expected in ("DHCP servers", "SNAT: gap", "floating IP: gap", "packets lost", "new instance's lease"):
        assert expected in said
    assert traces(fresh) == []


@pytest.mark.parametrize(
    ("seconds", "number"),
    [(0.0, signal.SIGINT), (2.0, signal.SIGTERM), (6.0, signal.SIGINT), (9.0, signal.SIGHUP)],
)
def test_an_interrupted_demonstration_leaves_nothing(
    fresh: Command, seconds: float, number: signal.Signals
) -> None:
    process = demo(fresh.lab.name)
    assert process.stdout
    assert "bringing up" in process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert "interrupted" in said
    assert process.returncode == 128 + number
    assert traces(fresh) == []


def test_the_demonstration_takes_no_lab_that_is_in_use(small: Command) -> None:
    process = demo(small.lab.name)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "already" in said
    assert small("exec", "net1", "--", "true").returncode == 0
