"""Local IPs, and the ports that they lead to."""

from typing import Any

import pytest

from tests.api.conftest import Answer, Client, Topology


def _associate(api: Client, local: str, port: str, **more: Any) -> Answer:
    body = {"port_association": {"fixed_port_id": port, **more}}
    return api.post(f"/local_ips/{local}/port_associations", body)


def test_one_with_a_port_of_its_own(api: Client, topology: Topology) -> None:
    made = api.make("local_ip", network_id=topology.network, local_ip_address="10.0.0.50", name="lip")
    assert (made["local_ip_address"], made["ip_mode"]) == ("10.0.0.50", "translate")
    owner = api.shown("port", made["local_port_id"])
    assert (owner["device_owner"], owner["device_id"]) == ("network:local_ip", made["id"])
    assert owner["fixed_ips"] == [{"subnet_id": topology.subnet, "ip_address": "10.0.0.50"}]
    assert api.delete(f"/ports/{owner['id']}").error == "ServicePortInUse"
    changed = api.put(f"/local_ips/{made['id']}", {"local_ip": {"name": "n", "description": "d"}})
    assert (changed.body["local_ip"]["name"], changed.body["local_ip"]["description"]) == ("n", "d")
    assert api.put(f"/local_ips/{made['id']}", {"local_ip": {"ip_mode": "passthrough"}}).status == 400
    assert api.get("/local_ips?local_ip_address=10.0.0.51").body == {"local_ips": []}
    assert api.delete(f"/local_ips/{made['id']}").status == 204
    assert api.get(f"/ports/{owner['id']}").status == 404
    assert api.get(f"/local_ips/{made['id']}").error == "LocalIPNotFound"


def test_one_of_a_port_that_there_is(api: Client, topology: Topology) -> None:
    port = api.shown("port", topology.port)
    made = api.make("local_ip", local_port_id=port["id"], ip_mode="passthrough")
    assert made["local_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert made["network_id"] == topology.network
    assert api.put(f"/ports/{port['id']}", {"port": {"fixed_ips": []}}).error == "ServicePortInUse"
    assert api.delete(f"/local_ips/{made['id']}").status == 204
    assert api.shown("port", port["id"]) == port


def test_what_is_none(api: Client, topology: Topology) -> None:
    six = api.make("network")["id"]
    assert api.refused("local_ip", network_id=six) == (400, "BadRequest")
    api.make("subnet", network_id=six, ip_version=6, cidr="2001:db8::/64")
    assert api.refused("local_ip", network_id=six) == (400, "BadRequest")
    port = api.make("port", network_id=six)["id"]
    assert api.refused("local_ip", local_port_id=port) == (400, "InvalidInput")
    assert api.refused("local_ip") == (400, "LocalIPPortOrNetworkRequired")
    assert api.refused("local_ip", local_port_id=six) == (404, "PortNotFound")
    assert api.refused("local_ip", network_id=topology.network, ip_mode="magic")[0] == 400
    wrong = {"local_port_id": topology.port, "local_ip_address": "10.9.9.9"}
    assert api.refused("local_ip", **wrong) == (400, "LocalIPRequestedIPNotFound")


@pytest.fixture
def local(api: Client, topology: Topology) -> str:
    id_: str = api.make("local_ip", network_id=topology.network, local_ip_address="10.0.0.50")["id"]
    return id_


def test_ports_that_it_leads_to(api: Client, topology: Topology, local: str) -> None:
    port = api.make("port", network_id=topology.network, binding__host_id="h1")
    address = port["fixed_ips"][0]["ip_address"]
    other = api.shown("port", topology.port)
    first = _associate(api, local, port["id"]).body["port_association"]
    assert first == {
        "local_ip_id": local,
        "local_ip_address": "10.0.0.50",
        "fixed_port_id": port["id"],
        "fixed_ip": address,
        "host": "h1",
    }
    assert _associate(api, local, port["id"]).error == "LocalIPAssociationExists"
    assert _associate(api, local, topology.interface).status == 400
    wanted = other["fixed_ips"][0]["ip_address"]
    assert _associate(api, local, other["id"], fixed_ip=wanted).status == 201
    path = f"/local_ips/{local}/port_associations"
    assert len(api.get(path).body["port_associations"]) == 2
    for query in (f"fixed_port_id={port['id']}", f"fixed_ip={address}", "host=h1"):
        assert api.get(f"{path}?{query}").body["port_associations"] == [first]
    assert len(api.get(f"{path}?local_ip_address=10.0.0.50").body["port_associations"]) == 2
    assert api.get(f"{path}/{port['id']}").body["port_association"] == first
    assert api.delete(f"/local_ips/{local}").error == "LocalIPInUse"
    assert api.delete(f"{path}/{port['id']}").status == 204
    assert api.get(f"{path}/{port['id']}").error == "LocalIPAssociationNotFound"
    assert api.delete(f"/ports/{other['id']}").status == 204
    assert api.get(path).body == {"port_associations": []}


def test_ports_with_several_addresses_or_none(api: Client, topology: Topology, local: str) -> None:
    two = [{"ip_address": "10.0.0.60"}, {"ip_address": "10.0.0.61"}]
    port = api.make("port", network_id=topology.network, fixed_ips=two)["id"]
    assert _associate(api, local, port).error == "LocalIPNoRequestedIP"
    assert _associate(api, local, port, fixed_ip="10.0.0.62").error == "LocalIPRequestedIPNotFound"
    assert _associate(api, local, port, fixed_ip="10.0.0.61").status == 201
    api.put(f"/ports/{port}", {"port": {"fixed_ips": two[:1]}})
    assert api.get(f"/local_ips/{local}/port_associations").body == {"port_associations": []}
    empty = api.make("port", network_id=topology.network, fixed_ips=[])["id"]
    assert _associate(api, local, empty).error == "LocalIPNoIP"
