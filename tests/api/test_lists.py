"""Lists: filters, fields, sorting, pages."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from deuteron.settings import ServerSettings
from tests.api.conftest import Client


@pytest.fixture
def networks(api: Client) -> list[dict[str, Any]]:
    return [
        api.make("network", name=name, admin_state_up=up, project_id=project)
        for name, up, project in (("a", True, "p"), ("b", False, "p"), ("b", True, "q"), ("c", True, "q"))
    ]


def _names(api: Client, query: str) -> list[str]:
    answer = api.get(f"/networks?{query}")
    assert answer.status == 200, answer
    return [network["name"] for network in answer.body["networks"]]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("name=a", ["a"]),
        ("name=a&name=c", ["a", "c"]),
        ("name=b&admin_state_up=True", ["b"]),
        ("admin_state_up=false", ["b"]),
        ("project_id=q", ["b", "c"]),
        ("tenant_id=q", ["b", "c"]),
        ("name=", []),
        ("router:external=True", []),
        ("mtu=1450&name=a", ["a"]),
        ("mtu=99999999999999999999", []),
        ("id=nothing", []),
        ("status=ACTIVE&name=c", ["c"]),
    ],
)
def test_filters(api: Client, networks: list[dict[str, Any]], query: str, names: list[str]) -> None:
    assert sorted(_names(api, query)) == names


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "subnets=x",
        "admin_state_up=perhaps",
        "mtu=many",
        "name=%00",
        "sort_key=name",
        "sort_key=colour&sort_dir=asc",
        "sort_key=name&sort_dir=up",
        "limit=-1",
        "limit=x",
        "tenant_id=p&project_id=p",
    ],
)
def test_wrong_queries_are_refused(api: Client, query: str) -> None:
    assert api.get(f"/networks?{query}").status == 400


def test_fields(api: Client, networks: list[dict[str, Any]]) -> None:
    answer = api.get("/networks?fields=id&fields=name&name=a").body["networks"]
    assert answer == [{"id": networks[0]["id"], "name": "a"}]
    assert list(api.get(f"/networks/{networks[0]['id']}?fields=mtu").body["network"]) == ["mtu"]


def test_sorting(api: Client, networks: list[dict[str, Any]]) -> None:
    assert _names(api, "sort_key=name&sort_dir=desc") == ["c", "b", "b", "a"]
    answer = api.get("/networks?sort_key=name&sort_dir=asc&sort_key=project_id&sort_dir=desc").body[
        "networks"
    ]
    assert [(one["name"], one["project_id"]) for one in answer] == [
        ("a", "p"),
        ("b", "q"),
        ("b", "p"),
        ("c", "q"),
    ]
    assert _names(api, "sort_key=provider:physical_network&sort_dir=asc&sort_key=name&sort_dir=asc")[0] == "a"


def _follow(api: Client, path: str, rel: str) -> list[list[str]]:
    pages = []
    for _ in range(10):
        body = api.get(path).body
        pages.append([one["name"] for one in body["networks"]])
        link = next((one for one in body.get("networks_links", []) if one["rel"] == rel), None)
        if link is None:
            return pages
        parts = urlsplit(link["href"])
        path = f"{parts.path.removeprefix('/v2.0')}?{parts.query}"
    raise AssertionError(pages)


def test_pages_forward_and_back(api: Client, networks: list[dict[str, Any]]) -> None:
    query = "/networks?limit=2&sort_key=name&sort_dir=asc&sort_key=admin_state_up&sort_dir=asc"
    assert _follow(api, query, "next") == [["a", "b"], ["b", "c"], []]
    last = networks[3]["id"]
    assert _follow(api, f"{query}&marker={last}&page_reverse=True", "previous") == [["b", "b"], ["a"]]
    assert "networks_links" not in api.get("/networks").body


def test_a_marker_that_is_gone(api: Client) -> None:
    answer = api.get("/networks?limit=2&marker=11111111-1111-1111-1111-111111111111")
    assert (answer.status, answer.error) == (404, "NetworkNotFound")


@pytest.mark.parametrize("settings", [ServerSettings(pagination_max_limit=3)])
def test_no_page_is_longer_than_the_server_allows(
    api: Client, networks: list[dict[str, Any]], settings: ServerSettings
) -> None:
    assert len(_names(api, "")) == 3
    assert len(_names(api, "limit=100")) == 3
    assert len(_names(api, "limit=2")) == 2


def test_ports_by_fixed_ip(api: Client) -> None:
    network = api.make("network")["id"]
    subnet = api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    ports = [api.make("port", network_id=network)["id"] for _ in range(3)]

    def found(query: str) -> list[str]:
        return [port["id"] for port in api.get(f"/ports?{query}").body["ports"]]

    assert found("fixed_ips=ip_address=10.0.0.3") == [ports[1]]
    assert sorted(found("fixed_ips=ip_address=10.0.0.3&fixed_ips=ip_address=10.0.0.4")) == sorted(ports[1:])
    assert sorted(found(f"fixed_ips=subnet_id={subnet}")) == sorted(ports)
    assert found(f"fixed_ips=subnet_id={subnet}&fixed_ips=ip_address=10.0.0.2") == [ports[0]]
    assert found("fixed_ips=ip_address=10.9.9.9") == []
    six = api.make("subnet", network_id=network, ip_version=6, cidr="2001:db8::/64")["id"]
    fixed = [{"subnet_id": six, "ip_address": "2001:DB8:0::A"}]
    other = api.make("port", network_id=network, fixed_ips=fixed)["id"]
    for text in ("2001:DB8:0::a", "2001:db8::a", "2001:0db8:0:0::A"):
        assert found(f"fixed_ips=ip_address={text}") == [other]
    assert found("fixed_ips=ip_address_substr=DB8::A") == [other]
    assert found("fixed_ips=ip_address_substr=0.0.4") == [ports[2]]
    assert api.get("/ports?fixed_ips=colour=red").status == 400


def test_what_changed_since(api: Client, networks: list[dict[str, Any]]) -> None:
    assert len(_names(api, "changed_since=2020-01-01T00:00:00Z")) == 4
    assert _names(api, "changed_since=2099-01-01T00:00:00Z") == []
    assert api.get("/networks?changed_since=yesterday").status == 400
