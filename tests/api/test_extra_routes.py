"""Routes of a router, added and taken away one by one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.api.conftest import Answer, Client, Topology

A, B = ({"destination": f"10.{number}.0.0/16", "nexthop": "10.0.0.9"} for number in (7, 8))


def _act(api: Client, topology: Topology, name: str, *routes: Any) -> Answer:
    return api.put(f"/routers/{topology.router}/{name}_extraroutes", {"router": {"routes": list(routes)}})


def test_routes_come_and_go(api: Client, topology: Topology) -> None:
    other_hop = {**A, "nexthop": "10.0.0.10"}
    added = _act(api, topology, "add", A, A)
    assert (added.status, added.body["router"]["routes"]) == (200, [A])
    assert added.body["router"]["id"] == topology.router
    assert _act(api, topology, "add", B, A, other_hop).body["router"]["routes"] == [A, B, other_hop]
    revision = api.shown("router", topology.router)["revision_number"]
    assert _act(api, topology, "add", A).status == 200
    assert api.shown("router", topology.router)["revision_number"] == revision
    absent = {"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}
    assert _act(api, topology, "remove", A, absent).body["router"]["routes"] == [B, other_hop]


def test_routes_that_make_no_sense_are_refused(api: Client, topology: Topology) -> None:
    far = {"destination": "10.7.0.0/16", "nexthop": "192.0.2.1"}
    refused = _act(api, topology, "add", A, far)
    assert (refused.status, refused.error) == (400, "InvalidRoutes")
    many = [{"destination": f"10.{number}.0.0/16", "nexthop": "10.0.0.9"} for number in range(100, 131)]
    assert _act(api, topology, "add", *many).error == "RoutesExhausted"
    assert _act(api, topology, "add", {"destination": "x"}).status == 400
    assert api.put(f"/routers/{topology.router}/add_extraroutes", {"routes": [A]}).status == 400
    assert api.shown("router", topology.router)["routes"] == []


def test_of_those_who_add_at_once_none_is_lost(api: Client, topology: Topology) -> None:
    routes = [{"destination": f"10.{number}.0.0/16", "nexthop": "10.0.0.9"} for number in range(100, 112)]

    def add(route: dict[str, str]) -> int:
        client = Client(api.port)
        try:
            return _act(client, topology, "add", route).status
        finally:
            client.close()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(add, routes)) == {200}
    found = api.shown("router", topology.router)["routes"]
    assert sorted(one["destination"] for one in found) == sorted(one["destination"] for one in routes)
