"""Broken caches, full disks, foreign things: the agent says so, heals its own, touches nothing else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.system.cloud import Cloud, Standard, agents, until
from tests.system.hoststate import difference, hoststate

pytestmark = pytest.mark.lab

SETTLE_SECONDS = 2.0


@contextmanager
def serverless(cloud: Cloud) -> Iterator[None]:
    """The server is away."""
    cloud.service("controller", "stop", "server")
    try:
        yield
    finally:
        cloud.service("controller", "start", "server")
        until(cloud.answers, "the server answers")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("head -c 5000 /dev/urandom > /var/lib/deuteron/plan.ndjson", "waiting for the server"),
        ("sed -i 's/put/pot/' /var/lib/deuteron/plan.ndjson", "waiting for the server"),
        ("rm /var/lib/deuteron/plan.ndjson", "Connection refused"),
    ],
    ids=["garbage", "unknown words", "missing"],
)
def test_without_a_plan_and_a_server_nothing_is_touched(built: Standard, harm: str, words: str) -> None:
    """A corrupt or missing plan cache: the agent says so and touches nothing until the server is back."""
    cloud, active = built.cloud, built.active()
    started = cloud.started(active)
    with cloud.probing(*built.flows) as traffic:
        cloud.service(active, "stop", "agent")
        cloud.sh(active, harm)
        before = hoststate(cloud, active)
        said = len(cloud.log(active, "agent"))
        with serverless(cloud):
            cloud.service(active, "start", "agent")
            until(lambda: words in cloud.log(active, "agent")[said:], "the agent says so")
            time.sleep(SETTLE_SECONDS)
            left = difference(before, hoststate(cloud, active))
            assert set(left) <= {"processes"}, left
        cloud.wait_for_new_agents(started)
        until(lambda: (cloud.disk(active) / "plan.ndjson").exists(), "there is a plan again")
        time.sleep(SETTLE_SECONDS)
    built.lossless(traffic)
    assert built.active() == active
    until(lambda: not cloud.problems(active), "all is well")


def test_a_full_disk_stops_nothing(built: Standard) -> None:
    """A full disk: the agent says so and goes on, also after a restart; later it keeps its plan again."""
    cloud, host = built.cloud, "compute2"
    full = "mkdir /run/full && mount -t tmpfs -o size=16k tmpfs /run/full && mkdir /run/full/log"
    cloud.sh(host, f"{full} && ! dd if=/dev/zero of=/run/full/fill")
    cloud.sh(host, "mount --bind /run/full /var/lib/deuteron")
    try:
        with cloud.probing(*built.flows) as traffic:
            cloud.boot("vm8", host, built.blue)
            until(lambda: "agent/plan" in cloud.problems(host), "the agent says so")
            started = cloud.started(host)
            cloud.kill_service(host, "agent")
            cloud.wait_for_new_agents(started)
            cloud.boot("vm9", host, built.green)
            until(lambda: "No space left" in cloud.problems(host).get("agent/plan", ""), "it says so again")
        built.lossless(traffic)
    finally:
        cloud.sh(host, "umount -l /var/lib/deuteron && umount -l /run/full && rmdir /run/full")
    cloud.destroy("vm8", "vm9")
    until(lambda: not cloud.problems(host), "all is well")
    assert (cloud.disk(host) / "plan.ndjson").read_bytes().startswith(b'{"op":"snapshot"')


def test_a_foreign_bridge_is_left_alone(built: Standard) -> None:
    """A foreign device with our name is reported and untouched; when it goes, the network is built."""
    cloud, host = built.cloud, "compute2"
    network, _ = cloud.network("red", "10.3.0.0/24")
    bridge = f"brq{network[:11]}"
    cloud.sh(host, f"ip link add {bridge} type bridge && ip link set {bridge} alias mine")
    shown = cloud.sh(host, f"ip -d link show {bridge}")
    binding = {"binding:host_id": host, "device_id": "d", "device_owner": "compute:nova"}
    port = cloud.api.create("port", network_id=network, **binding)
    tap = f"tap{port['id'][:11]}"
    cloud.sh(host, f"ip link add {tap} type veth peer name plugged")
    until(lambda: f"network/{network}" in cloud.problems(host), f"{host} says so")
    until(lambda: f"port/{port['id']}" in cloud.problems(host), "and that its port waits")
    assert "not ours" in cloud.problems(host)[f"network/{network}"]
    assert f"network/{network}" in str(cloud.api.get("/v1/status")["problems"])
    assert cloud.sh(host, f"ip -d link show {bridge}") == shown
    cloud.sh(host, f"ip link delete {bridge}")
    until(lambda: not cloud.problems(host), "it is built")
    cloud.api.delete(f"/v2.0/ports/{port['id']}")
    cloud.sh(host, f"ip link delete {tap}")
    cloud.boot("vm9", host, network)
    cloud.destroy("vm9")
    cloud.api.delete(f"/v2.0/networks/{network}")


def test_a_foreign_vxlan_device_is_left_alone(built: Standard) -> None:
    """The same for the device of a tunnel."""
    cloud, host = built.cloud, "compute2"
    network, _ = cloud.network("red", "10.3.0.0/24")
    vni = cloud.api.get(f"/v2.0/networks/{network}")["network"]["provider:segmentation_id"]
    device = f"vxlan-{vni}"
    until(lambda: device not in cloud.sh(host, "ip -br link"), "the device of another network is gone")
    cloud.sh(host, f"ip link add {device} type vxlan id 1 dstport 8472 local 127.0.0.1")
    shown = cloud.sh(host, f"ip -d link show {device}")
    binding = {"binding:host_id": host, "device_id": "d", "device_owner": "compute:nova"}
    cloud.api.create("port", network_id=network, **binding)
    until(lambda: f"network/{network}" in cloud.problems(host), f"{host} says so")
    assert cloud.sh(host, f"ip -d link show {device}") == shown
    cloud.sh(host, f"ip link delete {device}")
    until(lambda: not cloud.problems(host), "it is built")
    for port in cloud.list("port", network_id=network, device_id="d"):
        cloud.api.delete(f"/v2.0/ports/{port['id']}")
    cloud.api.delete(f"/v2.0/networks/{network}")


def test_foreign_namespaces_are_left_alone(built: Standard) -> None:
    """A foreign namespace with the name of a DHCP server's or a router's: reported, untouched, healed."""
    cloud = built.cloud
    net_hosts = ["net1", "net2", "net3"]
    started = cloud.started(*net_hosts)
    for host in net_hosts:
        cloud.service(host, "stop", "agent")
    network, subnets = cloud.network("red", "10.3.0.0/24")
    router = cloud.router("other", built.external, subnets)
    foreign = {f"dhcp/{network}": f"qdhcp-{network}", f"router/{router}": f"qrouter-{router}"}
    for host in net_hosts:
        for name in foreign.values():
            cloud.sh(host, f"ip netns add {name} && ip -n {name} link add mine type bridge")
        cloud.service(host, "start", "agent")
    cloud.wait_for_new_agents(started)
    for host in net_hosts:
        until(lambda: f"router/{router}" in cloud.problems(host), f"{host} says so")  # noqa: B023
        said = cloud.problems(host)
        assert "not ours" in said[f"router/{router}"]
    serving = [port["binding:host_id"] for port in cloud.list("port", network_id=network)]
    for host in {name for name in serving if name in net_hosts}:
        until(lambda: "not ours" in cloud.problems(host).get(f"dhcp/{network}", ""), f"{host} says so")  # noqa: B023
    for host in net_hosts:
        for name in foreign.values():
            inside = cloud.sh(host, f"ip -n {name} -br address")
            assert [line.split() for line in inside.splitlines()] == [["lo", "DOWN"], ["mine", "DOWN"]]
            cloud.sh(host, f"ip netns delete {name}")
    for host in net_hosts:
        until(lambda: not cloud.problems(host), f"{host} has built it")  # noqa: B023
    cloud.boot("vm9", "compute2", network)
    cloud.reaches("vm9", "203.0.113.1")
    cloud.destroy("vm9")
    cloud.detach(router, subnets[0])
    cloud.api.delete(f"/v2.0/routers/{router}")
    cloud.api.delete(f"/v2.0/networks/{network}")


def test_a_foreign_tap_is_left_alone(built: Standard) -> None:
    """A foreign device with the name of a router's port: reported, untouched, healed."""
    cloud = built.cloud
    network, subnets = cloud.network("red", "10.3.0.0/24")
    wanted = [{"subnet_id": subnets[0], "ip_address": "10.3.0.1"}]
    port = cloud.api.create("port", network_id=network, fixed_ips=wanted)
    tap = f"tap{port['id'][:11]}"
    host = built.active()
    cloud.sh(host, f"ip link add {tap} type veth peer name mine")
    cloud.api.put(f"/v2.0/routers/{built.router}/add_router_interface", {"port_id": port["id"]})
    until(lambda: f"router/{built.router}" in cloud.problems(host), f"{host} says so")
    assert "mine" in cloud.sh(host, f"ip link show {tap}")
    cloud.sh(host, f"ip link delete {tap}")
    until(lambda: not cloud.problems(host), "it is built")
    cloud.boot("vm9", "compute2", network)
    cloud.reaches("vm9", built.addresses["vm1"])
    cloud.destroy("vm9")
    cloud.detach(built.router, subnets[0])
    cloud.api.delete(f"/v2.0/networks/{network}")


def test_nothing_is_wrong_in_the_end(built: Standard) -> None:
    """What was healed is whole."""
    cloud = built.cloud
    for flow in built.flows:
        cloud.reaches(flow.place, flow.address)
    assert {host: cloud.problems(host) for host in agents(cloud)} == {host: {} for host in agents(cloud)}
