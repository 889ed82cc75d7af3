"""Segments of networks, VLANs, ranges of numbers, and addresses that follow a port's host."""

from typing import Any

import pytest
from sqlalchemy import insert

from deuteron.resources.hosts import host
from deuteron.resources.segmentation import default_ranges
from deuteron.settings import ServerSettings
from deuteron.store import Database, Tx
from tests.api.conftest import Client

VLANS = ServerSettings(
    network_vlan_ranges=("rack1:100:102", "rack2"), project_network_types=("vlan", "vxlan"), vni_ranges="7:8"
)


def vlan(physical: str, number: int | None = None) -> dict[str, Any]:
    found = {"provider__network_type": "vlan", "provider__physical_network": physical}
    return found | ({} if number is None else {"provider__segmentation_id": number})


def several(*parts: tuple[str, str | None, int | None]) -> list[dict[str, Any]]:
    keys = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
    return [{key: value for key, value in zip(keys, one, strict=True) if value is not None} for one in parts]


def add_host(db: Database, name: str, *physical: str) -> None:
    row: dict[str, Any] = {
        "name": name,
        "roles": ["l2"],
        "vtep": "192.0.2.1",
        "physical_networks": list(physical),
    }
    row |= {"zone": "nova", "version": "1", "started": 0.0, "created": 0.0, "last_seen": 0.0}
    row |= {"problems": [], "agents": {}}

    def work(tx: Tx) -> None:
        tx.execute(insert(host), row)

    db.write_now(work)


@pytest.mark.parametrize("wrong", ["rack1:0:9", "rack1:9:8", "rack1:", ":1:9", "", "rack1:1:4095"])
def test_wrong_ranges_are_told_by_their_option(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"network_vlan_ranges = '{wrong}'"):
        default_ranges(ServerSettings(network_vlan_ranges=(wrong,)))
    with pytest.raises(ValueError, match="vni_ranges"):
        default_ranges(ServerSettings(vni_ranges="0:5"))


@pytest.mark.parametrize("settings", [VLANS])
def test_networks_of_type_vlan(api: Client, settings: ServerSettings) -> None:
    given = [api.make("network") for _ in range(4)]
    assert [(one["provider:network_type"], one["provider:segmentation_id"]) for one in given] == [
        ("vlan", 100),
        ("vlan", 101),
        ("vlan", 102),
        ("vxlan", 7),
    ]
    assert (given[0]["provider:physical_network"], given[0]["mtu"]) == ("rack1", 1500)
    assert api.make("network", **vlan("rack2", 100))["provider:segmentation_id"] == 100
    assert api.refused("network", **vlan("rack2", 100)) == (409, "VlanIdInUse")
    assert api.refused("network", **vlan("rack2", 4095)) == (400, "InvalidInput")
    assert api.refused("network", **vlan("other", 5)) == (400, "InvalidInput")
    assert api.refused("network", **vlan("rack1")) == (503, "NoNetworkAvailable")
    assert api.refused("network", **vlan("rack2")) == (503, "NoNetworkAvailable")
    assert api.refused("network", provider__network_type="vlan", provider__segmentation_id=5)[0] == 400
    assert api.refused("network", provider__physical_network="rack2") == (400, "InvalidInput")
    assert api.delete(f"/networks/{given[1]['id']}").status == 204
    assert api.make("network", **vlan("rack1"))["provider:segmentation_id"] == 101


@pytest.mark.parametrize("settings", [VLANS])
def test_a_network_has_one_segment_or_several(api: Client, settings: ServerSettings) -> None:
    network = api.make("network", **vlan("rack1", 100))
    assert "segments" not in network
    (only,) = api.get(f"/segments?network_id={network['id']}").body["segments"]
    assert (only["network_type"], only["physical_network"], only["segmentation_id"]) == ("vlan", "rack1", 100)
    assert (only["name"], only["description"], only["revision_number"]) == (None, None, 1)

    more = {"network_id": network["id"], "network_type": "vxlan", "name": "wide"}
    second = api.make("segment", **more)
    assert second["segmentation_id"] == 7
    shown = api.shown("network", network["id"])
    assert shown["segments"] == [
        *several(("vlan", "rack1", 100)),
        {**several(("vxlan", None, 7))[0], "provider:physical_network": None},
    ]
    assert "provider:network_type" not in shown
    assert shown["mtu"] == 1450
    assert api.refused("segment", **more, segmentation_id=7) == (409, "TunnelIdInUse")
    missing = dict.fromkeys(["network_id"], "11111111-2222-4333-8444-555555555555")
    assert api.refused("segment", **(more | missing)) == (404, "NetworkNotFound")

    changed = api.put(f"/segments/{second['id']}", {"segment": {"name": "w", "description": "d"}})
    assert (changed.body["segment"]["name"], changed.body["segment"]["description"]) == ("w", "d")
    assert api.delete(f"/segments/{only['id']}").status == 204
    assert api.get(f"/segments/{only['id']}").error == "SegmentNotFound"
    assert api.shown("network", network["id"])["provider:segmentation_id"] == 7
    assert api.delete(f"/networks/{network['id']}").status == 204
    assert api.get("/segments").body["segments"] == []
    assert api.make("network", **vlan("rack1", 100))["provider:segmentation_id"] == 100


