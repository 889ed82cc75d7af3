"""Routers: gateways, interfaces, routes."""

from typing import Any

import pytest

from deuteron.settings import ServerSettings
from tests.api.conftest import Answer, Client, Topology


def _add(api: Client, router: str, **what: Any) -> Answer:
    return api.put(f"/routers/{router}/add_router_interface", what)


def _remove(api: Client, router: str, **what: Any) -> Answer:
    return api.put(f"/routers/{router}/remove_router_interface", what)


def _network(api: Client, *cidrs: str, **more: Any) -> tuple[str, list[str]]:
    network = api.make("network", **more)["id"]
    subnets = []
    for cidr in cidrs:
        version = 6 if ":" in cidr else 4
        subnets.append(api.make("subnet", network_id=network, ip_version=version, cidr=cidr)["id"])
    return network, subnets


def test_a_router_has_neutrons_defaults(api: Client) -> None:
    router = api.make("router", name="r")
    assert router["admin_state_up"] is True
    assert router["status"] == "ACTIVE"
    assert router["ha"] is router["distributed"] is False
    assert router["external_gateway_info"] is None
    assert router["routes"] == []
    assert "number" not in router
    assert "gw_port_id" not in router


@pytest.mark.parametrize("settings", [ServerSettings(l3_ha=True, enable_snat_by_default=False)])
def test_defaults_are_settings(api: Client, topology: Topology, settings: ServerSettings) -> None:
    assert api.make("router")["ha"] is True
    router = api.shown("router", topology.router)
    assert router["ha"] is False
    assert router["external_gateway_info"]["enable_snat"] is False
    assert api.make("router", ha=None, distributed=None)["ha"] is True


def test_null_says_nothing_of_what_a_router_is(api: Client, topology: Topology) -> None:
    said = {"ha": None, "distributed": None, "name": "new"}
    changed = api.put(f"/routers/{topology.router}", {"router": said}).body["router"]
    assert (changed["ha"], changed["distributed"], changed["name"]) == (False, False, "new")


def test_without_hosts_for_it_no_router_is_distributed(api: Client) -> None:
    assert api.refused("router", distributed=True) == (409, "NoHostForDistributedRouters")
    router = api.make("router", distributed=False)["id"]
    answer = api.put(f"/routers/{router}", {"router": {"distributed": True}})
    assert (answer.status, answer.body["NeutronError"]["type"]) == (409, "RouterCannotBeConverted")
    assert api.shown("router", router)["distributed"] is False


def test_a_router_that_is_up_becomes_redundant_and_plain_again(api: Client, topology: Topology) -> None:
    for ha, owner in (
        (True, "network:ha_router_replicated_interface"),
        (True, "network:ha_router_replicated_interface"),
        (False, "network:router_interface"),
    ):
        changed = api.put(f"/routers/{topology.router}", {"router": {"ha": ha}})
        assert changed.status == 200, changed
        assert (changed.body["router"]["ha"], changed.body["router"]["status"]) == (ha, "ACTIVE")
        assert api.shown("port", topology.interface)["device_owner"] == owner
    listed = api.get(f"/ports?device_id={topology.router}&device_owner=network:router_gateway").body["ports"]
    assert len(listed) == 1


def test_only_a_strict_server_says_that_it_is_strict(api: Client) -> None:
    listed = [one["alias"] for one in api.get("/extensions").body["extensions"]]
    assert "dvr" in listed
    assert "router-admin-state-down-before-update" not in listed
    assert api.get("/extensions/router-admin-state-down-before-update").status == 404


@pytest.mark.parametrize("settings", [ServerSettings(strict_router_mode_change=True)])
def test_a_strict_server_changes_routers_that_are_down(
    api: Client, topology: Topology, settings: ServerSettings
) -> None:
    path = f"/routers/{topology.router}"
    assert api.get("/extensions/router-admin-state-down-before-update").status == 200
    refused = api.put(path, {"router": {"ha": True}})
    assert (refused.status, refused.error) == (400, "BadRequest")
    assert "Please set router admin_state_up to False" in refused.body["NeutronError"]["message"]
    assert api.put(path, {"router": {"ha": False}}).status == 200
    assert api.put(path, {"router": {"ha": True, "admin_state_up": False}}).status == 200
    assert api.put(path, {"router": {"admin_state_up": True}}).status == 200
    assert api.put(path, {"router": {"ha": False, "admin_state_up": True}}).status == 400


