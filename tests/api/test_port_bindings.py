"""Several bindings of a port, one of them active."""

from typing import Any

import pytest

from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.api.conftest import Answer, Client, serve


@pytest.fixture
def port(api: Client) -> str:
    network = api.make("network")["id"]
    return str(api.make("port", network_id=network, device_owner="compute:nova", binding__host_id="a")["id"])


def _bind(api: Client, port: str, **said: Any) -> Answer:
    return api.post(f"/ports/{port}/bindings", {"binding": said})


def _hosts(api: Client, port: str) -> dict[str, str]:
    answer = api.get(f"/ports/{port}/bindings")
    assert answer.status == 200, answer
    return {one["host"]: one["status"] for one in answer.body["bindings"]}


def _said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error


def test_a_port_waits_on_a_second_host_and_moves_there_at_once(api: Client, port: str) -> None:
    assert _hosts(api, port) == {"a": "ACTIVE"}
    made = _bind(api, port, host="b", profile={"x": 1})
    assert made.status == 201
    assert made.body["binding"] == {
        "host": "b",
        "vnic_type": "normal",
        "profile": {"x": 1},
        "vif_type": "bridge",
        "vif_details": {"port_filter": True, "connectivity": "l2"},
        "status": "INACTIVE",
    }
    assert api.get(f"/ports/{port}/bindings/b").body == made.body
    assert api.shown("port", port)["binding:host_id"] == "a"
    moved = api.put(f"/ports/{port}/bindings/b/activate", None)
    assert (moved.status, moved.body["status"], moved.body["host"]) == (200, "ACTIVE", "b")
    shown = api.shown("port", port)
    assert (shown["binding:host_id"], shown["binding:profile"], shown["status"]) == ("b", {"x": 1}, "DOWN")
    assert _hosts(api, port) == {"b": "ACTIVE", "a": "INACTIVE"}
    assert api.delete(f"/ports/{port}/bindings/a").status == 204
    assert _hosts(api, port) == {"b": "ACTIVE"}


def test_bindings_are_changed_and_removed(api: Client, port: str) -> None:
    _bind(api, port, host="b")

    def put(where: str, **said: Any) -> Answer:
        return api.put(f"/ports/{port}/bindings/{where}", {"binding": said})

    direct = put("b", vnic_type="direct").body["binding"]
    assert (direct["vnic_type"], direct["vif_type"]) == ("direct", "binding_failed")
    assert put("a", vnic_type="direct").body["binding"]["vif_type"] == "binding_failed"
    assert put("a", vnic_type="normal").body["binding"]["vif_type"] == "bridge"
    assert put("a", profile={"y": 2}).body["binding"]["profile"] == {"y": 2}
    assert api.shown("port", port)["binding:profile"] == {"y": 2}
    assert put("b", profile=None).body["binding"]["profile"] == {}
    assert put("b", host="c").status == put("b", colour="red").status == 400
    assert api.delete(f"/ports/{port}/bindings/a").status == 204
    assert api.shown("port", port)["binding:vif_type"] == "unbound"
    assert _hosts(api, port) == {"b": "INACTIVE"}
    assert _bind(api, port, host="c").body["binding"]["status"] == "ACTIVE"
    assert api.put(f"/ports/{port}", {"port": {"binding:host_id": "b"}}).status == 200
    assert _hosts(api, port) == {"b": "ACTIVE"}
    assert api.delete(f"/ports/{port}").status == 204


def test_what_makes_no_sense_is_refused(api: Client, port: str) -> None:
    path = f"/ports/{port}/bindings"
    assert _said(_bind(api, port, host="a")) == (409, "PortBindingAlreadyExists")
    assert _said(_bind(api, port)) == (400, "HTTPBadRequest")
    assert _said(_bind(api, port, host="b", vnic_type="x")) == (400, "HTTPBadRequest")
    assert api.post(path, {}).status == 400
    assert _said(api.put(f"{path}/a/activate", None)) == (409, "PortBindingAlreadyActive")
    assert _said(api.put(f"{path}/b/activate", None)) == (404, "PortBindingNotFound")
    assert _said(api.get(f"{path}/b")) == (404, "PortBindingNotFound")
    other = api.make("port", network_id=api.shown("port", port)["network_id"])["id"]
    assert _said(api.get(f"/ports/{other}/bindings")) == (400, "BadRequest")
    assert _said(api.get("/ports/nothing/bindings")) == (404, "PortNotFound")


def test_nova_is_told_to_plug_a_device_alone_where_that_is_set(db: Database) -> None:
    for api in serve(db, ServerSettings(vif_type="tap")):
        network = api.make("network")["id"]
        made = api.make("port", network_id=network, device_owner="compute:nova", binding__host_id="a")
        assert made["binding:vif_type"] == "tap"
        assert _bind(api, made["id"], host="b").body["binding"]["vif_type"] == "tap"
