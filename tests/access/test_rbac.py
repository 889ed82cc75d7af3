"""Networks lent to other projects, and taken back."""

from typing import Any

from deuteron.resources.access import EVERYBODY, EXTERNAL, SHARED
from tests.access.conftest import ONE, OTHER, User, Users
from tests.api.conftest import Answer


def lend(user: User, network: str, target: str, action: str = SHARED) -> Answer:
    body = {"object_type": "network", "object_id": network, "action": action, "target_tenant": target}
    return user.post("/rbac-policies", {"rbac_policy": body})


def policies(user: User, **filters: str) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    found: list[dict[str, Any]] = user.get(f"/rbac-policies?{query}").body["rbac_policies"]
    return found


def test_a_policy_as_it_is_shown(users: Users) -> None:
    network = users.member.make("network")["id"]
    made = lend(users.member, network, OTHER).body["rbac_policy"]
    assert made == {
        "id": made["id"],
        "project_id": ONE,
        "tenant_id": ONE,
        "object_type": "network",
        "object_id": network,
        "action": SHARED,
        "target_tenant": OTHER,
    }
    assert policies(users.reader) == policies(users.reader, object_id=network) == [made]
    assert users.reader.get(f"/rbac-policies/{made['id']}").body == {"rbac_policy": made}
    assert policies(users.stranger) == []
    again = lend(users.member, network, OTHER)
    assert (again.status, again.error) == (409, "DuplicateRbacPolicy")


def test_what_is_lent_is_shared_for_those_to_whom(users: Users) -> None:
    network = users.member.make("network")["id"]
    lend(users.member, network, OTHER)
    assert users.stranger.shown("network", network)["shared"] is True
    assert users.member.shown("network", network)["shared"] is False
    assert [one["id"] for one in users.stranger.get("/networks?shared=True").body["networks"]] == [network]
    assert users.stranger.get("/networks?shared=False").body["networks"] == []
    assert users.member.get("/networks?shared=True").body["networks"] == []


def test_who_lends_what(users: Users) -> None:
    network = users.member.make("network")["id"]
    foreign = lend(users.stranger, network, OTHER)
    assert (foreign.status, foreign.error) == (400, "InvalidInput")
    to_all = lend(users.member, network, EVERYBODY)
    assert (to_all.status, to_all.error) == (403, "PolicyNotAuthorized")
    assert lend(users.admin, network, EVERYBODY).status == 201
    assert users.member.shown("network", network)["shared"] is True
    assert lend(users.member, OTHER, OTHER).status == 404
    assert lend(users.member, network, OTHER, "access_as_guest").status == 400
    assert lend(users.member, network, "somebody").status == 400


def test_what_is_used_is_not_taken_back(users: Users) -> None:
    network = users.member.make("network")["id"]
    policy = lend(users.member, network, OTHER).body["rbac_policy"]["id"]
    port = users.stranger.make("port", network_id=network)["id"]
    for answer in (
        users.member.delete(f"/rbac-policies/{policy}"),
        users.member.put(f"/rbac-policies/{policy}", {"rbac_policy": {"target_tenant": ONE}}),
    ):
        assert (answer.status, answer.error) == (409, "RbacPolicyInUse")
    to_all = lend(users.admin, network, EVERYBODY).body["rbac_policy"]["id"]
    assert users.member.delete(f"/rbac-policies/{policy}").status == 204
    assert users.admin.delete(f"/rbac-policies/{to_all}").status == 409
    refused = users.admin.put(f"/networks/{network}", {"network": {"shared": False}})
    assert (refused.status, refused.error) == (409, "InvalidSharedSetting")
    assert users.stranger.delete(f"/ports/{port}").status == 204
    assert users.admin.put(f"/networks/{network}", {"network": {"shared": False}}).status == 200
    assert users.stranger.get(f"/networks/{network}").status == 404
    assert policies(users.admin) == []


