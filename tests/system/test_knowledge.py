"""What an operator is told, held against what is so: on a lab, with the command as it is installed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deuteron.lab import lab as labs
from tests.system.cloud import Cloud, Standard, until

pytestmark = pytest.mark.lab

DEUTERON = str(Path(sys.executable).with_name("deuteron"))


def ask(cloud: Cloud, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command against the lab's server."""
    argv = [DEUTERON, words[0], "--endpoint", cloud.api.endpoint, *words[1:]]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def told(cloud: Cloud, *words: str) -> Any:
    """Return what the command says as JSON."""
    return json.loads(ask(cloud, *words, "--json").stdout)


def test_a_cloud_that_is_well_is_said_to_be(built: Standard) -> None:
    until(lambda: ask(built.cloud, "status").returncode == 0, "all is well")
    said = ask(built.cloud, "status").stdout
    assert said.startswith("all is well: 5 hosts, 1 router, DHCP on 2 networks")


def test_the_heartbeat_is_where_it_is_said_to_be(built: Standard) -> None:
    """Namespace, device, VNI and addresses are those of the kernel on each candidate."""
    cloud = built.cloud
    beat = told(cloud, "explain", "heartbeat", "router")["heartbeat"]
    assert len(beat["speakers"]) == 3
    for one in beat["speakers"]:
        inside = f"ip -j -d -n {beat['namespace']}"
        link = json.loads(cloud.sh(one["host"], f"{inside} link show {beat['device']}"))[0]
        data = link["linkinfo"]["info_data"]
        assert (data["id"], data["local"]) == (beat["vni"], one["vtep"])
        assert (link["address"], link["mtu"]) == (one["mac"], beat["mtu"])
        shown = json.loads(cloud.sh(one["host"], f"{inside} address show {beat['device']}"))[0]
        assert one["address"] in [info["local"] for info in shown["addr_info"]]


def test_what_would_break_is_told_before_and_happens_as_told(built: Standard) -> None:
    cloud, active = built.cloud, built.active()
    others = {"net1", "net2", "net3"} - {active}
    assert ask(cloud, "ok-to-stop", "net1", "net2", "net3").returncode == 1
    asked = ask(cloud, "ok-to-stop", active)
    assert asked.returncode == 0, asked.stdout
    finding = next(one for one in told(cloud, "ok-to-stop", active)["findings"] if one["kind"] == "router")
    assert finding["level"] == "OK"
    labs.power_off(cloud.lab, active)
    try:
        until(lambda: f"{active}: silent" in ask(cloud, "status").stdout, "the status names the dead host")
        said = ask(cloud, "status")
        assert said.returncode == 1
        assert f"router router: {active} is silent" in said.stdout
        now = told(cloud, "status")["routers"][0]["active"]
        assert now in others
        assert finding["why"].startswith(f"moves to {now} within about 0.1 s")
        last = told(cloud, "history", "router")[0]
        assert (last["from"], last["to"]) == (active, now)
        assert ask(cloud, "ok-to-stop", *others).returncode == 1
        until(lambda: "host dead" in ask(cloud, "events").stdout, "the event is told")
    finally:
        labs.power_on(cloud.lab, active)
    until(lambda: ask(cloud, "status").returncode == 0, "all is well again")


def test_a_lab_host_has_nothing_to_mend(built: Standard) -> None:
    cloud = built.cloud
    address = cloud.status("net1")["vtep"]
    config = f'[agent]\nserver = "{cloud.api.endpoint}"\nlocal_ip = "{address}"\n'
    cloud.sh("net1", f"cat > /tmp/check.toml <<'E'\n{config}E")
    done = cloud.run("net1", DEUTERON, "check", "--host-only", "--config", "/tmp/check.toml", "--json")
    found = json.loads(done.stdout)
    assert [one for one in found if one["level"] == "fail"] == []
    assert any("programs, kernel features" in one["text"] for one in found)
    settings = ask(cloud, "check", "--config", "/dev/null")
    assert settings.returncode == 0, settings.stdout
