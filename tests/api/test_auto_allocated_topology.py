"""A project's network that is made on demand, and the default external network."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Answer, Client

PATH = "/auto-allocated-topology"


def _external(api: Client, **attributes: Any) -> str:
    values = {"provider__network_type": "flat", "provider__physical_network": "external", **attributes}
    network = api.make("network", router__external=True, is_default=True, **values)["id"]
    api.make("subnet", network_id=network, ip_version=4, cidr="203.0.113.0/24", enable_dhcp=False)
    return str(network)


@pytest.fixture
def pools(api: Client) -> list[str]:
    return [
        api.make("subnetpool", name="p", is_default=True, prefixes=[prefix], default_prefixlen=length)["id"]
        for prefix, length in (("10.0.0.0/16", 24), ("2001:db8::/48", 64))
    ]


def _said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error


def test_a_topology_is_made_once_and_deleted(api: Client, pools: list[str]) -> None:
    external = _external(api)
    dry = api.get(f"{PATH}/p?fields=dry-run").body["auto_allocated_topology"]
    assert dry == {"id": "dry-run=pass", "project_id": "p", "tenant_id": "p"}
    made = api.get(f"{PATH}/p").body["auto_allocated_topology"]
    assert api.get(f"{PATH}/p").body["auto_allocated_topology"] == made
    network = api.shown("network", made["id"])
    assert (network["name"], network["project_id"]) == ("auto_allocated_network", "p")
    subnets = [api.shown("subnet", one) for one in network["subnets"]]
    assert [one["subnetpool_id"] for one in subnets] == pools
    (router,) = api.get("/routers?project_id=p").body["routers"]
    assert router["external_gateway_info"]["network_id"] == external
    held = api.get(f"/ports?device_id={router['id']}&network_id={made['id']}").body["ports"]
    assert {fixed["subnet_id"] for one in held for fixed in one["fixed_ips"]} == set(network["subnets"])
    other = api.get(f"{PATH}/q").body["auto_allocated_topology"]
    assert other["id"] != made["id"]
    port = api.make("port", network_id=made["id"])["id"]
    assert _said(api.delete(f"{PATH}/p"))[0] == 409
    assert api.get(f"/routers/{router['id']}").status == 200, "what is refused changes nothing"
    assert api.delete(f"/ports/{port}").status == 204
    assert api.delete(f"{PATH}/p").status == 204
    assert api.get(f"/networks/{made['id']}").status == api.get(f"/routers/{router['id']}").status == 404
    assert api.get(f"{PATH}/p").body["auto_allocated_topology"]["id"] != made["id"]


def test_none_is_the_callers_own_project(api: Client, pools: list[str]) -> None:
    _external(api)
    assert api.delete(f"{PATH}/None").status == 204
    made = api.get(f"{PATH}/None").body["auto_allocated_topology"]
    assert api.get(f"/networks/{made['id']}").status == 200
    assert api.delete(f"{PATH}/None").status == 204
    assert api.get(f"/networks/{made['id']}").status == 404


def test_what_is_missing_is_said(api: Client) -> None:
    assert _said(api.get(f"{PATH}/p")) == (409, "AutoAllocationFailure")
    _external(api)
    for query in ("", "?fields=dry-run"):
        refused = api.get(f"{PATH}/p{query}")
        assert _said(refused) == (409, "AutoAllocationFailure")
        assert "subnetpools" in refused.message
    assert _said(api.get(f"{PATH}/p?fields=name")) == (400, "BadRequest")
    api.make("subnetpool", name="small", is_default=True, prefixes=["10.0.0.0/30"], default_prefixlen=30)
    assert api.get(f"{PATH}/p").status == 200
    assert _said(api.get(f"{PATH}/q")) == (409, "AutoAllocationFailure")
    assert api.get("/networks?project_id=q").body == {"networks": []}


def test_one_external_network_is_the_default_one(api: Client) -> None:
    first = _external(api)
    refused = api.refused("network", router__external=True, is_default=True)
    assert refused == (409, "DefaultExternalNetworkExists")
    second = api.make("network", router__external=True)["id"]

    def put(network: str, **changes: Any) -> tuple[int, str]:
        return _said(api.put(f"/networks/{network}", {"network": changes}))

    assert put(second, is_default=True) == (409, "DefaultExternalNetworkExists")
    assert put(first, is_default=True) == (200, "")
    assert put(first, is_default=False) == (200, "")
    assert put(second, is_default=True) == (200, "")
    assert put(second, **{"router:external": False}) == (200, "")
    assert put(first, is_default=True) == (200, "")
    api.make("network", is_default=True)


def test_who_asks_at_once_gets_the_same(api: Client, pools: list[str]) -> None:
    _external(api)

    def ask(_: int) -> str:
        client = Client(api.port)
        try:
            return str(client.get(f"{PATH}/p").body["auto_allocated_topology"]["id"])
        finally:
            client.close()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(ask, range(4)))) == 1
    assert len(api.get("/networks?project_id=p").body["networks"]) == 1
