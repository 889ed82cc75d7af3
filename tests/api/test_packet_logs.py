"""Logs of packets."""

from typing import Any

from tests.api.conftest import Answer, Client, Topology

NOBODY = "11111111-1111-1111-1111-111111111111"


def _make(api: Client, **attributes: Any) -> Answer:
    return api.post("/log/logs", {"log": {"resource_type": "security_group", **attributes}})


def _refused(api: Client, **attributes: Any) -> tuple[int, str]:
    answer = _make(api, **attributes)
    return answer.status, answer.error


def test_what_can_be_logged(api: Client) -> None:
    found = api.get("/log/loggable-resources").body
    assert found == {"loggable_resources": [{"type": "security_group"}, {"type": "snat"}]}


def test_of_a_security_group(api: Client, topology: Topology) -> None:
    group = api.shown("port", topology.port)["security_groups"][0]
    made = _make(api, resource_id=group, target_id=topology.port, name="l", event="DROP").body["log"]
    assert (made["event"], made["enabled"], made["resource_id"]) == ("DROP", True, group)
    changed = api.put(f"/log/logs/{made['id']}", {"log": {"enabled": False, "name": "m"}}).body["log"]
    assert (changed["enabled"], changed["name"]) == (False, "m")
    assert api.put(f"/log/logs/{made['id']}", {"log": {"event": "ALL"}}).status == 400
    assert api.get("/log/logs?event=ACCEPT").body == {"logs": []}
    every = _make(api).body["log"]
    assert (every["resource_id"], every["target_id"], every["event"]) == (None, None, "ALL")
    assert api.delete(f"/log/logs/{every['id']}").status == 204
    assert api.get(f"/log/logs/{every['id']}").error == "LogResourceNotFound"
    assert api.delete(f"/ports/{topology.port}").status == 204
    assert api.get("/log/logs").body == {"logs": []}


def test_it_goes_with_what_it_is_of(api: Client, topology: Topology) -> None:
    group = api.post("/security-groups", {"security_group": {"name": "g"}}).body["security_group"]["id"]
    assert _make(api, resource_id=group).status == 201
    assert _make(api, resource_type="snat", resource_id=topology.router).status == 201
    assert api.delete(f"/security-groups/{group}").status == 204
    assert [one["resource_type"] for one in api.get("/log/logs").body["logs"]] == ["snat"]
    api.put(f"/routers/{topology.router}/remove_router_interface", {"subnet_id": topology.subnet})
    assert api.delete(f"/routers/{topology.router}").status == 204
    assert api.get("/log/logs").body == {"logs": []}


def test_what_cannot_be(api: Client, topology: Topology) -> None:
    group = api.post("/security-groups", {"security_group": {"name": "g"}}).body["security_group"]["id"]
    assert _refused(api, resource_type="weather") == (400, "InvalidLogResourceType")
    assert _refused(api, resource_id=NOBODY) == (404, "ResourceNotFound")
    assert _refused(api, target_id=NOBODY) == (404, "TargetResourceNotFound")
    assert _refused(api, target_id=topology.interface) == (409, "LoggingTypeNotSupported")
    assert _refused(api, resource_id=group, target_id=topology.port) == (400, "InvalidResourceConstraint")
    assert _refused(api, event="MAYBE")[0] == 400
    snat = {"resource_type": "snat"}
    assert _refused(api, **snat) == (400, "ResourceIdNotSpecified")
    assert _refused(api, **snat, resource_id=NOBODY) == (404, "ResourceNotFound")
    assert _refused(api, **snat, resource_id=topology.router, event="DROP") == (400, "EventsDisabled")
    plain = api.make("router")["id"]
    assert _refused(api, **snat, resource_id=plain) == (409, "RouterGatewayNotSet")
    gateway = {"network_id": topology.external, "enable_snat": False}
    api.put(f"/routers/{plain}", {"router": {"external_gateway_info": gateway}})
    assert _refused(api, **snat, resource_id=plain) == (409, "RouterNotEnabledSnat")
