"""Subnets: ranges, gateways, pools, IPv6 modes, and when one may not go."""

from typing import Any

import pytest

from tests.api.conftest import Client, Topology


@pytest.fixture
def network(api: Client) -> str:
    return str(api.make("network")["id"])


def _refused(api: Client, network: str, **attributes: Any) -> tuple[int, str]:
    return api.refused("subnet", **{"network_id": network, "ip_version": 4, **attributes})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.0"}, "InvalidInput"),
    ({"cidr": "10.0.0.0/24", "gateway_ip": "10.0.0.255"}, "InvalidInput"),
    ({"cidr": "10.0.0.0/24", "gateway_ip": "fe80::1"}, "InvalidInput"),
    ({"cidr": "10.0.0.0/24", "gateway_ip": "nowhere"}, "HTTPBadRequest"),
    ({"cidr": "10.0.0.0/33"}, "HTTPBadRequest"),
    ({"cidr": "10.0.0.0"}, "HTTPBadRequest"),
    ({"cidr": "0.0.0.0/0"}, "InvalidInput"),
    ({"cidr": "2001:db8::/64"}, "InvalidInput"),
    ({"cidr": "224.0.0.0/24"}, "InvalidInput"),
    ({"cidr": "127.0.0.0/24"}, "InvalidInput"),
    ({"cidr": "10.0.0.0/31"}, "InvalidInput"),
    ({"cidr": None}, "HTTPBadRequest"),
    ({}, "BadRequest"),
    ({"prefixlen": 24}, "BadRequest"),
    ({"cidr": "10.0.0.0/24", "ip_version": 5}, "HTTPBadRequest"),
    ({"cidr": "10.0.0.0/24", "ipv6_ra_mode": "slaac"}, "InvalidInput"),
    ({"cidr": "10.0.0.0/24", "ipv6_ra_mode": "magic"}, "HTTPBadRequest"),
    (
        {"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.5"}]},
        "InvalidAllocationPool",
    ),
    (
        {"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.5", "end": "10.0.1.5"}]},
        "OutOfBoundsAllocationPool",
    ),
    ({"cidr": "10.0.0.0/24", "allocation_pools": [{"start": "10.0.0.5"}]}, "HTTPBadRequest"),
    ({"cidr": "10.0.0.0/24", "dns_nameservers": ["x"]}, "HTTPBadRequest"),
    ({"cidr": "10.0.0.0/24", "dns_nameservers": ["9.9.9.9", "9.9.9.9"]}, "HTTPBadRequest"),
    ({"cidr": "10.0.0.0/24", "dns_nameservers": ["2001:db8::1"]}, "InvalidInput"),
    (
        {"cidr": "10.0.0.0/24", "dns_nameservers": [f"9.9.9.{n}" for n in range(6)]},
        "DNSNameServersExhausted",
    ),
    (
        {
            "cidr": "10.0.0.0/24",
            "host_routes": [{"destination": "10.9.0.0/16\n", "nexthop": "10.0.0.2"}],
        },
        "HTTPBadRequest",
    ),
    (
        {"cidr": "10.0.0.0/24", "host_routes": [{"destination": "10.9.0.1/16", "nexthop": "10.0.0.2"}]},
        "HTTPBadRequest",
    ),
]


def test_a_subnet_has_neutrons_defaults(api: Client, network: str) -> None:
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.7/24")
    assert subnet["cidr"] == "10.0.0.0/24"
    assert subnet["gateway_ip"] == "10.0.0.1"
    assert subnet["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert subnet["enable_dhcp"] is True
    assert subnet["dns_nameservers"] == subnet["host_routes"] == []
    assert subnet["ipv6_ra_mode"] is subnet["ipv6_address_mode"] is subnet["subnetpool_id"] is None
    assert api.shown("network", network)["subnets"] == [subnet["id"]]
    assert api.shown("network", network)["revision_number"] == 2


def test_an_ipv6_subnet(api: Client, network: str) -> None:
    subnet = api.make(
        "subnet",
        network_id=network,
        ip_version=6,
        cidr="2001:DB8:0::/64",
        ipv6_ra_mode="slaac",
        ipv6_address_mode="slaac",
    )
    assert subnet["cidr"] == "2001:db8::/64"
    assert subnet["gateway_ip"] == "2001:db8::1"
    assert subnet["allocation_pools"] == [{"start": "2001:db8::2", "end": "2001:db8::ffff:ffff:ffff:ffff"}]


def test_no_gateway_and_one_within(api: Client, network: str) -> None:
    none = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/29", gateway_ip=None)
    assert none["gateway_ip"] is None
    assert none["allocation_pools"] == [{"start": "10.0.0.1", "end": "10.0.0.6"}]
    middle = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.1.0/29", gateway_ip="10.0.1.3")
    assert middle["allocation_pools"] == [
        {"start": "10.0.1.1", "end": "10.0.1.2"},
        {"start": "10.0.1.4", "end": "10.0.1.6"},
    ]


def test_what_makes_no_sense_is_refused(api: Client, network: str) -> None:
    for attributes, error in WRONG:
        assert _refused(api, network, **attributes) == (400, error), attributes
    assert api.get("/subnets").body == {"subnets": []}
    assert api.shown("network", network)["revision_number"] == 1


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"cidr": "2001:db8::/64", "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, 400),
        ({"cidr": "2001:db8::/80", "ipv6_address_mode": "slaac"}, 400),
        ({"cidr": "2001:db8::/64", "ipv6_address_mode": "slaac", "enable_dhcp": False}, 400),
        ({"cidr": "::/64"}, 400),
        ({"cidr": "2001:db8::/127"}, 400),
    ],
)
def test_ipv6_modes_that_make_no_sense_are_refused(
    api: Client, network: str, attributes: dict[str, Any], error: int
) -> None:
    assert _refused(api, network, ip_version=6, **attributes) == (error, "InvalidInput")


