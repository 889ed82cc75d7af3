"""Floating IPs: where they come from, where they lead, what they hold on to."""

from typing import Any

import pytest

from tests.api.conftest import Answer, Client, Topology


def _port(api: Client, topology: Topology, **more: Any) -> dict[str, Any]:
    return api.make("port", network_id=topology.network, **more)


def _floating(api: Client, topology: Topology, **more: Any) -> dict[str, Any]:
    return api.make("floatingip", floating_network_id=topology.external, **more)


def _put(api: Client, floating: dict[str, Any], **changes: Any) -> Answer:
    return api.put(f"/floatingips/{floating['id']}", {"floatingip": changes})


def test_a_free_one(api: Client, topology: Topology) -> None:
    floating = _floating(api, topology)
    assert floating["floating_ip_address"] == "203.0.113.3"
    assert floating["status"] == "DOWN"
    assert floating["port_id"] is floating["router_id"] is floating["fixed_ip_address"] is None
    assert floating["port_details"] is None
    own = api.get("/ports?device_owner=network:floatingip").body["ports"]
    assert [(port["device_id"], port["project_id"], port["status"]) for port in own] == [
        (floating["id"], "", "N/A")
    ]
    assert api.delete(f"/ports/{own[0]['id']}").error == "ServicePortInUse"
    assert api.delete(f"/floatingips/{floating['id']}").status == 204
    assert api.get("/ports?device_owner=network:floatingip").body["ports"] == []


def test_by_address_and_by_subnet(api: Client, topology: Topology) -> None:
    assert (
        _floating(api, topology, floating_ip_address="203.0.113.77")["floating_ip_address"] == "203.0.113.77"
    )
    network = {"floating_network_id": topology.external}
    assert api.refused("floatingip", **network, floating_ip_address="203.0.113.77") == (
        409,
        "IpAddressAlreadyAllocated",
    )
    assert api.refused("floatingip", **network, floating_ip_address="8.8.8.8")[0] == 400
    assert (
        _floating(api, topology, subnet_id=topology.external_subnet)["floating_ip_address"] == "203.0.113.3"
    )


def test_a_name_and_its_domain_go_together(api: Client, topology: Topology) -> None:
    named = {"dns_name": "www", "dns_domain": "<project_id>.example.org."}
    floating = _floating(api, topology, **named)
    assert {name: floating[name] for name in named} == named
    for name, value in named.items():
        alone = {name: value}
        assert api.refused("floatingip", floating_network_id=topology.external, **alone)[0] == 400


def test_associated_at_once(api: Client, topology: Topology) -> None:
    port = _port(api, topology, name="vm")
    floating = _floating(api, topology, port_id=port["id"])
    assert floating["status"] == "ACTIVE"
    assert floating["router_id"] == topology.router
    assert floating["fixed_ip_address"] == port["fixed_ips"][0]["ip_address"]
    assert floating["port_details"]["name"] == "vm"


def test_associated_moved_and_let_go(api: Client, topology: Topology) -> None:
    one, two = _port(api, topology), _port(api, topology)
    floating = _floating(api, topology)
    assert _put(api, floating, port_id=one["id"]).body["floatingip"]["status"] == "ACTIVE"
    assert _put(api, floating, description="x").body["floatingip"]["port_id"] == one["id"]
    moved = _put(api, floating, port_id=two["id"]).body["floatingip"]
    assert moved["fixed_ip_address"] == two["fixed_ips"][0]["ip_address"]
    assert _put(api, floating).body["floatingip"]["port_id"] is None
    assert _put(api, floating, port_id=one["id"]).body["floatingip"]["port_id"] == one["id"]
    free = _put(api, floating, port_id=None).body["floatingip"]
    assert free["port_id"] is free["router_id"] is free["fixed_ip_address"] is None
    assert free["status"] == "DOWN"


@pytest.mark.parametrize("inside", [True, False])
def test_it_needs_an_external_network(api: Client, topology: Topology, inside: bool) -> None:
    network = topology.network if inside else "11111111-1111-1111-1111-111111111111"
    expected = (400, "BadRequest") if inside else (404, "NetworkNotFound")
    assert api.refused("floatingip", floating_network_id=network) == expected


def test_it_needs_a_router_on_the_way(api: Client, topology: Topology) -> None:
    alone = api.make("network")["id"]
    api.make("subnet", network_id=alone, ip_version=4, cidr="10.5.0.0/24")
    port = api.make("port", network_id=alone)["id"]
    network = {"floating_network_id": topology.external}
    assert api.refused("floatingip", **network, port_id=port) == (
        404,
        "ExternalGatewayForFloatingIPNotFound",
    )
    assert api.get("/floatingips").body == {"floatingips": []}
    assert api.get("/ports?device_owner=network:floatingip").body["ports"] == []


@pytest.fixture
def behind(api: Client, topology: Topology) -> dict[str, Any]:
    """A port behind a second router, which leads to the first one by a network between them."""
    inner = api.make("network")["id"]
    leaf = api.make("subnet", network_id=inner, ip_version=4, cidr="10.5.0.0/24")["id"]
    second = api.make("router", ha=False)["id"]
    between = api.make("port", network_id=topology.network, fixed_ips=[{"ip_address": "10.0.0.5"}])["id"]
    for interface in ({"subnet_id": leaf}, {"port_id": between}):
        assert api.put(f"/routers/{second}/add_router_interface", interface).status == 200
    return api.make("port", network_id=inner)


