"""Trunks: one port that carries others."""

from typing import Any

import pytest

from deuteron.settings import ServerSettings
from tests.api.conftest import Client


def _port(api: Client, **attributes: Any) -> str:
    network = attributes.pop("network_id", None) or api.make("network")["id"]
    return str(api.make("port", network_id=network, **attributes)["id"])


def _sub(port: str, tag: int) -> dict[str, Any]:
    return {"port_id": port, "segmentation_type": "vlan", "segmentation_id": tag}


@pytest.fixture
def parent(api: Client) -> str:
    return _port(api)


@pytest.fixture
def child(api: Client) -> str:
    return _port(api)


@pytest.fixture
def trunk(api: Client, parent: str) -> str:
    return str(api.make("trunk", port_id=parent, name="a trunk")["id"])


def _change(api: Client, trunk: str, how: str, *subs: dict[str, Any]) -> Any:
    return api.put(f"/trunks/{trunk}/{how}_subports", {"sub_ports": list(subs)})


def test_subports_come_and_go(api: Client, parent: str, child: str) -> None:
    made = api.make("trunk", port_id=parent, sub_ports=[_sub(child, 7)])
    assert (made["status"], made["admin_state_up"], made["port_id"]) == ("DOWN", True, parent)
    assert made["sub_ports"] == [_sub(child, 7)]
    other = _port(api)
    added = _change(api, made["id"], "add", _sub(other, 5))
    assert added.status == 200
    assert added.body["sub_ports"] == [_sub(other, 5), _sub(child, 7)]
    listed = api.get(f"/trunks/{made['id']}/get_subports")
    assert listed.body == {"sub_ports": [_sub(other, 5), _sub(child, 7)]}
    details = api.shown("port", parent)["trunk_details"]
    mac = api.shown("port", other)["mac_address"]
    assert details["trunk_id"] == made["id"]
    assert details["sub_ports"][0] == {**_sub(other, 5), "mac_address": mac}
    assert "trunk_details" not in api.shown("port", other)
    assert _change(api, made["id"], "remove", {"port_id": child}).body["sub_ports"] == [_sub(other, 5)]
    assert api.delete(f"/trunks/{made['id']}").status == 204
    assert api.delete(f"/ports/{other}").status == 204
    assert api.delete(f"/ports/{parent}").status == 204


def test_subports_are_where_the_parent_is(api: Client, parent: str, child: str, trunk: str) -> None:
    _change(api, trunk, "add", _sub(child, 7))
    api.put(f"/ports/{parent}", {"port": {"binding:host_id": "compute1", "device_owner": "compute:a"}})
    shown = api.shown("port", child)
    assert (shown["binding:host_id"], shown["device_owner"]) == ("compute1", "trunk:subport")
    late = _port(api)
    _change(api, trunk, "add", _sub(late, 8))
    assert api.shown("port", late)["binding:host_id"] == "compute1"
    assert api.delete(f"/trunks/{trunk}").error == "TrunkInUse"
    binding = {"binding": {"host": "compute2"}}
    assert api.post(f"/ports/{parent}/bindings", binding).status == 201
    assert api.put(f"/ports/{parent}/bindings/compute2/activate", {}).status == 200
    assert api.shown("port", child)["binding:host_id"] == "compute2"
    _change(api, trunk, "remove", {"port_id": late})
    assert api.shown("port", late)["binding:host_id"] == ""
    api.put(f"/ports/{parent}", {"port": {"binding:host_id": ""}})
    shown = api.shown("port", child)
    assert (shown["binding:host_id"], shown["device_owner"]) == ("", "")
    assert api.delete(f"/trunks/{trunk}").status == 204


def test_what_is_in_a_trunk_is_kept(api: Client, parent: str, child: str, trunk: str) -> None:
    _change(api, trunk, "add", _sub(child, 7))
    assert api.delete(f"/ports/{parent}").error == "PortInUseAsTrunkParent"
    assert api.delete(f"/ports/{child}").error == "PortInUseAsSubPort"
    assert api.refused("trunk", port_id=parent) == (409, "ParentPortInUse")
    assert api.refused("trunk", port_id=child) == (409, "TrunkPortInUse")
    third = _port(api)
    assert api.refused("trunk", port_id=third, sub_ports=[_sub(child, 1)]) == (409, "TrunkPortInUse")
    assert api.refused("trunk", port_id=third, sub_ports=[_sub(third, 1)]) == (409, "ParentPortInUse")
    bound = _port(api, binding__host_id="compute1")
    assert api.refused("trunk", port_id=bound) == (409, "ParentPortInUse")


