"""The openstack command, unmodified, with pools, scopes, flavours and what else is small."""

from tests.api.conftest import Client, Topology
from tests.api.test_openstack import _run


def test_the_command_uses_pools_and_scopes(api: Client) -> None:
    _run(
        api,
        "address scope create --ip-version 4 scope1",
        "subnet pool create --pool-prefix 10.64.0.0/16 --default-prefix-length 24 --address-scope scope1 p1",
        "subnet pool set --pool-prefix 10.65.0.0/16 --default-quota 4096 p1",
        "network create net1",
        "subnet create --network net1 --subnet-pool p1 sub1",
        "subnet create --network net1 --subnet-pool p1 --prefix-length 26 sub2",
        "subnet create --network net1 --subnet-pool p1 --subnet-range 10.64.9.0/24 sub3",
        "subnet set --service-type network:router_gateway sub3",
    )
    pool = api.get("/subnetpools").body["subnetpools"][0]
    assert (pool["prefixes"], pool["default_quota"]) == (["10.64.0.0/15"], 4096)
    found = {one["name"]: one for one in api.get("/subnets").body["subnets"]}
    assert found["sub1"]["cidr"] == "10.64.0.0/24"
    assert found["sub2"]["cidr"].endswith("/26")
    assert found["sub3"]["service_types"] == ["network:router_gateway"]
    said = _run(
        api,
        "subnet pool list --name p1",
        "subnet pool show p1",
        "address scope list",
        "address scope show scope1",
        "subnet list --subnet-pool p1",
        "ip availability list",
        "ip availability show net1",
        "network flavor create --service-type L3_ROUTER_NAT f1",
        "network flavor list",
        "network flavor profile create --metainfo x",
    )
    assert "scope1" in said
    assert all(one["cidr"] in said for one in found.values())


def test_the_command_adds_routes_and_sets_defaults(api: Client, topology: Topology) -> None:
    _run(
        api,
        "router add route --route destination=10.7.0.0/16,gateway=10.0.0.9 r",
        "router add route --route destination=10.8.0.0/16,gateway=10.0.0.9 r",
        "router remove route --route destination=10.7.0.0/16,gateway=10.0.0.9 r",
        "network set --default --external ext",
        "subnet pool create --pool-prefix 10.64.0.0/16 --default-prefix-length 24 --default p1",
    )
    routes = api.shown("router", topology.router)["routes"]
    assert routes == [{"destination": "10.8.0.0/16", "nexthop": "10.0.0.9"}]
    assert api.shown("network", topology.external)["is_default"] is True
