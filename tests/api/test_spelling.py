"""Paths as clients spell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Route

from deuteron.api.app import app
from deuteron.api.spelling import Spelling
from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.api.conftest import Client

PATHS = (
    "/v2.0/networks",
    "/v2.0/networks/{id}",
    "/v2.0/networks/{id}/tags/{tag:path}",
    "/v2.0/network_segment_ranges/{id}/tags",
    "/v2.0/networks/{id}/dhcp-agents",
    "/v2.0/quotas",
    "/v2.0/quotas/tenant",
    "/v2.0/qos/rule-types/{id}",
    "/v2.0/qos/policies/{id}/dscp_marking_rules/{child}",
)
SPELLED = {
    "/v2.0/": "/v2.0/",
    "/v2.0/networks/": "/v2.0/networks",
    "/v2.0/network-segment-ranges": "/v2.0/network_segment_ranges",
    "/v2.0/networks/a-b/dhcp_agents/": "/v2.0/networks/a-b/dhcp-agents",
    "/v2.0/networks/dhcp_agents": "/v2.0/networks/dhcp_agents",
    "/v2.0/qos/rule_types/dscp_marking": "/v2.0/qos/rule-types/dscp_marking",
    "/v2.0/qos/policies/a/dscp-marking-rules/b-c": "/v2.0/qos/policies/a/dscp_marking_rules/b-c",
    "/v2.0/quotas/network-segment-ranges": "/v2.0/quotas/network-segment-ranges",
    "/v2.0/networks/a/tags/dhcp_agents": "/v2.0/networks/a/tags/dhcp_agents",
    "/v2.0/networks/a/tags/": "/v2.0/networks/a/tags/",
    "/v2.0/networks/a/tags/b/": "/v2.0/networks/a/tags/b/",
    "/v1/dhcp_agents/": "/v1/dhcp_agents/",
}


def _spelling() -> Spelling:
    async def nobody(*_: object) -> None: ...

    return Spelling(nobody, [Route(path, nobody) for path in PATHS])


@pytest.mark.parametrize("path", SPELLED)
def test_names(path: str) -> None:
    judged = path if path.startswith("/v1") else _spelling().canonical(path)
    assert judged == SPELLED[path]


_PART = st.sampled_from(["networks", "dhcp-agents", "dhcp_agents", "qos", "rule_types", "tags", "x", ""])


@given(st.lists(_PART, min_size=1, max_size=6))
def test_once_is_enough(parts: list[str]) -> None:
    spelling = _spelling()
    path = "/v2.0/" + "/".join(parts)
    once = spelling.canonical(path)
    if not path.endswith("//"):
        assert spelling.canonical(once) == once
    assert once.replace("_", "-").rstrip("/") == path.replace("_", "-").rstrip("/")


def test_every_route_is_spelled_as_it_is(db: Database) -> None:
    routes = [route for route in app(ServerSettings(), db).routes if isinstance(route, Route)]
    spelling = Spelling(app, routes)  # type: ignore[arg-type]
    below = [route.path for route in routes if route.path.startswith("/v2.0/")]
    assert [spelling.canonical(path) for path in below] == below
    assert spelling.prefixes == {"log", "metering", "qos"}


def test_both_spellings(api: Client) -> None:
    made = api.post("/network-segment-ranges/", {"network_segment_range": _RANGE})
    assert made.status == 201, made
    path = f"/network-segment-ranges/{made.body['network_segment_range']['id']}/"
    assert api.get(path).body == api.get(path.replace("-segment-", "_segment_")).body
    network = api.make("network")
    api.put(f"/networks/{network['id']}/tags/a", None)
    assert api.get(f"/networks/{network['id']}/dhcp_agents/").body == {"agents": []}
    assert api.delete(f"/networks/{network['id']}/tags/").status >= 400
    assert api.get(f"/networks/{network['id']}/tags").body == {"tags": ["a"]}


_RANGE = {"name": "r", "network_type": "vxlan", "minimum": 200000, "maximum": 200100}
