"""Flavours and service profiles."""

from tests.api.conftest import Answer, Client

NOBODY = "11111111-1111-1111-1111-111111111111"


def _said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error


def test_a_flavor_and_its_profiles(api: Client) -> None:
    flavor = api.make("flavor", name="f", service_type="L3_ROUTER_NAT")
    assert flavor["enabled"] is True
    assert flavor["service_profiles"] == []
    assert not {"project_id", "tenant_id", "created_at"} & flavor.keys()
    profile = api.make("service_profile", metainfo="{'a': 1}", description="d")
    assert (profile["driver"], profile["flavors"]) == ("", [])
    path = f"/flavors/{flavor['id']}/service_profiles"
    added = api.post(path, {"service_profile": {"id": profile["id"]}})
    assert (added.status, added.body) == (201, {"service_profile": {"id": profile["id"]}})
    again = api.post(path, {"service_profile": {"id": profile["id"]}})
    assert _said(again) == (409, "FlavorServiceProfileBindingExists")
    assert api.shown("service_profile", profile["id"])["flavors"] == [flavor["id"]]
    assert _said(api.delete(f"/service_profiles/{profile['id']}")) == (409, "ServiceProfileInUse")
    changed = api.put(f"/service_profiles/{profile['id']}", {"service_profile": {"enabled": False}})
    assert _said(changed) == (409, "ServiceProfileInUse")
    assert api.delete(f"{path}/{profile['id']}").status == 204
    assert _said(api.delete(f"{path}/{profile['id']}")) == (404, "FlavorServiceProfileBindingNotFound")
    assert api.delete(f"/service_profiles/{profile['id']}").status == 204
    changed = api.put(f"/flavors/{flavor['id']}", {"flavor": {"enabled": False, "name": "g"}})
    assert (changed.body["flavor"]["enabled"], changed.body["flavor"]["name"]) == (False, "g")
    assert [one["id"] for one in api.get("/flavors?name=g").body["flavors"]] == [flavor["id"]]
    assert api.delete(f"/flavors/{flavor['id']}").status == 204
    assert _said(api.get(f"/flavors/{flavor['id']}")) == (404, "FlavorNotFound")


def test_what_makes_no_sense_is_refused(api: Client) -> None:
    assert api.refused("flavor", name="f", service_type="COFFEE") == (400, "HTTPBadRequest")
    assert api.refused("flavor", name="f") == (400, "HTTPBadRequest")
    assert api.refused("service_profile", description="d") == (400, "ServiceProfileEmpty")
    assert api.refused("service_profile", driver="x.Y") == (404, "ServiceProfileDriverNotFound")
    flavor = api.make("flavor", service_type="L3_ROUTER_NAT")["id"]
    path = f"/flavors/{flavor}/service_profiles"
    assert _said(api.post(path, {"service_profile": {"id": NOBODY}})) == (404, "ServiceProfileNotFound")
    assert _said(api.post(path, {"service_profile": {}})) == (400, "HTTPBadRequest")
    assert _said(api.get(f"/service_profiles/{NOBODY}")) == (404, "ServiceProfileNotFound")


def test_routers_have_a_flavor(api: Client) -> None:
    assert api.make("router")["flavor_id"] is None
    flavor = api.make("flavor", service_type="L3_ROUTER_NAT")["id"]
    router = api.make("router", flavor_id=flavor)
    assert router["flavor_id"] == api.shown("router", router["id"])["flavor_id"] == flavor
    assert _said(api.delete(f"/flavors/{flavor}")) == (409, "FlavorInUse")
    assert api.refused("router", flavor_id=NOBODY) == (404, "FlavorNotFound")
    api.put(f"/flavors/{flavor}", {"flavor": {"enabled": False}})
    assert api.refused("router", flavor_id=flavor) == (503, "FlavorDisabled")
    assert len(api.get("/routers").body["routers"]) == 2
    assert api.delete(f"/routers/{router['id']}").status == 204
    assert api.delete(f"/flavors/{flavor}").status == 204


DRIVERS = "neutron.services.l3_router.service_providers"


def _offering(api: Client, driver: str, *, enabled: bool = True) -> str:
    """Return a flavour whose profile has a driver."""
    flavor: str = api.make("flavor", service_type="L3_ROUTER_NAT")["id"]
    profile = api.make("service_profile", driver=f"{DRIVERS}.{driver}", enabled=enabled)
    assert profile["driver"].endswith(driver)
    added = api.post(f"/flavors/{flavor}/service_profiles", {"service_profile": {"id": profile["id"]}})
    assert added.status == 201, added
    return flavor


def test_a_flavor_says_what_its_routers_are(api: Client) -> None:
    plain, redundant = (_offering(api, one) for one in ("single_node.SingleNodeDriver", "ha.HaDriver"))
    for flavor, ha in ((plain, False), (redundant, True)):
        router = api.make("router", flavor_id=flavor)
        assert (router["ha"], router["distributed"], router["flavor_id"]) == (ha, False, flavor)
        assert api.make("router", flavor_id=flavor, ha=ha)["ha"] is ha, "the same said twice"
        assert api.refused("router", flavor_id=flavor, distributed=True) == (400, "InvalidInput")
        assert api.refused("router", flavor_id=flavor, ha=not ha) == (400, "InvalidInput")
        path = f"/routers/{router['id']}"
        assert _said(api.put(path, {"router": {"ha": not ha}})) == (400, "InvalidInput")
        assert api.put(path, {"router": {"ha": ha, "name": "n"}}).status == 200, "nothing changes"
        other = {"mode": "legacy" if ha else "ha"}
        assert api.post(f"//v1/routers/{router['id']}/convert", other).status == 400
        assert api.shown("router", router["id"])["ha"] is ha
    distributed = _offering(api, "dvrha.DvrHaDriver")
    assert api.refused("router", flavor_id=distributed)[1] == "NoHostForDistributedRouters"


def test_a_profile_that_is_not_offered_now(api: Client) -> None:
    flavor = _offering(api, "ha.HaDriver", enabled=False)
    assert api.refused("router", flavor_id=flavor) == (503, "ServiceProfileDisabled")
    other = api.make("service_profile", driver=f"{DRIVERS}.single_node.SingleNodeDriver")["id"]
    api.post(f"/flavors/{flavor}/service_profiles", {"service_profile": {"id": other}})
    assert api.make("router", flavor_id=flavor)["ha"] is False
