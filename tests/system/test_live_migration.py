"""A guest moves from one host to another, by two bindings of its port, while it speaks to a third."""

import contextlib
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deuteron.lab import echo
from deuteron.lab import lab as labs
from tests.system.cloud import Cloud, Flow, Json, lab, until

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

# What a hypervisor does when the guest goes on at the target: its cable is another one, and it says so.
_ARRIVE = """
import socket, subprocess, sys
old, new, mac = sys.argv[1:4]
announcer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
announcer.bind(("eth0", 0))
lines = f"link set {old} nomaster\\nlink set {new} master eth0\\n"
subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True)
if len(sys.argv) > 4:
    sender = bytes.fromhex(mac.replace(":", ""))
    head = b"\\xff" * 6 + sender + bytes.fromhex("8035" "0001" "0800" "06" "04" "0003")
    announcer.send(head + 2 * (sender + bytes(4)) + bytes(18))
"""


class Guest:
    """A machine outside of all hosts, with a cable to each host that it has been on or goes to.

    Its network device is a bridge with one cable in it: so it keeps its connections when the cable changes,
    as a virtual machine does.
    """

    def __init__(self, cloud: Cloud, port: Json) -> None:
        self.cloud, self.port = cloud, port
        self.name = f"guest-{uuid.uuid4().hex[:6]}"
        self.address = port["fixed_ips"][0]["ip_address"]
        self.tap = f"tap{port['id'][:11]}"
        _ip(f"netns add {self.name}")
        mac = port["mac_address"]
        self._ip(
            f"link add eth0 address {mac} mtu 1450 type bridge forward_delay 0 mcast_snooping 0",
            f"address add {self.address}/24 dev eth0",
            "link set eth0 up",
        )
        self._echo = subprocess.Popen(["ip", "netns", "exec", self.name, sys.executable, echo.__file__])

    def close(self) -> None:
        self._echo.kill()
        self._echo.wait()
        _ip(f"netns delete {self.name}")

    def cable(self, host: str) -> None:
        """Plug it in at a host, as a hypervisor does before the guest comes."""
        pid = labs.locate(self.cloud.lab, host)
        _ip(f"link add {self.tap} netns {pid} type veth peer name {host} mtu 1450 netns {self.name}")
        self._ip(f"link set {host} up")
        self.cloud.sh(host, f"ip link set {self.tap} up")

    def use(self, host: str) -> None:
        """Speak by the cable to a host."""
        self._ip(f"link set {host} master eth0")

    def uncable(self, host: str) -> None:
        """Take its device away from a host."""
        self.cloud.sh(host, f"ip link delete {self.tap}")

    def connected(self, host: str) -> bool:
        """Tell whether its device is on its network's bridge, at a host."""
        return "master brq" in self.cloud.sh(host, f"ip -o link show {self.tap}")

    def arrive(self, old: str, new: str, *, announced: bool) -> None:
        """Go on at another host."""
        words = [old, new, self.port["mac_address"], *(["announced"] if announced else [])]
        argv = ["ip", "netns", "exec", self.name, sys.executable, "-I", "-S", "-c", _ARRIVE, *words]
        subprocess.run(argv, check=True)

    def _ip(self, *lines: str) -> None:
        _ip(*lines, namespace=self.name)


def _ip(*lines: str, namespace: str = "") -> None:
    argv = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    subprocess.run(argv, input="\n".join(lines) + "\n", text=True, check=True)


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
