"""HTTP itself: discovery, wrong bodies, methods, revisions, request ids."""

import json
from typing import Any

import pytest

from deuteron.settings import ServerSettings
from tests.api.conftest import Client

WRONG_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"network"',
    b"{}",
    b'{"network": null}',
    b'{"network": []}',
    b'{"network": "x"}',
    b'{"subnet": {}}',
    b'{"networks": {}}',
    b'{"networks": [1]}',
    b'{"networks": [null]}',
    b'{"network": {"name": 1}}',
    b'{"network": {"name": null}}',
    b'{"network": {"name": "\\u0000"}}',
    b'{"network": {"name": "a\\nb"}}',
    b'{"network": {"name": "\\ud800"}}',
    b'{"network": {"name": "\\ud800 and more of it"}}',
    b'{"network": {"name": "\xff"}}',
    b'{"network": {"description": "\\u0000"}}',
    b'{"network": {"name": "' + b"x" * 256 + b'"}}',
    b'{"network": {"mtu": 1e999}}',
    b'{"network": {"mtu": 99999999999999999999999999}}',
    b'{"network": {"mtu": ' + b"9" * 5000 + b"}}",
    b'{"network": {"mtu": 1.5}}',
    b'{"network": {"mtu": -1}}',
    b'{"network": {"admin_state_up": "perhaps"}}',
    b'{"network": {"admin_state_up": 2}}',
    b'{"network": {"colour": "red"}}',
    b'{"network": {"id": "11111111-1111-1111-1111-111111111111"}}',
    b'{"network": {"status": "ACTIVE"}}',
    b'{"network": {"project_id": "a", "tenant_id": "b"}}',
    b'{"network": {"dns_domain": "x\\nserver=/bad/1.2.3.4."}}',
    b'{"network": {"dns_domain": "-x."}}',
    b'{"network": {"dns_domain": "no.dot"}}',
    b'{"network": {"availability_zone_hints": "nova"}}',
    b'{"network": {"availability_zone_hints": [1]}}',
    b"[" * 100_000,
    b'{"network":' * 100_000,
]


def test_wrong_bodies_change_nothing(api: Client) -> None:
    for body in WRONG_BODIES:
        answer = api.request("POST", "/networks", body)
        assert answer.status == 400, (body[:100], answer)
        assert answer.error
    assert api.get("/networks").body == {"networks": []}


def test_discovery(api: Client) -> None:
    versions = api.get("//").body["versions"]
    assert [(one["id"], one["status"]) for one in versions] == [("v2.0", "CURRENT")]
    assert versions[0]["links"][0]["href"] == f"http://127.0.0.1:{api.port}/v2.0/"
    names = [one["name"] for one in api.get("/").body["resources"]]
    assert {"network", "subnet", "port", "router", "floatingip"} <= set(names)
    aliases = [one["alias"] for one in api.get("/extensions").body["extensions"]]
    assert {"router", "external-net", "provider", "binding", "l3-ha", "sorting", "pagination"} <= set(aliases)
    assert api.get("/extensions/l3-ha").body["extension"]["alias"] == "l3-ha"
    gone = api.get("/extensions/telepathy")
    assert (gone.status, gone.error) == (404, "ExtensionsNotFound")


def test_neutrons_words_for_an_unknown_attribute(api: Client) -> None:
    answer = api.post("/networks", {"network": {"colour": "red"}})
    assert answer.body == {
        "NeutronError": {
            "type": "HTTPBadRequest",
            "message": "Unrecognized attribute(s) 'colour'",
            "detail": "",
        }
    }


def test_a_required_attribute(api: Client) -> None:
    answer = api.post("/ports", {"port": {}})
    assert answer.status == 400
    assert answer.message == "Failed to parse request. Required attribute 'network_id' not specified"


@pytest.mark.parametrize("settings", [ServerSettings(max_request_body_size=1000)])
def test_a_body_has_a_largest_size(api: Client, settings: ServerSettings) -> None:
    answer = api.post("/networks", {"network": {"name": "x" * 1000}})
    assert (answer.status, answer.error) == (413, "HTTPRequestEntityTooLarge")


def test_another_content_type(api: Client) -> None:
    answer = api.request("POST", "/networks", b"name: x", {"Content-Type": "application/yaml"})
    assert (answer.status, answer.error) == (415, "HTTPUnsupportedMediaType")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PATCH", "/networks", 405),
        ("DELETE", "/networks", 405),
        ("PUT", "/networks", 405),
        ("POST", "/networks/11111111-1111-1111-1111-111111111111", 405),
        ("GET", "/nonsense", 404),
        ("GET", "//v3/networks", 404),
        ("GET", "/networks/%00", 404),
        ("GET", "/networks/%FF", 404),
        ("DELETE", "/networks/none", 404),
        ("GET", "/routers/none/add_router_interface", 405),
        ("GET", "/networks/none/nothing", 404),
    ],
)
def test_methods_and_paths(api: Client, method: str, path: str, status: int) -> None:
    answer = api.request(method, path)
    assert answer.status == status
    assert answer.error


def test_what_is_not_there(api: Client) -> None:
    errors = {
        "network": "NetworkNotFound",
        "subnet": "SubnetNotFound",
        "port": "PortNotFound",
        "router": "RouterNotFound",
        "floatingip": "FloatingIPNotFound",
    }
    for kind, error in errors.items():
        for method in ("GET", "PUT", "DELETE"):
            body: Any = {kind: {}} if method == "PUT" else None
            answer = api.request(method, f"/{kind}s/11111111-1111-1111-1111-111111111111", body)
            assert (answer.status, answer.error) == (404, error), (method, kind)


def test_revisions(api: Client) -> None:
    network = api.make("network")
    path = f"/networks/{network['id']}"
    match = {"If-Match": f"revision_number={network['revision_number']}"}
    changed = api.put(path, {"network": {"name": "x"}}, **match)
    assert changed.body["network"]["revision_number"] == network["revision_number"] + 1
    stale = api.put(path, {"network": {"name": "y"}}, **match)
    assert (stale.status, stale.error) == (412, "RevisionNumberConstraintFailed")
    assert api.delete(path, **match).status == 412
    assert api.put(path, {"network": {}}, **{"If-Match": "revision_number=x"}).status == 400
    assert (
        api.put(path, {"network": {}}, **{"If-Match": 'revision_number=1,"revision_number=2"'}).status == 400
    )
    assert api.delete(path, **{"If-Match": '"revision_number=2"'}).status == 204


def test_read_only_attributes(api: Client) -> None:
    network = api.make("network")["id"]
    answer = api.put(f"/networks/{network}", {"network": {"status": "DOWN"}})
    assert answer.status == 400
    assert answer.message == "Cannot update read-only attribute status"


def test_each_answer_has_a_request_id_of_its_own(api: Client) -> None:
    ids = [api.get("/networks").headers["X-Openstack-Request-Id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert all(one.startswith("req-") for one in ids)


def test_the_project_is_named_by_the_header_or_the_body(api: Client) -> None:
    body = json.dumps({"network": {}}).encode()
    named = api.request("POST", "/networks", body, {"X-Project-Id": "mine"})
    assert named.body["network"]["project_id"] == "mine"
    assert api.make("network", tenant_id="yours")["project_id"] == "yours"
    assert api.make("network")["project_id"] == ServerSettings().default_project_id


def test_one_bulk_item_may_be_wrapped_by_its_name(api: Client) -> None:
    made = api.post("/networks", {"networks": [{"name": "a"}, {"network": {"name": "b"}}]})
    assert [one["name"] for one in made.body["networks"]] == ["a", "b"]