def test_subports_that_cannot_be(api: Client, child: str, trunk: str) -> None:
    used = _port(api, device_id="an instance")
    assert _change(api, trunk, "add", _sub(used, 1)).error == "PortInUse"
    _change(api, trunk, "add", _sub(child, 7))
    assert _change(api, trunk, "add", _sub(_port(api), 7)).error == "DuplicateSubPort"
    small = api.make("port", network_id=api.make("network", mtu=1200)["id"])["id"]
    other = api.make("trunk", port_id=small)["id"]
    assert _change(api, other, "add", _sub(_port(api), 1)).error == "SubPortMtuGreaterThanTrunkPortMtu"
    gone = "00000000-0000-4000-8000-000000000000"
    assert _change(api, trunk, "remove", {"port_id": gone}).error == "SubPortNotFound"
    assert _change(api, trunk, "add", _sub(gone, 9)).error == "PortNotFound"
    api.put(f"/trunks/{trunk}", {"trunk": {"admin_state_up": False}})
    assert _change(api, trunk, "remove", {"port_id": child}).error == "TrunkDisabled"
    assert api.delete(f"/trunks/{trunk}").error == "TrunkDisabled"


@pytest.mark.parametrize(
    "sub_ports",
    [
        [{"segmentation_type": "vlan", "segmentation_id": 5}],
        [{"port_id": "PORT"}],
        [{"port_id": "PORT", "segmentation_type": "vlan"}],
        [{"port_id": "PORT", "segmentation_id": 5}],
        [{"port_id": "PORT", "segmentation_type": "vlan", "segmentation_id": 4095}],
        [{"port_id": "PORT", "segmentation_type": "vlan", "segmentation_id": "five"}],
        [{"port_id": "PORT", "segmentation_type": "vxlan", "segmentation_id": 5}],
        [{"port_id": "PORT", "segmentation_type": "inherit"}],  # of a vxlan network
        [{"port_id": "PORT", "segmentation_type": "vlan", "segmentation_id": 5, "colour": "red"}],
        [_sub("PORT", 5), _sub("PORT", 6)],
        "PORT",
        [7],
    ],
)
def test_subports_without_sense(api: Client, child: str, trunk: str, sub_ports: Any) -> None:
    named = (
        [{**one, "port_id": child} if "port_id" in one else one for one in sub_ports]
        if isinstance(sub_ports, list) and isinstance(sub_ports[0], dict)
        else sub_ports
    )
    assert api.put(f"/trunks/{trunk}/add_subports", {"sub_ports": named}).status == 400
    assert api.refused("trunk", port_id=_port(api), sub_ports=named)[0] == 400
    assert api.put(f"/trunks/{trunk}/add_subports", {}).status == 400


@pytest.mark.parametrize("settings", [ServerSettings(network_vlan_ranges=("rack1",))])
def test_a_tag_that_is_the_networks(api: Client, settings: ServerSettings) -> None:
    def on(vlan: int) -> str:
        named = {"provider__network_type": "vlan", "provider__physical_network": "rack1"}
        return _port(api, network_id=api.make("network", **named, provider__segmentation_id=vlan)["id"])

    trunk, child = api.make("trunk", port_id=on(22))["id"], on(23)
    added = _change(api, trunk, "add", {"port_id": child, "segmentation_type": "inherit"})
    assert added.body["sub_ports"] == [_sub(child, 23)], settings


def test_lists(api: Client, parent: str, trunk: str) -> None:
    found = api.get(f"/trunks?port_id={parent}&status=DOWN").body["trunks"]
    assert [one["id"] for one in found] == [trunk]
    assert api.get("/trunks?status=ACTIVE").body["trunks"] == []
    assert api.put(f"/trunks/{trunk}", {"trunk": {"name": "another"}}).body["trunk"]["name"] == "another"
    assert api.get(f"/trunks/{trunk}?fields=name").body["trunk"] == {"name": "another"}
    assert api.get("/trunks/none").error == "TrunkNotFound"