@pytest.mark.parametrize("settings", [VLANS])
def test_a_network_is_created_with_several_segments(api: Client, settings: ServerSettings) -> None:
    parts = several(("vlan", "rack1", 100), ("vlan", "rack2", 200), ("vxlan", None, None))
    made = api.make("network", segments=parts)
    assert [one["provider:segmentation_id"] for one in made["segments"]] == [100, 200, 7]
    assert len(api.get(f"/segments?network_id={made['id']}").body["segments"]) == 3
    assert api.get("/networks?fields=segments").body["networks"][0]["segments"] == made["segments"]
    same = several(("vlan", "rack2", 9), ("vlan", "rack2", 9))
    assert api.refused("network", segments=same) == (400, "SegmentsContainDuplicateEntry")
    both = {"segments": parts, "provider__network_type": "vxlan"}
    assert api.refused("network", **both) == (400, "SegmentsSetInConjunctionWithProviders")
    assert api.refused("network", segments=[{"provider:physical_network": "rack1"}]) == (400, "InvalidInput")
    assert api.refused("network", segments=parts) == (409, "VlanIdInUse")
    router = api.make("router")["id"]
    subnet = api.make("subnet", network_id=made["id"], ip_version=4, cidr="10.0.0.0/24")["id"]
    refused = api.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
    assert (refused.status, refused.error) == (501, "NotBuiltYet")


def test_a_segment_with_ports_is_kept(api: Client, db: Database) -> None:
    add_host(db, "in-rack1", "rack1")
    network = api.make("network")["id"]
    flat = {"network_type": "flat", "physical_network": "rack1"}
    beside = api.make("segment", network_id=network, **flat)["id"]
    (first,) = (one["id"] for one in api.get("/segments").body["segments"] if one["id"] != beside)
    port = api.make("port", network_id=network, binding__host_id="in-rack1")["id"]
    kept = api.delete(f"/segments/{first}")
    assert (kept.status, kept.error) == (409, "SegmentInUse")
    assert "1 port" in kept.message
    assert api.delete(f"/segments/{beside}").status == 204
    assert api.delete(f"/ports/{port}").status == 204
    assert api.delete(f"/segments/{first}").status == 204
    assert api.shown("network", network)["provider:network_type"] is None


def test_ranges_of_projects(api: Client) -> None:
    (default,) = api.get("/network_segment_ranges").body["network_segment_ranges"]
    assert (default["default"], default["shared"], default["project_id"]) == (True, True, None)
    assert (default["minimum"], default["maximum"]) == (1, 2**24 - 1)
    assert len(default["available"]) == 4096
    kind = {"network_type": "vxlan", "shared": False, "project_id": "a"}
    mine = api.make("network_segment_range", name="a", minimum=3, maximum=4, **kind)
    assert (mine["physical_network"], mine["used"], mine["available"]) == (None, {}, [3, 4])
    overlaps = {**kind, "project_id": "b", "minimum": 4, "maximum": 9}
    assert api.refused("network_segment_range", **overlaps) == (409, "NetworkSegmentRangeOverlaps")
    assert api.refused("network_segment_range", **{**overlaps, "network_type": "gre"})[1] == (
        "NetworkSegmentRangeNetTypeNotSupported"
    )
    assert api.refused("network_segment_range", **{**overlaps, "maximum": 2**24}) == (400, "BadRequest")

    numbers = [api.make("network", project_id=who)["provider:segmentation_id"] for who in "aaabbb"]
    assert numbers == [3, 4, 1, 2, 5, 6]
    path = f"/network_segment_ranges/{mine['id']}"
    shown = api.get(path).body["network_segment_range"]
    assert (shown["used"], shown["available"]) == ({"3": "a", "4": "a"}, [])
    assert api.delete(path).error == "NetworkSegmentRangeReferencedByProject"
    for narrow in ({"maximum": 3}, {"minimum": 4}):
        refused = api.put(path, {"network_segment_range": narrow})
        assert refused.error == "NetworkSegmentRangeReferencedByProject", narrow
    same = api.put(path, {"network_segment_range": {"minimum": 3, "maximum": 4}})
    assert same.status == 200, "what is in use is at its ends, and inside"
    wide = {"network_segment_range": {"maximum": 10, "name": "more"}}
    assert api.put(path, wide).body["network_segment_range"]["maximum"] == 10
    fixed = f"/network_segment_ranges/{default['id']}"
    assert api.put(fixed, wide).error == "NetworkSegmentRangeDefaultReadOnly"
    assert api.delete(fixed).error == "NetworkSegmentRangeDefaultReadOnly"
    for network in api.get("/networks").body["networks"]:
        api.delete(f"/networks/{network['id']}")
    assert api.delete(path).status == 204


