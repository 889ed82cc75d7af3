"""Instances, in a host whose DHCP and metadata are made by hand here."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deuteron.lab import enter, hosts, instances
from deuteron.lab.state import Instance
from deuteron.lab.topology import LabError
from tests.lab.conftest import Command

pytestmark = pytest.mark.lab

METADATA = """
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    answers = {
        "/openstack/latest/meta_data.json": b'{"uuid": "u-1", "name": "vm1"}',
        "/openstack/latest/user_data": b"#!/bin/sh",
    }
    def do_GET(self):
        body = self.answers.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

http.server.HTTPServer(("169.254.169.254", 80), Handler).serve_forever()
"""

VM = Instance(
    name="vm1",
    host="alpha",
    network="n",
    port="0a1b2c3d-4e5f-0000-0000-000000000000",
    device_id="u-1",
    mac="fa:16:3e:00:00:01",
    addresses=("10.1.0.5",),
    mtu=1450,
    own_port=True,
)
DEVICE = "tap0a1b2c3d-4e"


def background(command: Command, place: str, *argv: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(enter.command(hosts.pid(command.lab, place) or 0, argv))


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def vm(bare: Command) -> Iterator[Command]:
    """An instance that is plugged in, on a host that answers it on the other end of its device."""
    bare.lab.save_instance(VM)
    instances._plug(bare.lab, VM)
    bare.inside("alpha", f"ip address add 10.1.0.1/24 dev {DEVICE}; ip address add 169.254.169.254/32 dev lo")
    try:
        yield bare
    finally:
        instances._unplug(bare.lab, VM)
        bare.lab.forget_instance(VM.name)
        bare.inside("alpha", "ip address del 169.254.169.254/32 dev lo")


@pytest.fixture
def services(vm: Command) -> Iterator[Command]:
    options = ["--dhcp-range=10.1.0.0,static", f"--dhcp-host={VM.mac},10.1.0.5", "--dhcp-authoritative"]
    options += ["--dhcp-option=26,1442", "--dhcp-option=3,10.1.0.1", "--dhcp-option=6,10.1.0.9"]
    routes = "0.0.0.0/0,10.1.0.1,192.0.2.0/24,10.1.0.7,169.254.169.254/32,0.0.0.0"
    options += [f"--dhcp-option=121,{routes}", "--domain=example.org"]
    quiet = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--leasefile-ro",
        "--log-facility=-",
    ]
    dnsmasq = background(vm, "alpha", "dnsmasq", f"--interface={DEVICE}", *options, *quiet)
    metadata = background(vm, "alpha", sys.executable, "-c", METADATA)
    yield vm
    for process in (dnsmasq, metadata):
        process.terminate()
        process.wait()


def test_it_boots_as_a_machine_does(services: Command) -> None:
    said = instances._run_machine(services.lab, "vm1", {"dhcp": True, "slaac": False, "metadata": True})
    assert "error" not in said
    assert (said["address"], said["dhcp_server"]) == ("10.1.0.5", "10.1.0.1")
    assert said["metadata"] == {"uuid": "u-1", "name": "vm1"}
    assert said["user_data_bytes"] == 9
    assert 0 <= said["lease_seconds"] < 10
    inside = json.loads(services.ok("exec", "vm1", "--", "ip", "-j", "address", "show", "eth0"))[0]
    assert inside["mtu"] == 1442
    assert inside["address"] == VM.mac
    assert ("10.1.0.5", 24) in [(a["local"], a["prefixlen"]) for a in inside["addr_info"]]
    routes = services.inside("vm1", "ip route")
    assert "default via 10.1.0.1" in routes
    assert "192.0.2.0/24 via 10.1.0.7" in routes
    assert "169.254.169.254 dev eth0 scope link" in routes
    assert services.inside("vm1", "cat /run/user-data") == "#!/bin/sh"
    resolver = services.inside("vm1", "cat /run/resolv.conf")
    assert resolver == "search example.org\nnameserver 10.1.0.9\n"
    assert services.inside("vm1", "hostname").strip() == "vm1"
    machine = Path("/etc/resolv.conf")
    assert not machine.exists() or "10.1.0.9" not in machine.read_text()


def test_it_answers_ping_and_echo(services: Command) -> None:
    instances._run_machine(services.lab, "vm1", {"dhcp": True})
    assert services("exec", "alpha", "--", "ping", "-c1", "-W2", "10.1.0.5").returncode == 0
    script = "import socket; s = socket.create_connection(('10.1.0.5', 7), 5); s.send(b'x'); print(s.recv(9))"
    assert services.ok("exec", "alpha", "--", sys.executable, "-c", script) == "b'x'\n"


def test_status_shows_it_and_its_host_carries_it(vm: Command) -> None:
    (shown,) = json.loads(vm.ok("status", "--json"))["instances"]
    assert (shown["name"], shown["host"], shown["state"]) == ("vm1", "alpha", "running")
    assert "vm1" in vm.ok("status")
    vm.ok("power-off", "alpha")
    assert json.loads(vm.ok("status", "--json"))["instances"][0]["state"] == "off"
    assert "instance vm1 is off" in vm("exec", "vm1", "--", "true").stderr
    vm.ok("power-on", "alpha")
    assert json.loads(vm.ok("status", "--json"))["instances"][0]["state"] == "off"
    vm.inside("alpha", "ip address add 169.254.169.254/32 dev lo")  # for the fixture to remove


def test_it_does_not_boot_twice(vm: Command) -> None:
    with pytest.raises(LabError, match="already running"):
        instances._plug(vm.lab, VM)
    assert vm("exec", "vm1", "--", "true").returncode == 0


def test_what_is_unplugged_leaves_nothing(services: Command) -> None:
    instances._run_machine(services.lab, "vm1", {"dhcp": True})
    assert "udhcpc" in services.inside("alpha", "ps ax -o comm")
    instances._unplug(services.lab, VM)
    until(lambda: "udhcpc" not in services.inside("alpha", "ps ax -o comm"))
    until(lambda: DEVICE not in services.inside("alpha", "ls /sys/class/net"))
    until(lambda: "echo.py" not in services.inside("alpha", "ps ax -o args"))


@pytest.mark.parametrize(
    ("name", "host", "complaint"),
    [
        ("VM", "alpha", "a name is"),
        ("alpha", "alpha", "the name of a host"),
        ("vm1", "alpha", "already"),
        ("vm2", "gamma", "no host 'gamma'"),
    ],
)
def test_what_cannot_boot_is_refused(vm: Command, name: str, host: str, complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        instances._check(vm.lab, vm.lab.record(), name, host)


def test_booting_and_destroying_need_the_api(bare: Command) -> None:
    done = bare("boot", "vm9", "--host", "alpha", "--network", "blue")
    assert done.returncode == 1
    assert "no host that runs the server" in done.stderr
    assert "no instance 'vm9'" in bare("destroy", "vm9").stderr
