"""What is beside Neutron's API: every route is described, and answers are as described."""

import re
from typing import Any

import pytest

from deuteron.api import v1
from tests.api.conftest import Client, Topology

REF = "#/components/schemas/"


class Described:
    """The OpenAPI document of a server."""

    def __init__(self, api: Client) -> None:
        answer = api.get("//v1/openapi.json")
        assert answer.status == 200
        self.document: dict[str, Any] = answer.body

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        """Fail unless an answer is as described."""
        responses = self.document["paths"][path][method.lower()]["responses"]
        described = responses.get(str(status), responses["default"])
        if body is None:
            assert "content" not in described
        else:
            self.valid(body, described["content"]["application/json"]["schema"], path)

    def valid(self, value: Any, schema: dict[str, Any], where: str) -> None:
        """Fail unless a value is what a schema says."""
        known = {"$ref", "anyOf", "type", "properties", "required", "items", "additionalProperties", "enum"}
        known |= {"title", "description", "default"}
        assert schema.keys() <= known, f"{where}: a keyword that is not checked here: {schema.keys() - known}"
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(REF)
            self.valid(value, self.document["components"]["schemas"][name], where)
        elif "anyOf" in schema:
            assert any(self.fits(value, one) for one in schema["anyOf"]), f"{where}: {value!r}"
        elif "enum" in schema:
            assert value in schema["enum"], f"{where}: {value!r}"
        elif "type" in schema:
            self.typed(value, schema, where)

    def typed(self, value: Any, schema: dict[str, Any], where: str) -> None:
        kinds: dict[str, Any] = {
            "object": dict,
            "array": list,
            "string": str,
            "boolean": bool,
            "null": type(None),
        }
        if schema["type"] in ("integer", "number"):
            assert isinstance(value, int if schema["type"] == "integer" else int | float), (
                f"{where}: {value!r}"
            )
            assert not isinstance(value, bool), f"{where}: {value!r}"
            return
        assert isinstance(value, kinds[schema["type"]]), f"{where}: {value!r} is no {schema['type']}"
        if schema["type"] == "array":
            for number, item in enumerate(value):
                self.valid(item, schema.get("items", {}), f"{where}[{number}]")
        if schema["type"] == "object":
            properties, more = schema.get("properties", {}), schema.get("additionalProperties")
            assert set(schema.get("required", ())) <= value.keys(), where
            for key, item in value.items():
                assert key in properties or more is not None, f"{where}.{key} is not described"
                self.valid(
                    item, properties.get(key, more if isinstance(more, dict) else {}), f"{where}.{key}"
                )

    def fits(self, value: Any, schema: dict[str, Any]) -> bool:
        try:
            self.valid(value, schema, "")
        except AssertionError:
            return False
        return True


@pytest.fixture
def described(api: Client) -> Described:
    return Described(api)


def test_every_route_is_in_the_document_and_nothing_else(described: Described) -> None:
    routed = {(one.method.lower(), one.path) for one in v1.OPERATIONS}
    found = {(method, path) for path, methods in described.document["paths"].items() for method in methods}
    assert found == routed
    ids = [one["operationId"] for methods in described.document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_of_the_document_leads_somewhere(described: Described) -> None:
    schemas = described.document["components"]["schemas"]
    for name in re.findall(rf"'{REF}([^']+)'", str(described.document)):
        assert name in schemas


def test_every_operation_says_what_it_does_and_returns(described: Described) -> None:
    for path, methods in described.document["paths"].items():
        for method, one in methods.items():
            assert one["summary"], (method, path)
            named = {
                parameter["name"] for parameter in one.get("parameters", ()) if parameter["in"] == "path"
            }
            assert named == set(re.findall(r"{(\w+)}", path))


def test_what_a_cloud_without_hosts_answers_is_as_described(
    api: Client, described: Described, topology: Topology
) -> None:
    floating = api.make("floatingip", floating_network_id=topology.external)["id"]
    ids = {"router_id": topology.router, "floatingip_id": floating, "device_id": "vm-1", "host": "net1"}
    api.put("//v1/instances/vm-1", {"name": "vm"})
    queries = {"/v1/ok-to-stop": "?host=net1", "/v1/events": "?limit=5"}
    for one in v1.OPERATIONS:
        if one.method == "GET":
            answer = api.get("/" + one.path.format(**ids) + queries.get(one.path, ""))
            described.check("get", one.path, answer.status, answer.body)


def test_a_network_without_a_dhcp_server_is_wrong(api: Client, topology: Topology) -> None:
    status = api.get("//v1/status").body
    assert status["level"] == "BROKEN"
    assert "network inside: no host serves it" in status["problems"]
    assert "router r: no host carries it" in status["problems"]


def test_what_is_refused_is_told_as_neutron_does(api: Client, described: Described) -> None:
    path = "/v1/routers/{router_id}/history"
    answer = api.get("/" + path.format(router_id="nothing"))
    assert (answer.status, answer.error) == (404, "RouterNotFound")
    described.check("get", path, answer.status, answer.body)
