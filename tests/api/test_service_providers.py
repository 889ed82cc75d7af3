"""The kinds of routers that there are, as Neutron lists them."""

from tests.api.conftest import Client


def test_providers(api: Client) -> None:
    found = api.get("/service-providers").body["service_providers"]
    assert [one["name"] for one in found] == ["dvrha", "dvr", "ha", "single_node"]
    assert found[0] == {"name": "dvrha", "service_type": "L3_ROUTER_NAT", "default": False}
    named = api.get("/service-providers?service_type=L3_ROUTER_NAT&name=ha").body["service_providers"]
    assert [one["name"] for one in named] == ["ha"]
    paged = api.get("/service-providers?limit=1&sort_key=name&sort_dir=asc").body
    assert [one["name"] for one in paged.pop("service_providers")] == ["dvr"]
    assert not paged, "what shows no ID has no further pages"
    assert api.post("/service-providers", {"service_provider": {"name": "x"}}).status == 405
