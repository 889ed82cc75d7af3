"""A router that is up becomes redundant, plain, distributed, central: nothing inside is lost or breaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deuteron.lab import enter, trace
from deuteron.lab import lab as labs
from deuteron.lab.scene import INTERNET
from tests.system.cloud import Standard, Traffic

pytestmark = pytest.mark.lab

OUTWARD = ("SNAT", "floating IP")
OUTWARD_MS = 200.0
"""Ten times what is promised: this machine does much else."""


def deuteron(built: Standard, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.prefix, "bin", "deuteron")), *words, "--endpoint", built.cloud.api.endpoint]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def nothing_broke(built: Standard, traffic: Traffic) -> None:
    """All inside arrived, and of what goes out as good as all."""
    lost = {name: gaps for name, gaps in traffic.lost.items() if name not in OUTWARD}
    assert lost == {}, built.story(traffic)
    assert all(traffic.longest_gap_ms[name] <= OUTWARD_MS for name in OUTWARD), built.story(traffic)
    assert traffic.broken == {}


def test_a_plan_says_what_would_be_done(built: Standard) -> None:
    said = deuteron(built, "convert", "router", "--to", "dvr-ha", "--plan")
    assert said.returncode == 0, said.stderr
    assert "distributed parts are built on all hosts of its networks, mute" in said.stdout
    assert built.cloud.list("router")[0]["distributed"] is False
    assert deuteron(built, "convert", "router", "--to", "ha").stdout == "router: is ha already\n"
    assert deuteron(built, "convert", "router", "--to", "dvr", "--timeout", "x").returncode == 2


@pytest.mark.parametrize("mode", ["dvr-ha", "legacy", "dvr", "ha"])
def test_a_router_becomes_something_else_under_traffic(built: Standard, mode: str) -> None:
    active = built.cloud.api.get("/v1/status")["routers"][0]["active"]
    with built.cloud.probing(*built.flows, after=1.0) as traffic:
        said = deuteron(built, "convert", "router", "--to", mode, "--json")
    assert said.returncode == 0, said.stdout + said.stderr
    assert json.loads(said.stdout)["phase"] == "done"
    nothing_broke(built, traffic)
    status = built.cloud.api.get("/v1/status")
    assert status["routers"][0]["active"] == active, "its central part stays where it is"
    assert status["problems"] == []
    packets_go_as_they_should(built, mode, active)
    if mode == "dvr-ha":
        what_hosts_share_stays_on_them(built)


def packets_go_as_they_should(built: Standard, mode: str, active: str) -> None:
    """Those that the distributed parts take care of do not pass the host of the central part."""
    passed = () if mode.startswith("dvr") else (active,)
    ways = {
        ("vm2", built.addresses["vm3"]): ("compute2", *passed, "compute1"),
        ("vm2", INTERNET): ("compute2", active, "outside"),
        ("outside", built.floating_ip): ("outside", *passed, "compute1"),
    }
    for (source, target), hosts in ways.items():
        found = trace.trace(built.cloud.lab, source, target)
        assert (found.answered, found.there.hosts) == (True, hosts), trace.describe(found)
        assert found.back.hosts == hosts[::-1], trace.describe(found)


def what_hosts_share_stays_on_them(built: Standard) -> None:
    """Between networks it goes from host to host, and no gateway's MAC address is on the underlay."""
    cloud = built.cloud
    argv = [sys.executable, "-m", "deuteron.lab.listener", "eth-under"]
    command = enter.command(labs.locate(cloud.lab, "compute1"), argv)
    listener = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert listener.stdout is not None
    assert listener.stdout.readline() == "listening\n"
    for place, target in (("vm2", "vm3"), ("vm3", "vm2"), ("vm2", "vm1")):
        cloud.run(place, "ping", "-c", "2", "-i", "0.2", built.addresses[target])
    cloud.run("vm1", "ping", "-c", "2", "-i", "0.2", "10.1.0.1")
    heard = [json.loads(line) for line in listener.communicate(timeout=30)[0].splitlines()]
    ports = {port["id"]: port for port in cloud.list("port")}
    gateways = {
        port["mac_address"]
        for port in ports.values()
        if port["device_owner"] == "network:router_interface_distributed"
    }
    assert len(gateways) == 2
    assert not [one for one in heard if gateways & {one["source"], one["destination"]}], heard
    topology = cloud.lab.record().topology
    computes = [topology.address(name, "underlay") for name in ("compute1", "compute2")]
    there = ports[built.ports["vm3"]]["mac_address"]
    routed = [one for one in heard if one["destination"] == there and one["type"] == "0800"]
    (by,) = {one["source"] for one in routed}
    assert by.startswith("fa:16:3f:"), "the MAC address of the host that routed it"
    assert {(one["by"], one["to"]) for one in routed} == {(computes[1], computes[0])}
