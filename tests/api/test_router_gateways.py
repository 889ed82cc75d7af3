"""Several gateways of one router."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.resources.router_gateways import matched
from tests.api.conftest import Answer, Client, Topology

Json = dict[str, Any]


@pytest.fixture
def more(api: Client) -> str:
    """Another external network."""
    made: str = api.make("network", name="more", router__external=True)["id"]
    api.make("subnet", network_id=made, ip_version=4, cidr="198.18.0.0/24", enable_dhcp=False)
    return made


def _call(api: Client, router: str, what: str, gateways: Iterable[Json]) -> Answer:
    path = f"/routers/{router}/{what}_external_gateways"
    return api.put(path, {"router": {"external_gateways": list(gateways)}})


def _addresses(shown: Json) -> list[str]:
    return [fixed["ip_address"] for one in shown["external_gateways"] for fixed in one["external_fixed_ips"]]


def _on(network: str, *addresses: str) -> Json:
    fixed = {"external_fixed_ips": [{"ip_address": one} for one in addresses]} if addresses else {}
    return {"network_id": network, **fixed}


def test_gateways_come_and_go(api: Client, topology: Topology, more: str) -> None:
    one = api.shown("router", topology.router)
    info = one["external_gateway_info"]
    assert one["external_gateways"] == [
        {"network_id": topology.external, "external_fixed_ips": info["external_fixed_ips"]}
    ]
    added = _call(api, topology.router, "add", [_on(more), _on(topology.external, "203.0.113.77")])
    assert added.status == 200, added
    found = added.body["router"]
    assert found["external_gateways"][0]["network_id"] == topology.external
    assert found["external_gateway_info"] == info
    assert found["revision_number"] > one["revision_number"]
    assert len(found["external_gateways"]) == 3
    assert found in api.get("/routers").body["routers"]
    ports = f"/ports?device_id={topology.router}&device_owner=network:router_gateway"
    assert len(api.get(ports).body["ports"]) == 3
    # Of two on one network, an address says which.
    ambiguous = _call(api, topology.router, "remove", [_on(topology.external)])
    assert (ambiguous.status, ambiguous.error) == (400, "UnableToMatchGateways")
    kept = _call(api, topology.router, "remove", [_on(topology.external, "203.0.113.77")]).body["router"]
    assert len(kept["external_gateways"]) == 2
    # Without the first one, the next is the first.
    kept = _call(api, topology.router, "remove", [_on(topology.external)]).body["router"]
    assert [gateway["network_id"] for gateway in kept["external_gateways"]] == [more]
    assert kept["external_gateway_info"]["network_id"] == more
    assert api.delete(f"/networks/{topology.external}").status == 204


def test_an_update_says_all_of_them(api: Client, topology: Topology, more: str) -> None:
    own = _addresses(api.shown("router", topology.router))
    wanted = [_on(more), _on(topology.external)]
    swapped = _call(api, topology.router, "update", wanted).body["router"]
    assert [gateway["network_id"] for gateway in swapped["external_gateways"]] == [more, topology.external]
    assert _addresses(swapped)[1:] == own
    again = _call(api, topology.router, "update", wanted).body["router"]
    assert _addresses(again) == _addresses(swapped)
    moved = _call(api, topology.router, "update", [_on(more, "198.18.0.99")]).body["router"]
    assert _addresses(moved) == ["198.18.0.99"]
    snat = [{**_on(more), "enable_snat": False}]
    assert (
        _call(api, topology.router, "update", snat).body["router"]["external_gateway_info"]["enable_snat"]
        is False
    )
    none = _call(api, topology.router, "update", []).body["router"]
    assert (none["external_gateways"], none["external_gateway_info"]) == ([], None)


def test_a_gateway_that_floating_ips_need_stays(api: Client, topology: Topology, more: str) -> None:
    _call(api, topology.router, "add", [_on(more)])
    first = api.make("floatingip", floating_network_id=topology.external, port_id=topology.port)
    second = api.make("floatingip", floating_network_id=more, port_id=topology.port)
    assert first["router_id"] == second["router_id"] == topology.router
    for network in (topology.external, more):
        refused = _call(api, topology.router, "remove", [_on(network)])
        assert (refused.status, refused.error) == (409, "RouterExternalGatewayInUseByFloatingIp")
    assert _call(api, topology.router, "update", [_on(more)]).status == 409
    assert api.put(f"/routers/{topology.router}", {"router": {"external_gateway_info": None}}).status == 409
    assert len(api.shown("router", topology.router)["external_gateways"]) == 2
    assert api.delete(f"/floatingips/{second['id']}").status == 204
    assert _call(api, topology.router, "remove", [_on(more)]).status == 200


def test_the_old_way_changes_the_first_one(api: Client, topology: Topology, more: str) -> None:
    _call(api, topology.router, "add", [_on(more)])
    path = f"/routers/{topology.router}"
    cleared = api.put(path, {"router": {"external_gateway_info": None}}).body["router"]
    assert cleared["external_gateway_info"]["network_id"] == more
    back = api.put(path, {"router": {"external_gateway_info": _on(topology.external)}}).body["router"]
    assert [gateway["network_id"] for gateway in back["external_gateways"]] == [topology.external]
    _call(api, topology.router, "add", [_on(more)])
    api.put(f"{path}/remove_router_interface", {"subnet_id": topology.subnet})
    assert api.delete(path).status == 204
    assert api.get("/ports?device_owner=network:router_gateway").body["ports"] == []


def test_what_is_wrong_is_refused(api: Client, topology: Topology, more: str) -> None:
    path = f"/routers/{topology.router}/add_external_gateways"
    bodies: tuple[Json, ...] = (
        {},
        {"router": []},
        {"router": {"external_gateways": "all"}},
        {"router": {"external_gateways": [{}]}},
        {"router": {"external_gateways": [{"network_id": "x"}]}},
        {"router": {"external_gateways": [{**_on(more), "more": 1}]}},
        {"router": {"external_gateways": [_on(topology.network)]}},
    )
    for body in bodies:
        assert api.put(path, body).status == 400, body
    assert api.put(path, {"router": {}}).status == 200
    absent = _call(api, topology.router, "remove", [_on(more)])
    assert (absent.status, absent.error) == (400, "UnableToMatchGateways")
    overlapping = api.make("network", router__external=True)["id"]
    api.make("subnet", network_id=overlapping, ip_version=4, cidr="203.0.113.0/25", enable_dhcp=False)
    assert _call(api, topology.router, "add", [_on(more), _on(overlapping)]).status == 400
    assert len(api.shown("router", topology.router)["external_gateways"]) == 1
    made = {"external_gateways": [_on(more)]}
    assert api.refused("router", **made)[0] == 400
    assert api.put(f"/routers/{topology.router}", {"router": made}).status == 400


def test_how_default_routes_use_them_is_kept(api: Client) -> None:
    router = api.make("router", enable_default_route_ecmp=True)
    assert (router["enable_default_route_ecmp"], router["enable_default_route_bfd"]) == (True, False)
    changes = {"enable_default_route_ecmp": False, "enable_default_route_bfd": True}
    changed = api.put(f"/routers/{router['id']}", {"router": changes}).body["router"]
    assert {name: changed[name] for name in changes} == changes


_NETWORKS, _HOSTS = st.sampled_from("ab"), st.integers(1, 4)


@given(
    st.lists(st.tuples(_NETWORKS, st.sets(_HOSTS, min_size=1, max_size=2)), max_size=4),
    st.lists(st.tuples(_NETWORKS, st.sets(_HOSTS, max_size=2)), max_size=4),
)
def test_matches_are_on_their_networks_and_none_is_taken_twice(
    present: list[tuple[str, set[int]]], asked: list[tuple[str, set[int]]]
) -> None:
    gateways = [
        {"network_id": network, "fixed_ips": [{"ip_address": f"192.0.2.{host}"} for host in hosts]}
        for network, hosts in present
    ]
    infos = [_on(network, *(f"192.0.2.{host}" for host in hosts)) for network, hosts in asked]
    found = matched(gateways, infos)
    taken = [one for one in found if one]
    assert len({id(one) for one in taken}) == len(taken)
    for gateway, info, (_, hosts) in zip(found, infos, asked, strict=True):
        if gateway is None:
            continue
        assert gateway["network_id"] == info["network_id"]
        own = {fixed["ip_address"] for fixed in gateway["fixed_ips"]}
        assert not hosts or own & {f"192.0.2.{host}" for host in hosts}
