"""Ports: MAC addresses, fixed IPs, binding, and who may delete them."""

import ipaddress
import threading
from typing import Any

import pytest

from deuteron.settings import ServerSettings
from tests.api.conftest import Client, Topology


@pytest.fixture
def network(api: Client) -> str:
    return str(api.make("network")["id"])


def _subnet(api: Client, network: str, cidr: str, **more: Any) -> str:
    version = 6 if ":" in cidr else 4
    return str(api.make("subnet", network_id=network, ip_version=version, cidr=cidr, **more)["id"])


def _addresses(port: dict[str, Any]) -> list[str]:
    return [fixed["ip_address"] for fixed in port["fixed_ips"]]


def test_a_port_has_neutrons_defaults(api: Client, network: str) -> None:
    subnet = _subnet(api, network, "10.0.0.0/24")
    port = api.make("port", network_id=network)
    assert port["fixed_ips"] == [{"subnet_id": subnet, "ip_address": "10.0.0.2"}]
    assert port["mac_address"].startswith("fa:16:3e:")
    assert port["status"] == "DOWN"
    assert port["admin_state_up"] is True
    assert port["device_id"] == port["device_owner"] == port["binding:host_id"] == ""
    assert port["binding:vif_type"] == "unbound"
    assert port["binding:vnic_type"] == "normal"
    assert port["allowed_address_pairs"] == port["extra_dhcp_opts"] == []
    [default] = api.get("/security-groups?name=default").body["security_groups"]
    assert port["security_groups"] == [default["id"]]


def test_binding_says_how_to_plug(api: Client, network: str) -> None:
    port = api.make("port", network_id=network, binding__host_id="compute1")
    assert port["binding:vif_type"] == "bridge"
    assert port["binding:host_id"] == "compute1"
    unbound = api.put(f"/ports/{port['id']}", {"port": {"binding:host_id": None}})
    assert unbound.body["port"]["binding:vif_type"] == "unbound"
    listed = api.get("/ports?binding:host_id=compute1").body["ports"]
    assert listed == []


