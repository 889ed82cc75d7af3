"""The CNI plugin, called as container runtimes call it."""

from typing import Any

import pytest

from tests.plug.conftest import Json, Machine

pytestmark = pytest.mark.lab


def _config(machine: Machine, **values: Any) -> Json:
    return {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "deuteron-cni",
        "endpoint": "http://127.0.0.1:9696",
        "host": machine.host.name,
        **values,
    }


def _environment(machine: Machine, container: str) -> dict[str, str]:
    return {"containerid": container, "netns": f"/run/netns/{container}", "ifname": "eth0"}


def test_a_container_from_add_to_del(machine: Machine) -> None:
    network = machine.network("cni")
    config = _config(machine, network="cni")
    results = {}
    for container in ("c1", "c2"):
        machine.namespace(container)
        code, results[container] = machine.cni(
            "ADD", config, **_environment(machine, container), args="IgnoreUnknown=1;K8S_POD_NAME=web"
        )
        assert code == 0, results
    result = results["c1"]
    ports = machine.api.get("/ports?device_id=cni/c1/eth0").body["ports"]
    assert [port["status"] for port in ports] == ["ACTIVE"]
    assert ports[0]["name"] == "web"
    assert result["interfaces"] == [
        {"name": "eth0", "mac": ports[0]["mac_address"], "sandbox": "/run/netns/c1"}
    ]
    addresses = {fixed["ip_address"] for fixed in ports[0]["fixed_ips"]}
    assert {ip["address"].partition("/")[0] for ip in result["ips"]} == addresses
    assert {"dst": "0.0.0.0/0", "gw": "10.0.0.1"} in result["routes"]
    assert {ip["gateway"] for ip in result["ips"]} == {"10.0.0.1", "2001:db8::1"}
    for ip in results["c2"]["ips"]:
        machine.reaches("c1", ip["address"].partition("/")[0])

    here = _environment(machine, "c1")
    code, said = machine.cni("ADD", config, **here)
    assert (code, said["code"]) == (1, 100)
    checked = {**config, "prevResult": result}
    assert machine.cni("CHECK", checked, **here) == (0, {})
    lost = next(ip["address"] for ip in result["ips"] if ":" not in ip["address"])
    machine.host.run(f"ip address delete {lost} dev eth0", "c1")
    code, said = machine.cni("CHECK", checked, **here)
    assert (code, said["msg"]) == (1, f"eth0 lacks {lost}")

    for _ in range(2):
        assert machine.cni("DEL", checked, **here) == (0, {})
        assert "eth0" not in machine.host.links("c1")
    code, said = machine.cni("CHECK", checked, **here)
    assert (code, said["code"]) == (1, 3)
    machine.host.run("ip netns delete c2")
    assert machine.cni("DEL", config, containerid="c2", ifname="eth0") == (0, {})
    assert machine.api.get(f"/ports?network_id={network}&device_owner=compute:cni").body["ports"] == []


def test_a_port_that_was_made_before_stays(machine: Machine) -> None:
    network = machine.network("mine")
    port = machine.api.make("port", network_id=network, name="mine-1")
    machine.namespace("c3")
    config, here = _config(machine, cniVersion="0.4.0"), _environment(machine, "c3")
    code, result = machine.cni("ADD", config, **here, args="DEUTERON_PORT=mine-1")
    assert code == 0, result
    assert {ip["version"] for ip in result["ips"]} == {"4", "6"}
    assert machine.host.links("c3")["eth0"]["address"] == port["mac_address"]
    assert machine.cni("DEL", config, **here) == (0, {})
    shown = machine.port(port["id"])
    assert (shown["binding:host_id"], shown["device_id"]) == ("", "")


def test_what_cannot_be_done_is_told_as_the_specification_says(machine: Machine) -> None:
    machine.network("full")
    machine.namespace("c4")
    here = _environment(machine, "c4")
    good = _config(machine, network="full")
    assert machine.cni("VERSION", {"cniVersion": "1.0.0"}) == (
        0,
        {"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]},
    )
    for command, config, environment, code in (
        ("ADD", {**good, "cniVersion": "0.2.0"}, here, 1),
        ("ADD", {**good, "ipam": {"type": "host-local"}}, here, 2),
        ("ADD", good, {**here, "netns": ""}, 4),
        ("GROW", good, here, 4),
        ("ADD", "no JSON", here, 6),
        ("ADD", _config(machine), here, 7),
        ("CHECK", good, here, 7),
        ("ADD", {**good, "endpoint": "http://127.0.0.1:1"}, here, 11),
        ("ADD", {**good, "network": "nothing"}, here, 100),
        ("ADD", good, {**here, "netns": "/run/netns/nothing"}, 100),
        ("ADD", {**good, "security_groups": ["nothing"]}, here, 100),
    ):
        status, said = machine.cni(command, config, **environment)
        assert (status, said["code"]) == (1, code), said
        assert said["msg"]
    assert machine.api.get("/ports?device_owner=compute:cni").body["ports"] == []
