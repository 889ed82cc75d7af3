"""Distributed routers through the API: as Neutron shows them, and what hosts are told of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deuteron.api.app import app
from deuteron.config import ConfigError
from deuteron.plan.units import DistributedRouter, FloatingGateway, FloatingIP, Neighbour, Router
from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.agents_api.conftest import Agent, Cloud, running
from tests.api.conftest import Client

INTERFACE = "network:router_interface_distributed"
SNAT = "network:router_centralized_snat"
AGENT_GATEWAY = "network:floatingip_agent_gateway"


@contextmanager
def serving(db: Database, **settings: Any) -> Iterator[Cloud]:
    made = running(db, ServerSettings(agent_down_time=30.0, **settings))
    cloud = next(made)
    try:
        yield cloud
    finally:
        next(made, None)


@pytest.fixture
def cloud(db: Database) -> Iterator[Cloud]:
    """Two network hosts and two compute hosts, the second one without the external network."""
    with serving(db) as found:
        for name in ("net1", "net2"):
            found.agent(name, agent_mode="dvr_snat")
        found.agent("compute1", agent_mode="dvr", roles=("l2", "l3"))
        found.agent("compute2", agent_mode="dvr", roles=("l2", "l3"), physical_networks=())
        found.agent("old", roles=("l2", "l3"))
        yield found


class Site:
    """A network with an IPv4 and a SLAAC subnet, an external network, and a distributed router between."""

    def __init__(self, api: Client, **router: Any) -> None:
        self.api = api
        self.external = api.make(
            "network",
            router__external=True,
            provider__network_type="flat",
            provider__physical_network="external",
        )["id"]
        api.make("subnet", network_id=self.external, ip_version=4, cidr="203.0.113.0/24", enable_dhcp=False)
        self.network = api.make("network")["id"]
        self.subnet = api.make("subnet", network_id=self.network, ip_version=4, cidr="10.0.0.0/24")["id"]
        slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
        self.subnet6 = api.make(
            "subnet", network_id=self.network, ip_version=6, cidr="2001:db8::/64", **slaac
        )["id"]
        self.router = api.make("router", distributed=True, **router)["id"]

    def put(self, **changes: Any) -> dict[str, Any]:
        answer = self.api.put(f"/routers/{self.router}", {"router": changes})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body["router"]
        return found

    def gateway(self) -> None:
        self.put(external_gateway_info={"network_id": self.external})

    def interface(self, verb: str, subnet: str) -> str:
        answer = self.api.put(f"/routers/{self.router}/{verb}_router_interface", {"subnet_id": subnet})
        assert answer.status == 200, answer
        return str(answer.body["port_id"])

    def ports(self, owner: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(f"/ports?device_owner={owner}").body["ports"]
        return found

    def instance(self, host: str, **more: Any) -> dict[str, Any]:
        more = {"network_id": self.network, "device_owner": "compute:nova", **more}
        return self.api.make("port", binding__host_id=host, **more)


def unit(agent: Agent, key: str) -> Any:
    return agent.stream.plan.get(key)


def test_what_is_made_for_a_distributed_router_goes_with_it(cloud: Cloud) -> None:
    """As in Neutron: device owners, and ports that come and go with gateway and interfaces."""
    site = Site(cloud.api)
    first = site.interface("add", site.subnet)
    shown = cloud.api.shown("port", first)
    assert (shown["device_owner"], shown["device_id"]) == (INTERFACE, site.router)
    assert site.ports(SNAT) == []
    site.gateway()
    (snat,) = site.ports(SNAT)
    assert (snat["device_id"], snat["network_id"], snat["project_id"]) == (site.router, site.network, "")
    assert [one["subnet_id"] for one in snat["fixed_ips"]] == [site.subnet]
    assert snat["mac_address"] != shown["mac_address"]
    assert cloud.api.delete(f"/ports/{snat['id']}").status == 409
    assert cloud.api.put(f"/ports/{snat['id']}", {"port": {"device_owner": "compute:x"}}).status == 400
    assert cloud.api.delete(f"/routers/{site.router}").status == 409, "it has an interface"
    site.interface("add", site.subnet6)
    (both,) = site.ports(SNAT)
    assert (both["id"], len(both["fixed_ips"])) == (snat["id"], 2)
    assert cloud.api.delete(f"/subnets/{site.subnet}").status == 409
    site.interface("remove", site.subnet6)
    assert [one["fixed_ips"] for one in site.ports(SNAT)] == [snat["fixed_ips"]]
    site.put(external_gateway_info=None)
    assert site.ports(SNAT) == []
    site.gateway()
    site.interface("remove", site.subnet)
    assert site.ports(SNAT) == []
    assert cloud.api.delete(f"/routers/{site.router}").status == 204
    assert cloud.api.delete(f"/networks/{site.network}").status == 204


def test_an_interface_that_changes_its_addresses_takes_the_central_parts_port_along(cloud: Cloud) -> None:
    site = Site(cloud.api)
    first = site.interface("add", site.subnet)
    site.gateway()
    more = cloud.api.make("subnet", network_id=site.network, ip_version=4, cidr="10.0.1.0/24")["id"]
    (before,) = site.ports(SNAT)
    kept, gateway = before["fixed_ips"], cloud.api.shown("port", first)["fixed_ips"]
    for fixed, wanted in (
        ([*gateway, {"subnet_id": site.subnet6, "ip_address": "2001:db8::1"}], {site.subnet, site.subnet6}),
        ([{"subnet_id": more, "ip_address": "10.0.1.1"}], {more}),
        (gateway, {site.subnet}),
    ):
        changed = cloud.api.put(f"/ports/{first}", {"port": {"fixed_ips": fixed}})
        assert changed.status == 200, changed
        (now,) = site.ports(SNAT)
        assert now["id"] == before["id"]
        assert {one["subnet_id"] for one in now["fixed_ips"]} == wanted
        if site.subnet in wanted and more not in wanted and len(wanted) > 1:
            assert kept[0] in now["fixed_ips"], "an address that is still needed stays"


def test_nobody_else_makes_such_ports(cloud: Cloud) -> None:
    site = Site(cloud.api)
    for owner in (SNAT, AGENT_GATEWAY):
        assert cloud.api.refused("port", network_id=site.network, device_owner=owner)[0] == 400
        mine = cloud.api.make("port", network_id=site.network)["id"]
        assert cloud.api.put(f"/ports/{mine}", {"port": {"device_owner": owner}}).status == 400


def test_a_router_cannot_be_distributed_where_nobody_could_carry_it(db: Database) -> None:
    with serving(db, router_distributed=True) as cloud:
        cloud.agent("old")
        assert cloud.api.refused("router") == (409, "NoHostForDistributedRouters")
        assert cloud.api.make("router", distributed=False)["distributed"] is False
        cloud.agent("compute", agent_mode="dvr")
        assert cloud.api.make("router")["distributed"] is True
        site = Site(cloud.api)
        assert cloud.api.refused("router", external_gateway_info={"network_id": site.external}) == (
            409,
            "NoHostForDistributedRouters",
        ), "nobody could do SNAT"


def test_macs_of_ports_and_of_hosts_are_told_apart(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path}/d.db")
    with pytest.raises(ConfigError, match="dvr_base_mac"):
        app(ServerSettings(dvr_base_mac="fa:16:3e:aa:00:00"), db)
    db.close()


def test_agents_show_their_mode(cloud: Cloud) -> None:
    agents = cloud.api.get("/agents?agent_type=L3%20agent").body["agents"]
    modes = {one["host"]: one["configurations"]["agent_mode"] for one in agents}
    assert modes == {
        "net1": "dvr_snat",
        "net2": "dvr_snat",
        "compute1": "dvr",
        "compute2": "dvr",
        "old": "legacy",
    }


def test_its_central_part_is_on_hosts_that_do_snat(cloud: Cloud) -> None:
    site = Site(cloud.api, ha=True)
    site.interface("add", site.subnet)
    path = f"/routers/{site.router}/l3-agents"
    site.gateway()
    cloud.until(lambda: len(cloud.api.get(path).body["agents"]) == 2)
    found = cloud.api.get(path).body["agents"]
    assert {one["host"] for one in found} == {"net1", "net2"}
    cloud.until(
        lambda: sorted(one["ha_state"] for one in cloud.api.get(path).body["agents"]) == ["active", "standby"]
    )
    agents = {one["host"]: one["id"] for one in cloud.api.get("/agents?agent_type=L3%20agent").body["agents"]}
    for host in ("compute1", "old"):
        answer = cloud.api.post(f"/agents/{agents[host]}/l3-routers", {"router_id": site.router})
        assert (answer.status, answer.error) == (404, "InvalidL3Agent")
    assert cloud.v1("POST", f"/routers/{site.router}/move", {"host": "compute1"})[0] == 409
    twin = cloud.until(lambda: unit(cloud.agents["net1"], f"router/{site.router}"))
    assert isinstance(twin, Router)
    assert twin.distributed
    assert (twin.interfaces, len(twin.snat_ports)) == ((), 1)
    site.put(external_gateway_info=None)
    cloud.until(lambda: cloud.api.get(path).body["agents"] == [])
    plain = cloud.api.make("router")["id"]
    cloud.until(lambda: cloud.api.get(f"/routers/{plain}/l3-agents").body["agents"])
    (one,) = cloud.api.get(f"/routers/{plain}/l3-agents").body["agents"]
    assert one["host"] in ("net1", "net2", "old")


def test_hosts_of_its_networks_carry_it(cloud: Cloud) -> None:
    """Interfaces' MACs and the DVR MAC of the host; the default route by the central part; neighbours."""
    site = Site(cloud.api)
    interface = site.interface("add", site.subnet)
    compute1, compute2 = cloud.agents["compute1"], cloud.agents["compute2"]
    vm = site.instance("compute1")
    part = cloud.until(lambda: unit(compute1, f"distributedrouter/{site.router}"))
    assert isinstance(part, DistributedRouter)
    assert part.mac.startswith("fa:16:3f:")
    assert part.open
    assert (part.central, part.external) == ((), None)
    assert [one.id for one in part.interfaces] == [interface]
    assert unit(compute2, f"distributedrouter/{site.router}") is None
    site.gateway()
    (snat,) = site.ports(SNAT)
    way = (interface, snat["fixed_ips"][0]["ip_address"])
    cloud.until(lambda: unit(compute1, f"distributedrouter/{site.router}").central == (way,))
    near = cloud.until(lambda: unit(compute1, f"neighbour/{snat['id']}"))
    assert isinstance(near, Neighbour)
    assert near.mac == snat["mac_address"]
    assert unit(compute1, f"neighbour/{interface}") is None
    cloud.until(lambda: getattr(unit(compute1, f"remote/{snat['id']}"), "moves", False))
    assert unit(compute1, f"remote/{interface}") is None
    # A port that moves takes the router with it.
    answer = cloud.api.put(f"/ports/{vm['id']}", {"port": {"binding:host_id": "compute2"}})
    assert answer.status == 200
    there = cloud.until(lambda: unit(compute2, f"distributedrouter/{site.router}"))
    assert there.mac not in ("", part.mac)
    cloud.until(lambda: unit(compute1, f"distributedrouter/{site.router}") is None)
    cloud.until(lambda: unit(compute1, f"network/{site.network}") is None)