def test_one_address_of_each_family_and_all_automatic_ones(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/24")
    _subnet(api, network, "10.0.1.0/24")
    _subnet(api, network, "2001:db8:1::/64", ipv6_address_mode="dhcpv6-stateful")
    _subnet(api, network, "2001:db8:2::/64", ipv6_address_mode="slaac", ipv6_ra_mode="slaac")
    port = api.make("port", network_id=network, mac_address="FA-16-3E-00-00-01")
    assert port["mac_address"] == "fa:16:3e:00:00:01"
    assert _addresses(port) == ["10.0.0.2", "2001:db8:1::2", "2001:db8:2:0:f816:3eff:fe00:1"]


def test_addresses_by_subnet_and_by_address(api: Client, network: str) -> None:
    first = _subnet(api, network, "10.0.0.0/24")
    second = _subnet(api, network, "10.0.1.0/24")
    port = api.make(
        "port", network_id=network, fixed_ips=[{"subnet_id": second}, {"ip_address": "10.0.0.77"}]
    )
    assert port["fixed_ips"] == [
        {"subnet_id": second, "ip_address": "10.0.1.2"},
        {"subnet_id": first, "ip_address": "10.0.0.77"},
    ]
    assert api.make("port", network_id=network, fixed_ips=[])["fixed_ips"] == []


@pytest.mark.parametrize(
    ("fixed", "error"),
    [
        ({"ip_address": "10.9.9.9"}, "InvalidIpForNetwork"),
        ({"subnet_id": "SUBNET", "ip_address": "10.9.9.9"}, "InvalidIpForSubnet"),
        ({"subnet_id": "SUBNET", "ip_address": "10.0.0.0"}, "InvalidIpForSubnet"),
        ({"subnet_id": "SUBNET", "ip_address": "10.0.0.255"}, "InvalidIpForSubnet"),
        ({"subnet_id": "11111111-1111-1111-1111-111111111111"}, "SubnetNotFound"),
        ({"subnet_id": "x"}, "HTTPBadRequest"),
        ({"ip_address": "10.0.0.1000"}, "HTTPBadRequest"),
        ({"ip_address": "fe80::1%eth0"}, "HTTPBadRequest"),
        ({}, "HTTPBadRequest"),
        ("10.0.0.5", "HTTPBadRequest"),
    ],
)
def test_wrong_fixed_ips_are_refused(api: Client, network: str, fixed: Any, error: str) -> None:
    subnet = _subnet(api, network, "10.0.0.0/24")
    if isinstance(fixed, dict) and fixed.get("subnet_id") == "SUBNET":
        fixed = {**fixed, "subnet_id": subnet}
    status, found = api.refused("port", network_id=network, fixed_ips=[fixed])
    assert found == error
    assert status == (404 if error == "SubnetNotFound" else 400)
    assert api.get("/ports").body == {"ports": []}


def test_an_address_and_a_mac_are_taken_once(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/24")
    fixed = [{"ip_address": "10.0.0.5"}]
    port = api.make("port", network_id=network, fixed_ips=fixed)
    assert api.refused("port", network_id=network, fixed_ips=fixed) == (409, "IpAddressAlreadyAllocated")
    assert api.refused("port", network_id=network, mac_address=port["mac_address"]) == (
        409,
        "MacAddressInUse",
    )
    other = api.make("network")["id"]
    assert api.make("port", network_id=other, mac_address=port["mac_address"])


def test_a_pool_ends_and_what_is_given_back_is_given_again(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/29")
    ports = [api.make("port", network_id=network) for _ in range(5)]
    assert sorted(_addresses(port)[0] for port in ports) == [f"10.0.0.{n}" for n in range(2, 7)]
    assert api.refused("port", network_id=network) == (409, "IpAddressGenerationFailure")
    assert len(api.get("/ports").body["ports"]) == 5
    assert api.delete(f"/ports/{ports[2]['id']}").status == 204
    assert _addresses(api.make("port", network_id=network)) == ["10.0.0.4"]


def test_an_exhausted_subnet_is_followed_by_the_next(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/30", gateway_ip=None)
    _subnet(api, network, "10.0.1.0/30", gateway_ip=None)
    addresses = [_addresses(api.make("port", network_id=network))[0] for _ in range(4)]
    assert addresses == ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"]


def test_concurrent_clients_get_different_addresses(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/24")
    found: list[str] = []

    def create() -> None:
        client = Client(api.port)
        for _ in range(10):
            found.extend(_addresses(client.make("port", network_id=network)))
        client.close()

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(set(found)) == 80
    assert all(ipaddress.ip_address(one) in ipaddress.ip_network("10.0.0.0/24") for one in found)


def test_a_bulk_request_is_all_or_nothing(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/24")
    good, bad = {"network_id": network}, {"network_id": network, "mac_address": "x"}
    assert api.post("/ports", {"ports": [good, bad]}).status == 400
    assert api.get("/ports").body == {"ports": []}
    made = api.post("/ports", {"ports": [good, good, good]})
    assert made.status == 201
    assert len({_addresses(port)[0] for port in made.body["ports"]}) == 3
    assert api.post("/ports", {"ports": []}).status == 400
    assert api.post("/ports", {"ports": {}}).status == 400


def test_changing_addresses(api: Client, network: str) -> None:
    subnet = _subnet(api, network, "10.0.0.0/24")
    port = api.make("port", network_id=network)["id"]

    def put(fixed_ips: list[dict[str, str]]) -> list[str]:
        answer = api.put(f"/ports/{port}", {"port": {"fixed_ips": fixed_ips}})
        assert answer.status == 200, answer
        assert answer.body["port"] == api.shown("port", port)
        return _addresses(answer.body["port"])

    assert put([{"subnet_id": subnet}]) == ["10.0.0.2"]
    assert put([{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.2"}]) == ["10.0.0.2", "10.0.0.50"]
    assert put([{"ip_address": "10.0.0.60"}]) == ["10.0.0.60"]
    assert put([]) == []
    other = api.make("port", network_id=network, fixed_ips=[{"ip_address": "10.0.0.50"}])
    refused = api.put(f"/ports/{port}", {"port": {"fixed_ips": [{"ip_address": "10.0.0.50"}], "name": "x"}})
    assert (refused.status, refused.error) == (409, "IpAddressAlreadyAllocated")
    assert api.shown("port", port)["name"] == ""
    assert _addresses(other) == ["10.0.0.50"]


def test_a_new_mac_brings_new_automatic_addresses(api: Client, network: str) -> None:
    _subnet(api, network, "10.0.0.0/24")
    _subnet(api, network, "2001:db8::/64", ipv6_address_mode="slaac")
    port = api.make("port", network_id=network)
    changed = api.put(f"/ports/{port['id']}", {"port": {"mac_address": "fa:16:3e:00:00:07"}}).body["port"]
    assert _addresses(changed) == ["10.0.0.2", "2001:db8::f816:3eff:fe00:7"]
    bound = api.make("port", network_id=network, binding__host_id="h")
    refused = api.put(f"/ports/{bound['id']}", {"port": {"mac_address": "fa:16:3e:00:00:08"}})
    assert (refused.status, refused.error) == (409, "PortBound")
    refused = api.put(f"/ports/{port['id']}", {"port": {"mac_address": bound["mac_address"]}})
    assert (refused.status, refused.error) == (409, "MacAddressInUse")


def test_a_port_keeps_to_its_automatic_address(api: Client, network: str) -> None:
    subnet = _subnet(api, network, "2001:db8::/64", ipv6_address_mode="slaac")
    wanted = [{"subnet_id": subnet, "ip_address": "2001:db8::5"}]
    assert api.refused("port", network_id=network, fixed_ips=wanted) == (
        400,
        "AllocationOnAutoAddressSubnet",
    )


def test_address_pairs_need_port_security(api: Client, network: str) -> None:
    pairs = [{"ip_address": "10.0.0.9"}]
    assert api.refused(
        "port", network_id=network, allowed_address_pairs=pairs, port_security_enabled=False
    ) == (409, "AddressPairAndPortSecurityRequired")
    many = [{"ip_address": f"10.0.0.{n}"} for n in range(11)]
    assert api.refused("port", network_id=network, allowed_address_pairs=many) == (
        400,
        "AllowedAddressPairExhausted",
    )
    assert api.make("port", network_id=network, allowed_address_pairs=pairs)["allowed_address_pairs"] == pairs


def test_extra_dhcp_options(api: Client, network: str) -> None:
    options = [{"opt_name": "mtu", "opt_value": "1400"}]
    port = api.make("port", network_id=network, extra_dhcp_opts=options)
    assert port["extra_dhcp_opts"] == [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}]
    for value in ("1400\ndhcp-script=/bin/sh", "", "  "):
        wrong = [{"opt_name": "mtu", "opt_value": value}]
        assert api.refused("port", network_id=network, extra_dhcp_opts=wrong)[0] == 400


def test_a_change_of_dhcp_options_changes_only_those_that_it_names(api: Client, network: str) -> None:
    def options(port: dict[str, Any]) -> set[tuple[str, str, int]]:
        return {(o["opt_name"], o["opt_value"], o["ip_version"]) for o in port["extra_dhcp_opts"]}

    def changed(*wanted: dict[str, Any]) -> set[tuple[str, str, int]]:
        answer = api.put(f"/ports/{port['id']}", {"port": {"extra_dhcp_opts": list(wanted)}})
        assert answer.status == 200, answer
        return options(answer.body["port"])

    first = [{"opt_name": "mtu", "opt_value": "1400"}, {"opt_name": "router", "opt_value": ""}]
    none = {"opt_name": "x", "opt_value": None}
    port = api.make("port", network_id=network, extra_dhcp_opts=[*first, none])
    assert options(port) == {("mtu", "1400", 4), ("router", "", 4)}
    assert changed({"opt_name": "mtu", "opt_value": "1300"}) == {("mtu", "1300", 4), ("router", "", 4)}
    assert changed({"opt_name": "mtu", "opt_value": "9", "ip_version": 6}) == {
        ("mtu", "1300", 4),
        ("mtu", "9", 6),
        ("router", "", 4),
    }
    assert changed({"opt_name": "mtu", "opt_value": None}) == {("mtu", "9", 6), ("router", "", 4)}
    assert changed() == {("mtu", "9", 6), ("router", "", 4)}


def test_a_routers_port_goes_only_with_the_router(api: Client, topology: Topology) -> None:
    refused = api.delete(f"/ports/{topology.interface}")
    assert (refused.status, refused.error) == (409, "ServicePortInUse")


@pytest.mark.parametrize("settings", [ServerSettings(max_fixed_ips_per_port=2)])
def test_a_port_has_so_many_addresses_at_most(api: Client, network: str, settings: ServerSettings) -> None:
    subnet = _subnet(api, network, "10.0.0.0/24")
    assert api.refused("port", network_id=network, fixed_ips=[{"subnet_id": subnet}] * 3) == (
        400,
        "InvalidInput",
    )