def test_a_router_that_is_named_leads_to_a_port_behind_another(
    api: Client, topology: Topology, behind: dict[str, Any]
) -> None:
    named = {"port_id": behind["id"], "router_id": topology.router}
    floating = _floating(api, topology, **named)
    assert floating["router_id"] == topology.router
    assert floating["fixed_ip_address"] == behind["fixed_ips"][0]["ip_address"]
    assert floating["status"] == "ACTIVE"
    assert _put(api, floating, description="d").body["floatingip"]["router_id"] == topology.router
    assert _put(api, floating, router_id=None).error == "ExternalGatewayForFloatingIPNotFound"
    near = _port(api, topology)["id"]
    assert _put(api, floating, port_id=near).body["floatingip"]["router_id"] == topology.router
    assert _put(api, floating, **named).body["floatingip"]["port_id"] == behind["id"]
    gone = api.put(f"/routers/{topology.router}", {"router": {"external_gateway_info": None}})
    assert (gone.status, gone.error) == (409, "RouterExternalGatewayInUseByFloatingIp")
    free = _put(api, floating, port_id=None).body["floatingip"]
    assert free["port_id"] is free["router_id"] is None


def test_a_router_that_is_named_moves_what_another_translated(api: Client, topology: Topology) -> None:
    port = _port(api, topology)["id"]
    floating = _floating(api, topology, port_id=port)
    gateway = {"network_id": topology.external}
    other = api.make("router", ha=False, external_gateway_info=gateway)["id"]
    moved = _put(api, floating, router_id=other).body["floatingip"]
    assert (moved["router_id"], moved["port_id"]) == (other, port)
    assert _put(api, floating, router_id=None).body["floatingip"]["router_id"] == topology.router


def test_what_a_router_that_is_named_must_be(api: Client, topology: Topology, behind: dict[str, Any]) -> None:
    def tried(**values: Any) -> tuple[int, str]:
        return api.refused("floatingip", floating_network_id=topology.external, **values)

    unknown, lone = "11111111-1111-4111-8111-111111111111", api.make("router", ha=False)["id"]
    assert tried(port_id=behind["id"], router_id=unknown) == (404, "RouterNotFound")
    assert tried(port_id=behind["id"], router_id=lone) == (409, "FloatingIPRouterHasNoGateway")
    assert tried(router_id=topology.router)[0] == 400
    assert tried(port_id=behind["id"], router_id="r")[0] == 400
    floating = _floating(api, topology)
    assert _put(api, floating, router_id=topology.router).status == 400
    assert _put(api, floating, router_id=None).body["floatingip"]["router_id"] is None
    assert api.get("/ports?device_owner=network:floatingip").body["ports"][1:] == []


def test_a_fixed_ip_has_one_floating_ip(api: Client, topology: Topology) -> None:
    port = _port(api, topology)["id"]
    _floating(api, topology, port_id=port)
    other = _floating(api, topology)
    refused = _put(api, other, port_id=port)
    assert (refused.status, refused.error) == (409, "FloatingIPPortAlreadyAssociated")


def test_a_port_with_several_addresses_needs_a_choice(api: Client, topology: Topology) -> None:
    fixed = [{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.51"}]
    port = _port(api, topology, fixed_ips=fixed)["id"]
    floating = _floating(api, topology)
    assert _put(api, floating, port_id=port).error == "BadRequest"
    assert _put(api, floating, port_id=port, fixed_ip_address="10.0.0.99").error == "BadRequest"
    assert _put(api, floating, fixed_ip_address="10.0.0.50").error == "BadRequest"
    chosen = _put(api, floating, port_id=port, fixed_ip_address="10.0.0.51")
    assert chosen.body["floatingip"]["fixed_ip_address"] == "10.0.0.51"
    bare = _port(api, topology, fixed_ips=[])["id"]
    assert _put(api, floating, port_id=bare).error == "BadRequest"


def test_what_it_needs_stays(api: Client, topology: Topology) -> None:
    port = _port(api, topology)
    _floating(api, topology, port_id=port["id"])
    removed = api.put(f"/routers/{topology.router}/remove_router_interface", {"subnet_id": topology.subnet})
    assert (removed.status, removed.error) == (409, "RouterInterfaceInUseByFloatingIP")
    cleared = api.put(f"/routers/{topology.router}", {"router": {"external_gateway_info": None}})
    assert (cleared.status, cleared.error) == (409, "RouterExternalGatewayInUseByFloatingIp")
    other = api.put(f"/ports/{port['id']}", {"port": {"fixed_ips": [{"ip_address": "10.0.0.200"}]}})
    assert (other.status, other.error) == (400, "BadRequest")


def test_a_port_that_goes_sets_it_free(api: Client, topology: Topology) -> None:
    port = _port(api, topology)
    floating = _floating(api, topology, port_id=port["id"])
    assert api.delete(f"/ports/{port['id']}").status == 204
    free = api.shown("floatingip", floating["id"])
    assert free["port_id"] is free["router_id"] is free["fixed_ip_address"] is None
    assert free["status"] == "DOWN"