def test_floating_ips_are_where_their_instances_are(cloud: Cloud) -> None:
    site = Site(cloud.api)
    site.interface("add", site.subnet)
    site.gateway()
    near, far = site.instance("compute1"), site.instance("compute2")
    compute1 = cloud.agents["compute1"]
    made = {}
    for one in (near, far):
        floating = cloud.api.make("floatingip", floating_network_id=site.external, port_id=one["id"])
        made[one["id"]] = floating["id"]
    served = cloud.until(lambda: unit(compute1, f"floatingip/{made[near['id']]}"))
    assert isinstance(served, FloatingIP)
    assert served.distributed
    (gateway,) = site.ports(AGENT_GATEWAY)
    assert (gateway["binding:host_id"], gateway["fixed_ips"]) == ("compute1", [])
    way = unit(compute1, f"floatinggateway/{site.external}")
    assert isinstance(way, FloatingGateway)
    assert (way.mac, way.subnets, way.nexthop) == (gateway["mac_address"], ("203.0.113.0/24",), "203.0.113.1")
    assert unit(compute1, f"distributedrouter/{site.router}").external == site.external
    (active,) = cloud.api.get(f"/routers/{site.router}/l3-agents").body["agents"]
    central = cloud.agents[active["host"]]
    cloud.until(lambda: f"floatingip/{made[far['id']]}" in central.stream.plan)
    assert not unit(central, f"floatingip/{made[far['id']]}").distributed
    cloud.until(lambda: f"floatingip/{made[near['id']]}" not in central.stream.plan)
    # It follows its instance, and is served centrally where nobody can.
    cloud.api.put(f"/ports/{near['id']}", {"port": {"binding:host_id": "old"}})
    cloud.until(lambda: unit(central, f"floatingip/{made[near['id']]}"))
    assert cloud.api.delete(f"/ports/{near['id']}").status == 204
    assert cloud.api.delete(f"/ports/{far['id']}").status == 204
    for id_ in made.values():
        assert cloud.api.delete(f"/floatingips/{id_}").status == 204
    site.interface("remove", site.subnet)
    assert cloud.api.delete(f"/routers/{site.router}").status == 204
    assert cloud.api.delete(f"/networks/{site.external}").status == 204
    assert site.ports(AGENT_GATEWAY) == []