def test_a_gateway_is_given_changed_and_taken(api: Client, topology: Topology) -> None:
    info = api.shown("router", topology.router)["external_gateway_info"]
    fixed = [{"subnet_id": topology.external_subnet, "ip_address": "203.0.113.2"}]
    assert info == {"network_id": topology.external, "enable_snat": True, "external_fixed_ips": fixed}
    ports = api.get(f"/ports?device_id={topology.router}&device_owner=network:router_gateway").body["ports"]
    assert [port["project_id"] for port in ports] == [""]
    path = f"/routers/{topology.router}"
    wanted = {
        "network_id": topology.external,
        "enable_snat": False,
        "external_fixed_ips": [{"ip_address": "203.0.113.99"}],
    }
    changed = api.put(path, {"router": {"external_gateway_info": wanted}})
    assert changed.status == 200, changed
    info = changed.body["router"]["external_gateway_info"]
    assert info["enable_snat"] is False
    assert [one["ip_address"] for one in info["external_fixed_ips"]] == ["203.0.113.99"]
    same = api.get(f"/ports?device_id={topology.router}&device_owner=network:router_gateway").body["ports"]
    assert [port["id"] for port in same] == [port["id"] for port in ports]
    gone = api.put(path, {"router": {"external_gateway_info": None}}).body["router"]
    assert gone["external_gateway_info"] is None
    assert api.get(f"/ports/{ports[0]['id']}").status == 404


def test_a_gateway_goes_to_another_network(api: Client, topology: Topology) -> None:
    other, (subnet,) = _network(
        api,
        "198.51.100.0/24",
        router__external=True,
        provider__network_type="flat",
        provider__physical_network="other",
    )
    answer = api.put(
        f"/routers/{topology.router}", {"router": {"external_gateway_info": {"network_id": other}}}
    )
    assert answer.body["router"]["external_gateway_info"]["external_fixed_ips"] == [
        {"subnet_id": subnet, "ip_address": "198.51.100.2"}
    ]
    assert api.get(f"/ports?network_id={topology.external}").body["ports"] == []


@pytest.mark.parametrize(
    ("info", "status", "error"),
    [
        ({"network_id": "INSIDE"}, 400, "BadRequest"),
        ({"network_id": "11111111-1111-1111-1111-111111111111"}, 404, "NetworkNotFound"),
        ({"network_id": "x"}, 400, "HTTPBadRequest"),
        ({"enable_snat": True}, 400, "HTTPBadRequest"),
        ({"network_id": "EXTERNAL", "enable_snat": "perhaps"}, 400, "HTTPBadRequest"),
        (
            {"network_id": "EXTERNAL", "external_fixed_ips": [{"ip_address": "203.0.113.1"}]},
            400,
            "BadRequest",
        ),
        (
            {"network_id": "EXTERNAL", "external_fixed_ips": [{"ip_address": "8.8.8.8"}]},
            400,
            "InvalidIpForNetwork",
        ),
        ("yes", 400, "HTTPBadRequest"),
    ],
)
def test_wrong_gateways_are_refused(
    api: Client, topology: Topology, info: Any, status: int, error: str
) -> None:
    names = {"INSIDE": topology.network, "EXTERNAL": topology.external}
    if isinstance(info, dict) and "network_id" in info:
        info = {**info, "network_id": names.get(info["network_id"], info["network_id"])}
    assert api.refused("router", external_gateway_info=info) == (status, error)
    assert len(api.get("/routers").body["routers"]) == 1


def test_an_interface_by_subnet(api: Client, topology: Topology) -> None:
    port = api.shown("port", topology.interface)
    assert port["device_owner"] == "network:router_interface"
    assert port["device_id"] == topology.router
    assert port["fixed_ips"] == [{"subnet_id": topology.subnet, "ip_address": "10.0.0.1"}]
    removed = _remove(api, topology.router, subnet_id=topology.subnet)
    assert removed.status == 200
    assert removed.body == {
        "id": topology.router,
        "tenant_id": port["project_id"],
        "project_id": port["project_id"],
        "port_id": port["id"],
        "network_id": topology.network,
        "subnet_id": topology.subnet,
        "subnet_ids": [topology.subnet],
    }
    assert api.get(f"/ports/{port['id']}").status == 404
    again = _remove(api, topology.router, subnet_id=topology.subnet)
    assert (again.status, again.error) == (404, "RouterInterfaceNotFoundForSubnet")


def test_the_interface_of_a_redundant_router_says_so(api: Client) -> None:
    topology = Topology(api, ha=True)
    assert api.shown("port", topology.interface)["device_owner"] == "network:ha_router_replicated_interface"


def test_an_interface_by_port(api: Client) -> None:
    network, (subnet,) = _network(api, "10.0.0.0/24")
    router = api.make("router")["id"]
    port = api.make("port", network_id=network)["id"]
    added = _add(api, router, port_id=port)
    assert added.status == 200, added
    assert (added.body["port_id"], added.body["subnet_ids"]) == (port, [subnet])
    assert api.shown("port", port)["device_owner"] == "network:router_interface"
    again = _add(api, router, port_id=port)
    assert (again.status, again.error) == (409, "PortInUse")
    assert _remove(api, router, port_id=port).status == 200
    assert api.get(f"/ports/{port}").status == 404
    gone = _remove(api, router, port_id=port)
    assert (gone.status, gone.error) == (404, "RouterInterfaceNotFound")


