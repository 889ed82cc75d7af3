"""HA networks as Neutron shows them to an administrator, and what cannot be done to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.agents_api.conftest import Cloud, running

HA_PORT = "network:router_ha_interface"
HEARTBEAT = "network:router_ha_heartbeat"
PROJECT = "6a0e2f5ad0b24a5f9ac2e3b1b39f4b37"


CHANGES: tuple[dict[str, Any], ...] = (
    {"device_owner": "compute:nova"},
    {"device_id": "x"},
    {"binding:host_id": "net9"},
    {"fixed_ips": []},
    {"mac_address": "fa:16:3e:00:00:01"},
)


@contextmanager
def serving(db: Database, **settings: Any) -> Iterator[Cloud]:
    """Run a server with three hosts."""
    made = running(db, ServerSettings(agent_down_time=30.0, **settings))
    cloud = next(made)
    try:
        for name in ("net1", "net2", "net3"):
            cloud.agent(name)
        yield cloud
    finally:
        next(made, None)


@pytest.fixture(params=["cloud", "project"])
def scope(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cloud(db: Database, scope: str) -> Iterator[Cloud]:
    with serving(db, ha_network_scope=scope) as found:
        yield found


def redundant(cloud: Cloud, **more: Any) -> str:
    """Create a redundant router; wait until its HA ports are there and up."""
    made = str(cloud.api.make("router", ha=True, project_id=PROJECT, **more)["id"])
    cloud.until(lambda: [one["status"] for one in ports(cloud, device_id=made)] == ["ACTIVE"] * 3)
    return made


def ports(cloud: Cloud, **query: str) -> list[dict[str, Any]]:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    found: list[dict[str, Any]] = cloud.api.get(f"/ports?{words}").body["ports"]
    return found


def test_a_router_has_an_ha_port_on_each_of_its_hosts(cloud: Cloud, scope: str) -> None:
    """As in Neutron: names, owner, device, host, no project; found by the filters that find them there."""
    first, second = redundant(cloud), redundant(cloud)
    assert len(ports(cloud, device_owner=HA_PORT)) == 6
    assert len(ports(cloud, device_owner=HA_PORT, status="ACTIVE")) == 6
    for router in (first, second):
        mine = ports(cloud, device_id=router, device_owner=HA_PORT)
        assert {one["binding:host_id"] for one in mine} == {"net1", "net2", "net3"}
        assert {one["name"] for one in mine} == {f"HA port tenant {PROJECT}"}
        assert {(one["project_id"], one["tenant_id"]) for one in mine} == {("", "")}
        assert {one["binding:vif_type"] for one in mine} == {"bridge"}
        (network_id,) = {one["network_id"] for one in mine}
        assert cloud.api.shown("port", mine[0]["id"]) == mine[0]
    assert len(ports(cloud, device_id=first, **{"binding:host_id": "net2"})) == 1
    network = cloud.api.shown("network", network_id)
    tenant = PROJECT if scope == "project" else ""
    assert network["name"] == f"HA network tenant {tenant}".rstrip()
    assert (network["project_id"], network["shared"], network["router:external"]) == ("", False, False)
    subnet = cloud.api.shown("subnet", network["subnets"][0])
    assert subnet["name"] == f"HA subnet tenant {tenant}".rstrip()
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("169.254.192.0/18", None)
    assert (subnet["enable_dhcp"], subnet["project_id"]) == (False, "")


def test_its_addresses_are_those_that_the_heartbeat_has(cloud: Cloud) -> None:
    router = redundant(cloud)
    for one in ports(cloud, device_id=router):
        (heartbeat,) = ports(
            cloud,
            device_owner=HEARTBEAT,
            network_id=one["network_id"],
            **{"binding:host_id": one["binding:host_id"]},
        )
        assert one["fixed_ips"] == heartbeat["fixed_ips"]
        assert one["mac_address"] == heartbeat["mac_address"]
        assert one["fixed_ips"][0]["ip_address"].startswith("169.254.")


def test_what_is_in_use_cannot_be_deleted_or_changed(cloud: Cloud) -> None:
    router = redundant(cloud)
    mine = ports(cloud, device_id=router)
    (heartbeat, *_) = ports(cloud, device_owner=HEARTBEAT)
    network = mine[0]["network_id"]
    subnet = cloud.api.shown("network", network)["subnets"][0]
    for path, error in (
        (f"/networks/{network}", "NetworkInUse"),
        (f"/subnets/{subnet}", "SubnetInUse"),
        (f"/ports/{mine[0]['id']}", "ServicePortInUse"),
        (f"/ports/{heartbeat['id']}", "ServicePortInUse"),
    ):
        answer = cloud.api.delete(path)
        assert (answer.status, answer.error) == (409, error), answer
    for port in (mine[0], heartbeat):
        for change in CHANGES:
            answer = cloud.api.put(f"/ports/{port['id']}", {"port": change})
            assert (answer.status, answer.error) == (409, "HAPortInUse"), answer
        renamed = cloud.api.put(f"/ports/{port['id']}", {"port": {"name": "renamed"}})
        assert renamed.body["port"]["name"] == "renamed"
    assert cloud.api.put(f"/networks/{network}", {"network": {"description": "mine"}}).status == 200
    refused = cloud.api.put(f"/networks/{network}", {"network": {"mtu": 1400}})
    assert (refused.status, refused.error) == (409, "NetworkInUse"), refused


def test_nobody_else_makes_such_networks_and_ports(cloud: Cloud) -> None:
    assert "network_ha" in {one["alias"] for one in cloud.api.get("/extensions").body["extensions"]}
    assert cloud.api.refused("network", ha=True) == (400, "BadRequest")
    made = cloud.api.make("network", ha=False)
    assert "ha" not in made
    refused = cloud.api.refused("port", network_id=made["id"], device_owner=HEARTBEAT)
    assert refused == (400, "BadRequest")
    port = cloud.api.make("port", network_id=made["id"])["id"]
    assert cloud.api.put(f"/ports/{port}", {"port": {"device_owner": HEARTBEAT}}).status == 400


def test_ports_go_with_their_router_and_its_candidates(cloud: Cloud) -> None:
    keep, leave = redundant(cloud), redundant(cloud)
    agents = cloud.api.get("/agents?host=net2&agent_type=L3%20agent").body["agents"]
    assert cloud.api.delete(f"/agents/{agents[0]['id']}/l3-routers/{keep}").status == 204
    cloud.until(lambda: {one["binding:host_id"] for one in ports(cloud, device_id=keep)} == {"net1", "net3"})
    assert len(ports(cloud, device_id=leave)) == 3
    assert cloud.api.delete(f"/routers/{leave}").status == 204
    assert ports(cloud, device_id=leave) == []
    assert len(ports(cloud, device_id=keep)) == 2


def test_they_survive_a_restart_and_a_change_of_the_setting(db: Database) -> None:
    """Existing routers keep what they have, new ones follow the setting."""
    with serving(db, ha_network_scope="cloud") as cloud:
        old = redundant(cloud)
        before = ports(cloud, device_id=old)
        heartbeats = ports(cloud, device_owner=HEARTBEAT)
    with serving(db, ha_network_scope="project") as cloud:
        new = redundant(cloud)
        assert ports(cloud, device_id=old) == before
        names = {
            cloud.api.shown("network", ports(cloud, device_id=one)[0]["network_id"])["name"]
            for one in (old, new)
        }
        assert names == {"HA network tenant", f"HA network tenant {PROJECT}"}
        assert [one for one in ports(cloud, device_owner=HEARTBEAT) if one in heartbeats] == heartbeats
        target = next(one["host"] for one in l3_agents(cloud, old) if one["ha_state"] == "standby")
        status, _ = cloud.v1("POST", f"/routers/{old}/move", {"host": target})
        assert status == 202
        cloud.until(
            lambda: any(
                one["host"] == target and one["ha_state"] == "active" for one in l3_agents(cloud, old)
            )
        )
        assert {one["network_id"] for one in ports(cloud, device_id=old)} == {before[0]["network_id"]}


def l3_agents(cloud: Cloud, router: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.api.get(f"/routers/{router}/l3-agents").body["agents"]
    return found
