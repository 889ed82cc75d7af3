"""DHCP on networks of several segments: routed ones are served segment by segment, others as a whole."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from deuteron.insight import status
from deuteron.plan.units import Dhcp, Lease, Network
from deuteron.resources import scheduling
from deuteron.resources.errors import NeutronError
from tests.placement.cloud import Cloud
from tests.placement.steps import by_hand, dhcp_hosts, move, routers_of
from tests.placement.world import World

RACKS = {"a1": "rack1", "a2": "rack1", "a3": "rack1", "b1": "rack2", "b2": "rack2", "c1": "rack3"}
DOWN = 6.0

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def racks(world: Callable[..., World]) -> World:
    """Hosts in three racks, each with a physical network of its own."""
    made = world(agent_down_time=DOWN, network_vlan_ranges=tuple(set(RACKS.values())))
    for name, rack in RACKS.items():
        put_into(made, name, rack)
    made.settle()
    return made


def put_into(cloud: Cloud, name: str, *racks: str) -> None:
    made = cloud.agents.get(name) or cloud.agent(name, zone="one")
    made.report = msgspec.structs.replace(made.report, physical_networks=racks)
    made.step(full=True)


def wide(cloud: Cloud) -> str:
    parts = [
        {
            "provider:network_type": "vlan",
            "provider:physical_network": rack,
            "provider:segmentation_id": number,
        }
        for number, rack in ((7, "rack1"), (8, "rack2"))
    ]
    return str(cloud.create("networks", name="wide", segments=parts)["id"])


def subnet(cloud: Cloud, network: str, cidr: str, rack: str | None = None, **more: Any) -> str:
    if rack is not None:
        segments = [one for one in cloud.list("segments") if one["network_id"] == network]
        more["segment_id"] = next(one["id"] for one in segments if one["physical_network"] == rack)
    version = 6 if ":" in cidr else 4
    return str(cloud.create("subnets", network_id=network, ip_version=version, cidr=cidr, **more)["id"])


@pytest.fixture
def routed(racks: World) -> tuple[World, str, dict[str, str]]:
    network = wide(racks)
    subnets = {
        rack: subnet(racks, network, f"10.{n}.0.0/24", rack) for n, rack in ((1, "rack1"), (2, "rack2"))
    }
    racks.settle()
    return racks, network, subnets


def served(cloud: Cloud, network: str) -> dict[str, list[str]]:
    """Host -> the subnets that it serves."""
    found = {name: one.units(Dhcp).get(network) for name, one in cloud.agents.items()}
    return {name: [one.id for one in unit.subnets] for name, unit in found.items() if unit}


def rack_of(hosts: list[str]) -> list[str]:
    return sorted(RACKS[name] for name in hosts)


def test_each_segment_of_a_routed_network_has_its_own_servers(
    routed: tuple[World, str, dict[str, str]],
) -> None:
    cloud, network, subnets = routed
    assert rack_of(dhcp_hosts(cloud, network)) == ["rack1", "rack1", "rack2", "rack2"]
    assert all(there == [subnets[RACKS[name]]] for name, there in served(cloud, network).items())
    ports = [one for one in cloud.list("ports") if one["device_owner"] == "network:dhcp"]
    assert all(
        [fixed["subnet_id"] for fixed in one["fixed_ips"]] == [subnets[RACKS[one["binding:host_id"]]]]
        for one in ports
    )
    (shown,) = (one for one in cloud.list("networks") if one["id"] == network)
    assert shown["l2_adjacency"] is False
    used = [one for one in cloud.list("network_ip_availabilities") if one["network_id"] == network]
    assert [one["used_ips"] for one in used[0]["subnet_ip_availability"]] == [2, 2]
    found = cloud.call(status.of_all)
    assert {(one.segment, one.level) for one in found.networks if one.id == network} == {
        ("vlan 7 of rack1", "OK"),
        ("vlan 8 of rack2", "OK"),
    }


def test_what_a_server_tells_is_of_its_segment_and_names_are_of_the_network(
    routed: tuple[World, str, dict[str, str]],
) -> None:
    cloud, network, subnets = routed
    made = cloud.create("ports", network_id=network, **{"binding:host_id": "b1"})
    cloud.settle()
    (host,) = dhcp_hosts(cloud, network)[:1]
    assert RACKS[host] == "rack1"
    (unit,) = cloud.agents[host].units(Dhcp).values()
    own = {address.partition("/")[0] for address in unit.addresses}
    assert own < set(unit.subnets[0].dns_nameservers), "resolvers are the servers of the same segment"
    lease = cloud.agents[host].units(Lease)[made["id"]]
    assert [subnet_id for subnet_id, _ in lease.addresses] == [subnets["rack2"]]


def test_a_dead_server_is_replaced_on_its_segment_only(routed: tuple[World, str, dict[str, str]]) -> None:
    cloud, network, _ = routed
    before = {
        name: one.units(Dhcp)[network].addresses for name, one in cloud.agents.items() if one.units(Dhcp)
    }
    dead = next(name for name in before if RACKS[name] == "rack1")
    cloud.agents[dead].silent = True
    cloud.leap(DOWN + 3)
    cloud.settle()
    (other,) = {name for name in RACKS if RACKS[name] == "rack1"} - before.keys()
    assert cloud.agents[other].units(Dhcp)[network].addresses == before[dead], "the address goes along"

    cloud.agents["b1"].silent = True
    cloud.leap(DOWN + 3)
    cloud.settle()
    alive = {name for name in served(cloud, network) if not cloud.agents[name].silent}
    assert rack_of(list(alive)) == ["rack1", "rack1", "rack2"], "nobody of another rack helps"
    levels = {one.segment: one.level for one in cloud.call(status.of_all).networks if one.id == network}
    assert levels == {"vlan 7 of rack1": "OK", "vlan 8 of rack2": "DEGRADED"}


def test_subnets_come_and_go(routed: tuple[World, str, dict[str, str]]) -> None:
    cloud, network, subnets = routed
    second = subnet(cloud, network, "10.3.0.0/24", "rack2")
    six = subnet(cloud, network, "2001:db8::/64", "rack2", ipv6_address_mode="slaac", ipv6_ra_mode="slaac")
    cloud.settle()
    expected = sorted([subnets["rack2"], second, six])
    assert [there for name, there in served(cloud, network).items() if RACKS[name] == "rack2"] == [
        expected
    ] * 2
    assert [there for name, there in served(cloud, network).items() if RACKS[name] == "rack1"] == [
        [subnets["rack1"]]
    ] * 2
    cloud.delete("subnets", subnets["rack1"])
    cloud.settle()
    assert rack_of(dhcp_hosts(cloud, network)) == ["rack2", "rack2"]
    for one in (second, six, subnets["rack2"]):
        cloud.delete("subnets", one)
    cloud.settle()
    assert dhcp_hosts(cloud, network) == []
    assert [one for one in cloud.list("ports") if one["network_id"] == network] == []


def test_hosts_that_change_their_rack_serve_where_they_are(
    routed: tuple[World, str, dict[str, str]],
) -> None:
    cloud, network, subnets = routed
    one = next(name for name in dhcp_hosts(cloud, network) if RACKS[name] == "rack1")
    put_into(cloud, one, "rack2")
    put_into(cloud, "b1", "rack1")
    cloud.settle()
    there = served(cloud, network)
    assert all(subnets["rack2"] in found for name, found in there.items() if name in (one, "b2"))
    assert sorted(one for found in there.values() for one in found) == sorted([*subnets.values()] * 2)


def test_a_network_that_is_switched_together_is_served_as_a_whole(racks: World) -> None:
    network = wide(racks)
    only = subnet(racks, network, "10.1.0.0/24")
    racks.settle()
    assert rack_of(dhcp_hosts(racks, network)) == ["rack1", "rack2"], "in different racks, if there are"
    assert set(served(racks, network)) == set(dhcp_hosts(racks, network))
    assert all(there == [only] for there in served(racks, network).values())
    dead = next(name for name in dhcp_hosts(racks, network) if RACKS[name] == "rack2")
    racks.agents[dead].silent = True
    racks.leap(DOWN + 3)
    racks.settle()
    alive = [name for name in served(racks, network) if not racks.agents[name].silent]
    assert rack_of(alive) == ["rack1", "rack2"]


def test_a_network_that_gets_a_second_segment_keeps_its_servers(racks: World) -> None:
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "rack1"}
    network = racks.create("networks", name="grows", **vlan, **{"provider:segmentation_id": 9})["id"]
    subnet(racks, network, "10.9.0.0/24")
    racks.settle()
    before = dhcp_hosts(racks, network)
    assert rack_of(before) == ["rack1", "rack1"]
    second = {"network_type": "vlan", "physical_network": "rack2", "segmentation_id": 9}
    racks.create("segments", network_id=network, **second)
    racks.settle()
    assert dhcp_hosts(racks, network) == before


def test_who_may_be_asked_by_hand(routed: tuple[World, str, dict[str, str]]) -> None:
    cloud, network, _ = routed
    with pytest.raises(NeutronError, match="reaches no segment"):
        by_hand(cloud, "add", "network", network, "c1")
    (other,) = {name for name in RACKS if RACKS[name] == "rack1"} - set(dhcp_hosts(cloud, network))
    by_hand(cloud, "add", "network", network, other)
    cloud.settle()
    assert rack_of(dhcp_hosts(cloud, network)) == ["rack1", "rack1", "rack1", "rack2", "rack2"]
    by_hand(cloud, "remove", "network", network, "b1")
    cloud.settle()
    assert rack_of(dhcp_hosts(cloud, network)) == ["rack1", "rack1", "rack1", "rack2"]
    listed = cloud.call(lambda call: scheduling.dhcp_agents(call, network))
    assert sorted(one["host"] for one in listed) == dhcp_hosts(cloud, network)


def leading_out_of(cloud: World, network: str, subnet_id: str, **more: Any) -> str:
    cloud.update("networks", network, **{"router:external": True})
    gateway = {"network_id": network, "external_fixed_ips": [{"subnet_id": subnet_id}]}
    made = cloud.create("routers", external_gateway_info=gateway, **more)["id"]
    cloud.settle()
    return str(made)


def test_a_router_is_where_the_segment_of_its_gateway_is(routed: tuple[World, str, dict[str, str]]) -> None:
    cloud, network, subnets = routed
    put_into(cloud, "a1", "rack1", "rack2")  # which is on the first of both
    router = leading_out_of(cloud, network, subnets["rack2"], ha=True)
    twins = routers_of(cloud, router)
    assert sorted(twins) == ["b1", "b2"]
    for name, unit in twins.items():
        assert unit.gateway is not None
        assert unit.nexthops == ("10.2.0.1",)
        there = cloud.agents[name].units(Network)[network]
        assert (there.type, there.physical_network, there.vlan) == ("vlan", "rack2", 8)
    with pytest.raises(NeutronError, match="not attached to segment vlan 8 of rack2"):
        move(cloud, router, "a1")
    with pytest.raises(NeutronError, match="not attached to segment vlan 8 of rack2"):
        by_hand(cloud, "add", "router", router, "a2")
    (shown,) = cloud.call(status.of_all).routers
    assert shown.level == "OK"


def test_a_router_goes_with_its_gateway_to_another_segment(
    routed: tuple[World, str, dict[str, str]],
) -> None:
    cloud, network, subnets = routed
    router = leading_out_of(cloud, network, subnets["rack1"], ha=False)
    (host,) = routers_of(cloud, router)
    assert RACKS[host] == "rack1"
    gateway = {"network_id": network, "external_fixed_ips": [{"subnet_id": subnets["rack2"]}]}
    cloud.update("routers", router, external_gateway_info=gateway)
    cloud.settle()
    (host,) = routers_of(cloud, router)
    assert RACKS[host] == "rack2"
    (open_,) = cloud.open_on(router)
    assert open_ == host


def test_a_router_with_a_gateway_on_one_of_several_segments_stays_central(
    routed: tuple[World, str, dict[str, str]],
) -> None:
    cloud, network, subnets = routed
    for name in RACKS:
        cloud.agents[name].report = msgspec.structs.replace(cloud.agents[name].report, agent_mode="dvr_snat")
        cloud.agents[name].step(full=True)
    router = leading_out_of(cloud, network, subnets["rack1"], ha=False)
    with pytest.raises(NeutronError, match="a distributed router's cannot be"):
        cloud.update("routers", router, distributed=True)