def test_ipv6_prefixes_of_a_network_share_a_port(api: Client) -> None:
    _, (one, two) = _network(api, "2001:db8:1::/64", "2001:db8:2::/64")
    router = api.make("router")["id"]
    first, second = _add(api, router, subnet_id=one).body, _add(api, router, subnet_id=two).body
    assert first["port_id"] == second["port_id"]
    assert second["subnet_id"] == two
    fixed = api.shown("port", first["port_id"])["fixed_ips"]
    assert [one_["ip_address"] for one_ in fixed] == ["2001:db8:1::1", "2001:db8:2::1"]
    assert _remove(api, router, subnet_id=one).status == 200
    fixed = api.shown("port", first["port_id"])["fixed_ips"]
    assert [one_["ip_address"] for one_ in fixed] == ["2001:db8:2::1"]


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({}, 400),
        ({"subnet_id": "x"}, 400),
        ({"subnet_id": None}, 400),
        ({"port_id": ["x"]}, 400),
        ({"subnet_id": "11111111-1111-1111-1111-111111111111"}, 404),
        ({"port_id": "11111111-1111-1111-1111-111111111111"}, 404),
        (
            {
                "port_id": "11111111-1111-1111-1111-111111111111",
                "subnet_id": "11111111-1111-1111-1111-111111111111",
            },
            400,
        ),
        ({"subnet_id": "11111111-1111-1111-1111-111111111111", "x": 1}, 400),
    ],
)
def test_wrong_interfaces_are_refused(api: Client, what: dict[str, Any], status: int) -> None:
    router = api.make("router")["id"]
    assert _add(api, router, **what).status == status
    assert _add(api, "11111111-1111-1111-1111-111111111111", **what).status >= 400


def test_ranges_on_a_router_do_not_overlap(api: Client, topology: Topology) -> None:
    _, (overlapping, apart) = _network(api, "10.0.0.128/25", "10.0.1.0/24")
    refused = _add(api, topology.router, subnet_id=overlapping)
    assert (refused.status, refused.error) == (400, "BadRequest")
    assert _add(api, topology.router, subnet_id=topology.subnet).status == 400
    assert _add(api, topology.router, subnet_id=apart).status == 200
    _, (external,) = _network(api, "203.0.113.0/25")
    assert _add(api, topology.router, subnet_id=external).status == 400
    router = api.make("router")["id"]
    assert _add(api, router, subnet_id=external).status == 200
    info = {"external_gateway_info": {"network_id": topology.external}}
    assert api.put(f"/routers/{router}", {"router": info}).status == 400


def test_a_subnet_without_gateway_is_not_attached(api: Client) -> None:
    network = api.make("network")["id"]
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24", gateway_ip=None)["id"]
    router = api.make("router")["id"]
    assert _add(api, router, subnet_id=subnet).error == "BadRequest"


def test_a_router_in_use_stays(api: Client, topology: Topology) -> None:
    refused = api.delete(f"/routers/{topology.router}")
    assert (refused.status, refused.error) == (409, "RouterInUse")
    assert api.shown("router", topology.router)["external_gateway_info"] is not None
    assert _remove(api, topology.router, port_id=topology.interface).status == 200
    assert api.delete(f"/routers/{topology.router}").status == 204
    assert [port["id"] for port in api.get("/ports").body["ports"]] == [topology.port]


def test_routes_have_neighbours_as_next_hops(api: Client, topology: Topology) -> None:
    def put(*routes: tuple[str, str]) -> Answer:
        wanted = [{"destination": destination, "nexthop": hop} for destination, hop in routes]
        return api.put(f"/routers/{topology.router}", {"router": {"routes": wanted}})

    assert put(("192.168.0.0/16", "10.0.0.9")).status == 200
    assert put(("192.168.0.0/16", "10.9.9.9")).error == "InvalidRoutes"
    assert put(("192.168.0.0/16", "10.0.0.1")).error == "InvalidRoutes"
    assert put(("2001:db8::/64", "10.0.0.9")).error == "InvalidRoutes"
    assert put(("192.168.0.1/16", "10.0.0.9")).error == "HTTPBadRequest"
    many = [(f"192.168.{n}.0/24", "10.0.0.9") for n in range(31)]
    assert put(*many).error == "RoutesExhausted"
    assert len(api.shown("router", topology.router)["routes"]) == 1
    refused = _remove(api, topology.router, subnet_id=topology.subnet)
    assert (refused.status, refused.error) == (409, "RouterInterfaceInUseByRoute")
    assert put().status == 200
    assert _remove(api, topology.router, subnet_id=topology.subnet).status == 200
