"""Subnets that serve some ports only, and what else is said of subnets and zones."""

from typing import Any

import pytest

from tests.api.conftest import Client


@pytest.fixture
def network(api: Client) -> str:
    return str(api.make("network")["id"])


def _subnet(api: Client, network: str, number: int, *types: str, **attributes: Any) -> str:
    cidr = f"10.0.{number}.0/24"
    said = {"ip_version": 4, "cidr": cidr, "service_types": list(types), **attributes}
    return str(api.make("subnet", network_id=network, **said)["id"])


def _address(api: Client, network: str, owner: str, **attributes: Any) -> str:
    made = api.make("port", network_id=network, device_owner=owner, **attributes)
    (fixed,) = made["fixed_ips"]
    return str(fixed["ip_address"])


def test_ports_get_addresses_of_subnets_that_serve_them(api: Client, network: str) -> None:
    _subnet(api, network, 0)
    nova = _subnet(api, network, 1, "compute:nova")
    assert api.shown("subnet", nova)["service_types"] == ["compute:nova"]
    assert _address(api, network, "compute:nova").startswith("10.0.1.")
    assert _address(api, network, "compute:other").startswith("10.0.0.")
    assert _address(api, network, "").startswith("10.0.0.")
    assert _address(api, network, "network:dhcp").startswith("10.0.1.")
    explicit = {"network_id": network, "device_owner": "compute:other", "fixed_ips": [{"subnet_id": nova}]}
    assert api.refused("port", **explicit) == (400, "InvalidInput")
    port = api.make("port", network_id=network)["id"]
    moved = api.put(f"/ports/{port}", {"port": {"fixed_ips": [{"subnet_id": nova}]}})
    assert (moved.status, moved.error) == (400, "InvalidInput")


def test_a_port_that_no_subnet_serves_is_refused(api: Client, network: str) -> None:
    subnet = _subnet(api, network, 0, "network:router_gateway")
    refused = api.refused("port", network_id=network, device_owner="compute:nova")
    assert refused == (409, "IpAddressGenerationFailureNoMatchingSubnet")
    assert api.make("port", network_id=network, fixed_ips=[])["fixed_ips"] == []
    assert api.put(f"/subnets/{subnet}", {"subnet": {"service_types": []}}).status == 200
    assert _address(api, network, "compute:nova").startswith("10.0.0.")


def test_redundant_routers_are_on_subnets_for_routers(api: Client, network: str) -> None:
    subnet = _subnet(api, network, 0, "network:router_interface")
    for ha in (True, False):
        router = api.make("router", ha=ha)["id"]
        added = api.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
        assert added.status == 200, added
        assert api.put(f"/routers/{router}/remove_router_interface", {"subnet_id": subnet}).status == 200


def test_hosts_get_no_slaac_address_of_a_subnet_for_others(api: Client, network: str) -> None:
    port = api.make("port", network_id=network, device_owner="compute:nova")["id"]
    six = {"ip_version": 6, "cidr": "2001:db8::/64", "ipv6_address_mode": "slaac"}
    api.make("subnet", network_id=network, service_types=["compute:other"], **six)
    assert api.shown("port", port)["fixed_ips"] == []
    assert api.put(f"/ports/{port}", {"port": {"fixed_ips": []}}).status == 200
    assert api.shown("port", port)["fixed_ips"] == []


@pytest.mark.parametrize(
    ("types", "error"),
    [
        (["nova"], "InvalidSubnetServiceType"),
        ([":nova"], "InvalidSubnetServiceType"),
        ([5], "InvalidInputSubnetServiceType"),
        ("compute:nova", "HTTPBadRequest"),
        (["compute:a", "compute:a"], "HTTPBadRequest"),
    ],
)
def test_types_that_make_no_sense_are_refused(api: Client, network: str, types: Any, error: str) -> None:
    said = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24", "service_types": types}
    assert api.refused("subnet", **said) == (400, error)


def test_addresses_to_be_published(api: Client, network: str) -> None:
    subnet = _subnet(api, network, 0)
    assert api.shown("subnet", subnet)["dns_publish_fixed_ip"] is False
    changed = api.put(f"/subnets/{subnet}", {"subnet": {"dns_publish_fixed_ip": True}})
    assert changed.body["subnet"]["dns_publish_fixed_ip"] is True
    assert api.shown("subnet", subnet)["dns_publish_fixed_ip"] is True
    for value, expected in (("true", [subnet]), ("false", [])):
        found = api.get(f"/subnets?dns_publish_fixed_ip={value}").body["subnets"]
        assert [one["id"] for one in found] == expected


def test_zones_are_filtered(api: Client) -> None:
    for query in ("name=nova", "resource=router", "state=available"):
        assert api.get(f"/availability_zones?{query}").body == {"availability_zones": []}
    assert api.get("/availability_zones?colour=red").status == 400
    assert api.get("/extensions/availability_zone_filter").status == 200
