"""Subnet pools and address scopes: what subnets get from them, and that nobody gets it twice."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Answer, Client


@pytest.fixture
def network(api: Client) -> str:
    return str(api.make("network")["id"])


def _pool(api: Client, *prefixes: str, **attributes: Any) -> dict[str, Any]:
    return api.make("subnetpool", **{"name": "p", "prefixes": list(prefixes), **attributes})


def _refused(api: Client, *prefixes: str, **attributes: Any) -> tuple[int, str]:
    return api.refused("subnetpool", **{"name": "p", "prefixes": list(prefixes), **attributes})


def _scope(api: Client, **attributes: Any) -> str:
    answer = api.post("/address-scopes", {"address_scope": {"name": "s", "ip_version": 4, **attributes}})
    assert answer.status == 201, answer
    return str(answer.body["address_scope"]["id"])


def _said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error


def test_a_pool_has_neutrons_defaults(api: Client) -> None:
    pool = _pool(api, "10.0.1.0/24", "10.0.0.0/24", "10.0.1.128/25")
    assert pool["prefixes"] == ["10.0.0.0/23"]
    assert (pool["ip_version"], pool["is_default"], pool["shared"]) == (4, False, False)
    assert (pool["min_prefixlen"], pool["default_prefixlen"], pool["max_prefixlen"]) == ("8", "8", "32")
    assert pool["default_quota"] is pool["address_scope_id"] is None
    assert pool["tags"] == []
    six = _pool(api, "2001:db8::/48")
    assert (six["min_prefixlen"], six["default_prefixlen"], six["max_prefixlen"]) == ("64", "64", "128")
    assert [one["id"] for one in api.get("/subnetpools?ip_version=6").body["subnetpools"]] == [six["id"]]
    assert [one["id"] for one in api.get("/subnetpools?min_prefixlen=8").body["subnetpools"]] == [pool["id"]]


def test_pools_that_make_no_sense_are_refused(api: Client) -> None:
    assert _refused(api) == (400, "EmptySubnetPoolPrefixList")
    assert _refused(api, "10.0.0.0/8", "2001:db8::/48") == (400, "PrefixVersionMismatch")
    assert _refused(api, "nothing") == (400, "HTTPBadRequest")
    assert _refused(api, "10.0.0.0/8", name="") == (400, "HTTPBadRequest")
    bounds: Any
    for bounds in (
        {"min_prefixlen": 30, "max_prefixlen": 20},
        {"max_prefixlen": 33},
        {"min_prefixlen": 20, "default_prefixlen": 16},
        {"max_prefixlen": 24, "default_prefixlen": 28},
    ):
        assert _refused(api, "10.0.0.0/8", **bounds) == (400, "IllegalSubnetPoolPrefixBounds"), bounds
    assert _refused(api, "10.0.0.0/8", min_prefixlen=-1) == (400, "HTTPBadRequest")


def test_subnets_get_any_range_or_the_one_that_they_name(api: Client, network: str) -> None:
    pool = _pool(api, "10.0.0.0/22", default_prefixlen=24)["id"]
    one = api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool)
    assert (one["cidr"], one["gateway_ip"], one["subnetpool_id"]) == ("10.0.0.0/24", "10.0.0.1", pool)
    assert one["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool)["cidr"] == "10.0.1.0/24"
    named = {"network_id": network, "ip_version": 4, "subnetpool_id": pool}
    assert api.make("subnet", **named, cidr="10.0.3.0/24")["cidr"] == "10.0.3.0/24"
    assert api.make("subnet", **named, prefixlen=25)["cidr"] == "10.0.2.0/25"
    assert api.refused("subnet", **named) == (409, "SubnetAllocationError")
    assert api.refused("subnet", **named, cidr="10.0.0.0/25") == (409, "SubnetAllocationError")
    assert api.refused("subnet", **named, cidr="10.9.0.0/24") == (409, "SubnetAllocationError")
    assert api.refused("subnet", **named, prefixlen=4) == (400, "MinPrefixSubnetAllocationError")
    assert api.delete(f"/subnets/{one['id']}").status == 204
    assert api.make("subnet", **named)["cidr"] == "10.0.0.0/24"


def test_what_a_subnet_may_not_say_with_a_pool(api: Client, network: str) -> None:
    pool = _pool(api, "10.0.0.0/16", min_prefixlen=20, max_prefixlen=26, default_prefixlen=24)["id"]
    six = _pool(api, "2001:db8::/48")["id"]
    said: dict[str, Any]
    for said, error in (
        ({"subnetpool_id": six}, "BadRequest"),
        ({"subnetpool_id": pool, "use_default_subnetpool": True}, "BadRequest"),
        ({"subnetpool_id": pool, "cidr": "10.0.0.0/24", "prefixlen": 24}, "BadRequest"),
        ({"subnetpool_id": pool, "prefixlen": 27}, "MaxPrefixSubnetAllocationError"),
        ({"subnetpool_id": pool, "prefixlen": 19}, "MinPrefixSubnetAllocationError"),
        (
            {"subnetpool_id": pool, "allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.3"}]},
            "BadRequest",
        ),
        ({"subnetpool_id": pool, "cidr": "2001:db8::/64"}, "InvalidInput"),
        ({"use_default_subnetpool": True}, "BadRequest"),
    ):
        assert api.refused("subnet", network_id=network, ip_version=4, **said) == (400, error), said
    nobody = "11111111-1111-1111-1111-111111111111"
    assert api.refused("subnet", network_id=network, ip_version=4, subnetpool_id=nobody) == (
        404,
        "SubnetPoolNotFound",
    )
    assert api.get("/subnets").body == {"subnets": []}


def test_subnets_of_one_network_and_family_are_from_one_pool(api: Client, network: str) -> None:
    pool = _pool(api, "10.0.0.0/16", default_prefixlen=24)["id"]
    other = _pool(api, "10.1.0.0/16", default_prefixlen=24)["id"]
    six = _pool(api, "2001:db8::/48")["id"]
    affinity = (400, "NetworkSubnetPoolAffinityError")
    api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool)
    assert api.refused("subnet", network_id=network, ip_version=4, subnetpool_id=other) == affinity
    assert api.refused("subnet", network_id=network, ip_version=4, cidr="10.1.0.0/24") == affinity
    api.make("subnet", network_id=network, ip_version=6, subnetpool_id=six)
    free = api.make("network")["id"]
    api.make("subnet", network_id=free, ip_version=4, cidr="10.1.0.0/24")
    assert api.refused("subnet", network_id=free, ip_version=4, subnetpool_id=other) == affinity


def test_a_default_pool_of_each_family(api: Client, network: str) -> None:
    four = _pool(api, "10.0.0.0/16", default_prefixlen=24, is_default=True)["id"]
    assert _refused(api, "10.1.0.0/16", is_default=True) == (400, "InvalidInput")
    _pool(api, "2001:db8::/48", is_default=True)
    made = api.make("subnet", network_id=network, ip_version=4, use_default_subnetpool=True)
    assert (made["subnetpool_id"], made["cidr"]) == (four, "10.0.0.0/24")
    second = _pool(api, "10.1.0.0/16")["id"]
    refused = api.put(f"/subnetpools/{second}", {"subnetpool": {"is_default": True}})
    assert _said(refused) == (400, "InvalidInput")
    assert api.put(f"/subnetpools/{four}", {"subnetpool": {"is_default": False}}).status == 200
    assert api.put(f"/subnetpools/{second}", {"subnetpool": {"is_default": True}}).status == 200


def test_a_project_gets_no_more_than_the_pools_quota(api: Client, network: str) -> None:
    pool = _pool(api, "10.0.0.0/16", default_prefixlen=24, default_quota=512)["id"]
    for _ in range(2):
        api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool, project_id="one")
    refused = api.refused(
        "subnet", network_id=network, ip_version=4, subnetpool_id=pool, prefixlen=32, project_id="one"
    )
    assert refused == (409, "SubnetPoolQuotaExceeded")
    api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool, project_id="other")
    six = _pool(api, "2001:db8::/48", default_quota=1)["id"]
    api.make("subnet", network_id=network, ip_version=6, subnetpool_id=six)
    assert api.refused("subnet", network_id=network, ip_version=6, subnetpool_id=six) == (
        409,
        "SubnetPoolQuotaExceeded",
    )


def test_prefixes_come_and_go(api: Client, network: str) -> None:
    pool = _pool(api, "10.0.0.0/24", default_prefixlen=24)["id"]

    def act(name: str, *prefixes: str) -> Answer:
        return api.put(f"/subnetpools/{pool}/{name}_prefixes", {"prefixes": list(prefixes)})

    assert act("add", "10.0.1.0/24", "10.5.0.0/16").body == {"prefixes": ["10.0.0.0/23", "10.5.0.0/16"]}
    api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool, cidr="10.0.1.0/24")
    assert _said(act("remove", "10.0.1.0/25")) == (400, "IllegalSubnetPoolPrefixUpdate")
    assert act("remove", "10.5.0.0/16", "192.0.2.0/24").body == {"prefixes": ["10.0.0.0/23"]}
    assert act("remove", "192.0.2.0/24").body == {"prefixes": ["10.0.0.0/23"]}
    assert _said(act("add", "2001:db8::/48")) == (400, "PrefixVersionMismatch")
    assert _said(act("add", "x")) == (400, "HTTPBadRequest")
    changed = api.put(f"/subnetpools/{pool}", {"subnetpool": {"prefixes": ["10.0.0.0/16"], "name": "n"}})
    assert changed.body["subnetpool"]["prefixes"] == ["10.0.0.0/16"]
    for prefixes in (["10.0.0.0/17"], ["2001:db8::/48"]):
        refused = api.put(f"/subnetpools/{pool}", {"subnetpool": {"prefixes": prefixes}})
        assert _said(refused) == (400, "IllegalSubnetPoolPrefixUpdate")


def test_a_pool_in_use_stays(api: Client, network: str) -> None:
    pool = _pool(api, "10.0.0.0/24", default_prefixlen=24)["id"]
    subnet = api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool)["id"]
    assert _said(api.delete(f"/subnetpools/{pool}")) == (400, "SubnetPoolDeleteError")
    assert api.delete(f"/subnets/{subnet}").status == 204
    assert api.delete(f"/subnetpools/{pool}").status == 204


def test_subnets_that_are_there_are_taken_into_a_pool(api: Client, network: str) -> None:
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    six = api.make("subnet", network_id=network, ip_version=6, cidr="2001:db8::/64")["id"]
    pool = _pool(api, "10.9.0.0/16")["id"]
    path = f"/subnetpools/{pool}/onboard_network_subnets"
    taken = api.put(path, {"network_id": network})
    assert (taken.status, taken.body) == (200, [{"id": subnet, "cidr": "10.0.0.0/24"}])
    assert api.shown("subnet", subnet)["subnetpool_id"] == pool
    assert api.shown("subnet", six)["subnetpool_id"] is None
    assert api.shown("subnetpool", pool)["prefixes"] == ["10.0.0.0/24", "10.9.0.0/16"]
    assert _said(api.put(path, {"network_id": network})) == (400, "IllegalSubnetPoolUpdate")
    assert _said(api.put(path, {})) == (400, "InvalidInput")


def test_pools_of_one_scope_have_no_address_in_common(api: Client, network: str) -> None:
    scope = _scope(api)
    pool = _pool(api, "10.0.0.0/16", default_prefixlen=24, address_scope_id=scope)["id"]
    other = _pool(api, "10.1.0.0/16", default_prefixlen=24, address_scope_id=scope)["id"]
    assert _refused(api, "10.0.0.0/8", address_scope_id=scope) == (409, "AddressScopePrefixConflict")
    add = api.put(f"/subnetpools/{pool}/add_prefixes", {"prefixes": ["10.1.1.0/24"]})
    assert _said(add) == (409, "AddressScopePrefixConflict")
    error = (400, "IllegalSubnetPoolIpVersionAssociationToAddressScope")
    assert _refused(api, "2001:db8::/48", address_scope_id=scope) == error
    assert _said(api.delete(f"/address-scopes/{scope}")) == (409, "AddressScopeInUse")
    api.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool)
    api.make("subnet", network_id=network, ip_version=4, subnetpool_id=other)
    shown = api.shown("network", network)
    assert (shown["ipv4_address_scope"], shown["ipv6_address_scope"]) == (scope, None)
    outside = _pool(api, "10.7.0.0/16", default_prefixlen=24)["id"]
    affinity = (400, "NetworkAddressScopeAffinityError")
    assert api.refused("subnet", network_id=network, ip_version=4, subnetpool_id=outside) == affinity
    moved = api.put(f"/subnetpools/{pool}", {"subnetpool": {"address_scope_id": _scope(api)}})
    assert _said(moved) == affinity


def test_a_scope_that_is_shared_stays_so(api: Client) -> None:
    scope = _scope(api, shared=True)
    path = f"/address-scopes/{scope}"
    assert api.get(path).body["address_scope"]["shared"] is True
    refused = api.put(path, {"address_scope": {"shared": False}})
    assert _said(refused) == (400, "AddressScopeUpdateError")
    assert api.put(path, {"address_scope": {"name": "n"}}).body["address_scope"]["name"] == "n"
    assert api.delete(path).status == 204
    assert _said(api.get(path)) == (404, "AddressScopeNotFound")


def test_several_who_ask_at_once_get_different_ranges(api: Client) -> None:
    pool = _pool(api, "10.0.0.0/20", default_prefixlen=24)["id"]
    networks = [api.make("network")["id"] for _ in range(8)]

    def ask(network: str) -> list[str]:
        client = Client(api.port)
        try:
            return [
                client.make("subnet", network_id=network, ip_version=4, subnetpool_id=pool)["cidr"]
                for _ in range(2)
            ]
        finally:
            client.close()

    with ThreadPoolExecutor(8) as threads:
        given = [cidr for cidrs in threads.map(ask, networks) for cidr in cidrs]
    assert sorted(given) == sorted(f"10.0.{number}.0/24" for number in range(16))