def test_shared_is_a_policy_for_all(users: Users) -> None:
    network = users.admin.make("network", shared=True)["id"]
    (policy,) = policies(users.admin, object_id=network)
    assert (policy["action"], policy["target_tenant"]) == (SHARED, EVERYBODY)
    assert users.admin.delete(f"/rbac-policies/{policy['id']}").status == 204
    assert users.admin.shown("network", network)["shared"] is False
    users.admin.put(f"/networks/{network}", {"network": {"shared": True}})
    assert len(policies(users.admin, object_id=network)) == 1
    assert users.admin.delete(f"/networks/{network}").status == 204
    assert policies(users.admin) == []


def test_lending_counts_as_a_change_of_the_network(users: Users) -> None:
    network = users.member.make("network")["id"]
    revisions = [users.member.shown("network", network)["revision_number"]]
    policy = lend(users.member, network, OTHER).body["rbac_policy"]["id"]
    revisions.append(users.member.shown("network", network)["revision_number"])
    users.member.put(f"/rbac-policies/{policy}", {"rbac_policy": {"target_tenant": ONE}})
    revisions.append(users.member.shown("network", network)["revision_number"])
    users.member.delete(f"/rbac-policies/{policy}")
    revisions.append(users.member.shown("network", network)["revision_number"])
    assert revisions == sorted(set(revisions))


def test_subnets_are_lent_with_their_network(users: Users) -> None:
    admin, stranger = users.admin, users.stranger
    found = {}
    for name, attributes in (
        ("plain", {}),
        ("shared", {"shared": True}),
        ("external", {"router:external": True}),
    ):
        network = admin.post("/networks", {"network": attributes}).body["network"]["id"]
        made = admin.make("subnet", network_id=network, ip_version=4, cidr="192.0.2.0/24")
        found[made["id"]] = name

    def listed(user: User, query: str) -> list[str]:
        return sorted(found[one["id"]] for one in user.get(f"/subnets?{query}").body["subnets"])

    assert listed(stranger, "") == ["external", "shared"]
    assert listed(stranger, "shared=True") == listed(admin, "shared=True") == ["shared"]
    assert listed(admin, "shared=False") == ["external", "plain"]
    assert listed(admin, "router:external=True") == ["external"]
    shown = {found[one["id"]]: one for one in stranger.get("/subnets").body["subnets"]}
    assert [shown[name]["router:external"] for name in ("external", "shared")] == [True, False]
    assert "shared" not in shown["shared"]


def test_the_default_external_network_stays_everybodys(users: Users) -> None:
    network = users.admin.make("network", router__external=True, is_default=True)["id"]
    (policy,) = policies(users.admin, object_id=network)
    refused = users.admin.delete(f"/rbac-policies/{policy['id']}")
    assert (refused.status, refused.error) == (409, "RbacPolicyInUse")
    assert users.admin.put(f"/networks/{network}", {"network": {"is_default": False}}).status == 200
    assert users.admin.delete(f"/rbac-policies/{policy['id']}").status == 204


def test_an_external_network_goes_with_its_idle_floating_ips(users: Users) -> None:
    network = users.admin.make("network", router__external=True)["id"]
    users.admin.make("subnet", network_id=network, ip_version=4, cidr="203.0.113.0/24")
    users.member.make("floatingip", floating_network_id=network)
    assert users.admin.delete(f"/networks/{network}").status == 204
    assert users.member.get("/floatingips").body["floatingips"] == []


def test_external_for_some(users: Users) -> None:
    network = users.admin.make("network")["id"]
    users.admin.make("subnet", network_id=network, ip_version=4, cidr="203.0.113.0/24")
    policy = lend(users.admin, network, ONE, EXTERNAL).body["rbac_policy"]["id"]
    assert users.admin.shown("network", network)["router:external"] is True
    assert users.stranger.get(f"/networks/{network}").status == 404
    router = users.member.make("router", external_gateway_info={"network_id": network})["id"]
    refused = users.stranger.post("/routers", {"router": {"external_gateway_info": {"network_id": network}}})
    assert refused.status == 404
    assert users.admin.delete(f"/rbac-policies/{policy}").status == 409
    assert users.member.delete(f"/routers/{router}").status == 204
    assert users.admin.delete(f"/rbac-policies/{policy}").status == 204
    assert users.admin.shown("network", network)["router:external"] is False
    assert users.member.get(f"/networks/{network}").status == 404