def test_a_host_to_which_an_instance_migrates_is_prepared_for_its_floating_ip(cloud: Cloud) -> None:
    site = Site(cloud.api)
    site.interface("add", site.subnet)
    site.gateway()
    vm = site.instance("compute1")["id"]
    floating = cloud.api.make("floatingip", floating_network_id=site.external, port_id=vm)["id"]
    before, after = cloud.agents["compute1"], cloud.agent("compute3", agent_mode="dvr", roles=("l2", "l3"))
    key = f"floatingip/{floating}"
    cloud.until(lambda: unit(before, key))
    made = cloud.api.post(f"/ports/{vm}/bindings", {"binding": {"host": "compute3"}})
    assert made.status == 201, made
    cloud.until(lambda: unit(after, f"floatinggateway/{site.external}"))
    cloud.until(lambda: unit(after, f"distributedrouter/{site.router}"))
    soon = cloud.until(lambda: unit(after, key))
    assert (soon.distributed, soon.waiting) == (True, True), "translated there, and not answered for"
    assert (unit(before, key).distributed, unit(before, key).waiting) == (True, False)
    moved = cloud.api.put(f"/ports/{vm}/bindings/compute3/activate", {})
    assert moved.status == 200, moved
    cloud.until(lambda: not unit(after, key).waiting)
    cloud.until(lambda: unit(before, key).waiting)
    assert cloud.api.delete(f"/ports/{vm}/bindings/compute1").status == 204
    cloud.until(lambda: unit(before, key) is None)
    cloud.until(lambda: unit(before, f"distributedrouter/{site.router}") is None)