@pytest.mark.parametrize("settings", [VLANS])
def test_a_subnet_of_a_segment(api: Client, settings: ServerSettings) -> None:
    network = api.make("network", segments=several(("vlan", "rack1", 100), ("vlan", "rack2", 100)))["id"]
    one, two = (part["id"] for part in api.get(f"/segments?network_id={network}").body["segments"])
    base = {"network_id": network, "ip_version": 4}
    subnet = api.make("subnet", cidr="10.0.1.0/24", segment_id=one, **base)
    assert subnet["segment_id"] == one
    assert api.shown("network", network)["l2_adjacency"] is False
    assert api.refused("subnet", cidr="10.0.2.0/24", **base) == (400, "SubnetsNotAllAssociatedWithSegments")
    elsewhere = api.make("network")["id"]
    assert api.refused("subnet", cidr="10.0.2.0/24", segment_id=one, network_id=elsewhere, ip_version=4) == (
        400,
        "NetworkIdsDontMatch",
    )
    none = "11111111-2222-4333-8444-555555555555"
    assert api.refused("subnet", cidr="10.0.2.0/24", segment_id=none, **base) == (404, "SegmentNotFound")
    assert api.delete(f"/segments/{one}").error == "SegmentInUse"
    changed = api.put(f"/subnets/{subnet['id']}", {"subnet": {"segment_id": two}})
    assert (changed.status, changed.error) == (400, "SubnetSegmentAssociationChangeNotAllowed")
    plain = api.make("subnet", cidr="10.9.0.0/24", network_id=elsewhere, ip_version=4)["id"]
    (only,) = api.get(f"/segments?network_id={elsewhere}").body["segments"]
    later = api.put(f"/subnets/{plain}", {"subnet": {"segment_id": only["id"]}})
    assert later.body["subnet"]["segment_id"] == only["id"]