def test_pools_and_gateway_keep_apart(api: Client, network: str) -> None:
    pools = [{"start": "10.0.0.1", "end": "10.0.0.5"}]
    assert _refused(api, network, cidr="10.0.0.0/24", allocation_pools=pools) == (
        409,
        "GatewayConflictWithAllocationPools",
    )
    overlapping = [{"start": "10.0.0.2", "end": "10.0.0.5"}, {"start": "10.0.0.5", "end": "10.0.0.9"}]
    assert _refused(api, network, cidr="10.0.0.0/24", allocation_pools=overlapping) == (
        409,
        "OverlappingAllocationPools",
    )


def test_subnets_of_one_network_do_not_overlap(api: Client, network: str) -> None:
    api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")
    assert _refused(api, network, cidr="10.0.0.128/25") == (400, "InvalidInput")
    assert _refused(api, network, cidr="10.0.0.0/16") == (400, "InvalidInput")
    api.make("subnet", network_id=network, ip_version=4, cidr="10.0.1.0/24")
    other = api.make("network")["id"]
    api.make("subnet", network_id=other, ip_version=4, cidr="10.0.0.0/24")


def test_a_subnet_in_use_stays(api: Client, network: str) -> None:
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    port = api.make("port", network_id=network)["id"]
    refused = api.delete(f"/subnets/{subnet}")
    assert (refused.status, refused.error) == (409, "SubnetInUse")
    assert api.delete(f"/ports/{port}").status == 204
    dhcp = api.make("port", network_id=network, device_owner="network:dhcp")["id"]
    assert api.delete(f"/subnets/{subnet}").status == 204
    assert api.shown("port", dhcp)["fixed_ips"] == []
    assert api.shown("network", network)["subnets"] == []


def test_changes(api: Client, network: str) -> None:
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]

    def put(**changes: Any) -> tuple[int, str]:
        answer = api.put(f"/subnets/{subnet}", {"subnet": changes})
        return answer.status, answer.error

    assert put(name="x", dns_nameservers=["9.9.9.9"], enable_dhcp=False) == (200, "")
    assert put(gateway_ip="10.0.0.5") == (409, "GatewayConflictWithAllocationPools")
    assert put(gateway_ip="10.0.0.5", allocation_pools=[{"start": "10.0.0.9", "end": "10.0.0.10"}]) == (
        200,
        "",
    )
    assert put(cidr="10.0.0.0/25") == (400, "HTTPBadRequest")
    shown = api.shown("subnet", subnet)
    assert (shown["gateway_ip"], shown["revision_number"]) == ("10.0.0.5", 3)
    before = api.shown("network", shown["network_id"])["revision_number"]
    assert put(gateway_ip=None) == (200, "")
    assert api.shown("subnet", subnet)["gateway_ip"] is None
    assert api.shown("network", shown["network_id"])["revision_number"] == before + 1


def test_a_gateway_address_that_a_router_has_stays(api: Client, topology: Topology) -> None:
    refused = api.put(f"/subnets/{topology.subnet}", {"subnet": {"gateway_ip": None}})
    assert (refused.status, refused.error) == (409, "GatewayIpInUse")
    refused = api.delete(f"/subnets/{topology.subnet}")
    assert (refused.status, refused.error) == (409, "SubnetInUse")


def test_a_slaac_subnet_gives_addresses_to_the_ports_that_are_there(api: Client, network: str) -> None:
    port = api.make("port", network_id=network, mac_address="fa:16:3e:00:00:01")["id"]
    subnet = api.make(
        "subnet", network_id=network, ip_version=6, cidr="2001:db8::/64", ipv6_address_mode="slaac"
    )["id"]
    wanted = [{"subnet_id": subnet, "ip_address": "2001:db8::f816:3eff:fe00:1"}]
    assert api.shown("port", port)["fixed_ips"] == wanted
    assert api.delete(f"/subnets/{subnet}").status == 204
    assert api.shown("port", port)["fixed_ips"] == []