@pytest.mark.parametrize("settings", [VLANS])
def test_addresses_of_a_routed_network_come_with_the_host(
    api: Client, db: Database, settings: ServerSettings
) -> None:
    network = api.make("network", segments=several(("vlan", "rack1", 100), ("vlan", "rack2", 100)))["id"]
    listed = api.get(f"/segments?network_id={network}").body["segments"]
    by_rack = {part["physical_network"]: part["id"] for part in listed}
    subnets = {
        rack: api.make(
            "subnet", network_id=network, ip_version=4, cidr=f"10.0.{n}.0/24", segment_id=by_rack[rack]
        )["id"]
        for n, rack in enumerate(("rack1", "rack2"))
    }
    for name in ("rack1", "rack2"):
        add_host(db, f"in-{name}", name)
    add_host(db, "outside", "other")
    port = api.make("port", network_id=network)
    assert (port["fixed_ips"], port["ip_allocation"]) == ([], "deferred")
    bound = api.put(f"/ports/{port['id']}", {"port": {"binding:host_id": "in-rack2"}}).body["port"]
    assert [fixed["subnet_id"] for fixed in bound["fixed_ips"]] == [subnets["rack2"]]
    assert bound["ip_allocation"] == "deferred"
    moved = api.put(f"/ports/{port['id']}", {"port": {"binding:host_id": "in-rack1"}})
    assert (moved.status, moved.error) == (409, "HostNotCompatibleWithFixedIps")

    here = api.make("port", network_id=network, binding__host_id="in-rack1")
    assert [fixed["subnet_id"] for fixed in here["fixed_ips"]] == [subnets["rack1"]]
    assert here["ip_allocation"] == "immediate"
    refused = api.refused("port", network_id=network, binding__host_id="outside")
    assert refused == (409, "HostNotConnectedToAnySegment")
    assert api.make("port", network_id=network, fixed_ips=[])["ip_allocation"] == "none"
    named = api.make("port", network_id=network, fixed_ips=[{"ip_address": "10.0.1.77"}])
    assert named["ip_allocation"] == "immediate"
    elsewhere = api.put(f"/ports/{named['id']}", {"port": {"binding:host_id": "in-rack1"}})
    assert elsewhere.error == "HostNotCompatibleWithFixedIps"
    unused = api.make("segment", network_id=network, network_type="vxlan")["id"]
    assert api.delete(f"/segments/{unused}").status == 204
    slaac = {"ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    six = api.make("subnet", network_id=network, cidr="2001:db8::/64", segment_id=by_rack["rack1"], **slaac)
    near = api.shown("port", here["id"])["fixed_ips"]
    assert [fixed["subnet_id"] for fixed in near] == [subnets["rack1"], six["id"]]
    for far in (port, api.make("port", network_id=network)):
        assert api.shown("port", far["id"])["fixed_ips"] in (bound["fixed_ips"], [])
    both = [{"subnet_id": one} for one in subnets.values()]
    assert api.refused("port", network_id=network, fixed_ips=both) == (400, "FixedIpsSubnetsNotOnSameSegment")


@pytest.mark.parametrize("settings", [VLANS])
def test_subnets_of_segments_lead_to_each_other(api: Client, settings: ServerSettings) -> None:
    network = api.make("network", segments=several(("vlan", "rack1", 100), ("vlan", "rack2", 100)))["id"]
    one, two = (part["id"] for part in api.get(f"/segments?network_id={network}").body["segments"])
    base = {"network_id": network, "ip_version": 4}

    def routes(subnet: str) -> dict[str, str]:
        found = api.shown("subnet", subnet)["host_routes"]
        return {route["destination"]: route["nexthop"] for route in found}

    own = {"destination": "192.0.2.0/24", "nexthop": "10.0.1.9"}
    first = api.make("subnet", cidr="10.0.1.0/24", segment_id=one, host_routes=[own], **base)["id"]
    second = api.make("subnet", cidr="10.0.2.0/24", segment_id=two, **base)
    assert second["host_routes"] == [{"destination": "10.0.1.0/24", "nexthop": "10.0.2.1"}]
    assert routes(first) == {"192.0.2.0/24": "10.0.1.9", "10.0.2.0/24": "10.0.1.1"}
    third = api.make("subnet", cidr="10.0.3.0/24", segment_id=one, gateway_ip=None, **base)["id"]
    assert (routes(third), routes(second["id"])["10.0.3.0/24"]) == ({}, "10.0.2.1")

    path = f"/subnets/{first}"
    moved = api.put(path, {"subnet": {"gateway_ip": "10.0.1.254", "allocation_pools": []}})
    assert moved.status == 200, moved.body
    assert routes(first) == {"192.0.2.0/24": "10.0.1.9", "10.0.2.0/24": "10.0.1.254"}
    api.put(path, {"subnet": {"host_routes": []}})
    assert routes(first) == {"10.0.2.0/24": "10.0.1.254"}
    wide = {"destination": "10.0.0.0/16", "nexthop": "10.0.1.7"}
    api.put(path, {"subnet": {"host_routes": [wide]}})
    assert routes(first) == {"10.0.0.0/16": "10.0.1.7"}
    api.put(path, {"subnet": {"gateway_ip": None, "host_routes": []}})
    assert routes(first) == {}

    assert api.delete(f"/subnets/{third}").status == 204
    assert routes(second["id"]) == {"10.0.1.0/24": "10.0.2.1"}
    assert api.delete(f"/subnets/{first}").status == 204
    assert routes(second["id"]) == {}


@pytest.mark.parametrize(
    "settings", [ServerSettings(network_vlan_ranges=("rack1", "rack2"), max_subnet_host_routes=1)]
)
def test_routes_to_peers_do_not_count(api: Client, settings: ServerSettings) -> None:
    network = api.make("network", segments=several(("vlan", "rack1", 100), ("vlan", "rack2", 100)))["id"]
    one, two = (part["id"] for part in api.get(f"/segments?network_id={network}").body["segments"])
    base = {"network_id": network, "ip_version": 4}
    for number in range(2):
        api.make("subnet", cidr=f"10.0.{number}.0/24", segment_id=one, **base)
    last = api.make("subnet", cidr="10.0.9.0/24", segment_id=two, **base)
    routes = [*last["host_routes"], {"destination": "192.0.2.0/24", "nexthop": "10.0.9.7"}]
    changed = api.put(f"/subnets/{last['id']}", {"subnet": {"host_routes": routes}})
    assert (changed.status, len(changed.body["subnet"]["host_routes"])) == (200, 3)
    more = [*routes, {"destination": "198.51.100.0/24", "nexthop": "10.0.9.7"}]
    refused = api.put(f"/subnets/{last['id']}", {"subnet": {"host_routes": more}})
    assert refused.error == "HostRoutesExhausted"


@pytest.mark.parametrize("settings", [VLANS])
def test_a_gateway_is_on_one_segment_of_a_routed_network(api: Client, settings: ServerSettings) -> None:
    parts = several(("vlan", "rack1", 100), ("vlan", "rack2", 100))
    network = api.make("network", segments=parts, router__external=True)["id"]
    one, two = (part["id"] for part in api.get(f"/segments?network_id={network}").body["segments"])
    gateway: dict[str, Any] = {"network_id": network}
    assert api.refused("router", external_gateway_info=gateway) == (501, "NotBuiltYet")
    subnets = [
        api.make("subnet", network_id=network, ip_version=4, cidr=f"203.0.{n}.0/24", segment_id=segment)["id"]
        for n, segment in enumerate((one, two))
    ]
    assert api.refused("router", external_gateway_info=gateway) == (400, "BadRequest")
    both = [{"subnet_id": subnet} for subnet in subnets]
    wrong = api.refused("router", external_gateway_info={**gateway, "external_fixed_ips": both})
    assert wrong == (400, "FixedIpsSubnetsNotOnSameSegment")
    second = {**gateway, "external_fixed_ips": [{"subnet_id": subnets[1]}]}
    router = api.make("router", external_gateway_info=second)
    (fixed,) = router["external_gateway_info"]["external_fixed_ips"]
    assert fixed["subnet_id"] == subnets[1]
    inside = api.make("network")["id"]
    blue = api.make("subnet", network_id=inside, ip_version=4, cidr="10.0.0.0/24")["id"]
    path = f"/routers/{router['id']}/add_router_interface"
    assert api.put(path, {"subnet_id": blue}).status == 200
    other = api.make("router")["id"]
    refused = api.put(f"/routers/{other}/add_router_interface", {"subnet_id": subnets[0]})
    assert (refused.status, refused.error) == (501, "NotBuiltYet")

    port = api.make("port", network_id=inside)["id"]
    base = {"floating_network_id": network}
    assert api.refused("floatingip", **base) == (400, "BadRequest")
    far = {**base, "subnet_id": subnets[0], "port_id": port}
    assert api.refused("floatingip", **far) == (404, "ExternalGatewayForFloatingIPNotFound")
    assert api.refused("floatingip", **far, router_id=router["id"])[1] == "FloatingIPRouterHasNoGateway"
    near = api.make("floatingip", **base, subnet_id=subnets[1], port_id=port)
    assert near["router_id"] == router["id"]
    moved = {**gateway, "external_fixed_ips": [{"subnet_id": subnets[0]}]}
    kept = api.put(f"/routers/{router['id']}", {"router": {"external_gateway_info": moved}})
    assert kept.error == "RouterExternalGatewayInUseByFloatingIp"
    api.put(f"/floatingips/{near['id']}", {"floatingip": {"port_id": None}})
    after = api.put(f"/routers/{router['id']}", {"router": {"external_gateway_info": moved}})
    (fixed,) = after.body["router"]["external_gateway_info"]["external_fixed_ips"]
    assert fixed["subnet_id"] == subnets[0]

    third = api.make("segment", network_id=network, network_type="vxlan")["id"]
    assert api.delete(f"/segments/{third}").status == 204
    assert api.delete(f"/segments/{one}").error == "SegmentInUse"
