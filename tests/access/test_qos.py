"""Who may make, see and use QoS policies."""

from typing import Any

from deuteron.resources.access import EVERYBODY, SHARED
from tests.access.conftest import OTHER, User, Users
from tests.api.test_qos import POLICIES, add_rule, make_policy


def _lend(user: User, policy: str, target: str) -> str:
    body = {"object_type": "qos_policy", "object_id": policy, "action": SHARED, "target_tenant": target}
    answer = user.post("/rbac-policies", {"rbac_policy": body})
    assert answer.status == 201, answer
    id_: str = answer.body["rbac_policy"]["id"]
    return id_


def test_managers_make_policies(users: Users) -> None:
    refused = users.member.post(POLICIES, {"policy": {"name": "p"}})
    assert (refused.status, refused.error) == (403, "PolicyNotAuthorized")
    policy = make_policy(users.manager)
    rule = add_rule(users.manager, policy, "bandwidth_limit", max_kbps=1).body["bandwidth_limit_rule"]
    path = f"{POLICIES}/{policy}/bandwidth_limit_rules"
    assert users.reader.get(f"{path}/{rule['id']}").status == 200
    assert add_rule(users.member, policy, "dscp_marking", dscp_mark=8).status == 403
    assert users.stranger.get(path).status == 404
    refused = add_rule(users.stranger, policy, "dscp_marking", dscp_mark=8)
    assert (refused.status, refused.error) == (403, "PolicyNotAuthorized")
    alias = f"/qos/alias-bandwidth-limit-rules/{rule['id']}"
    assert users.reader.get(alias).status == 200
    assert users.stranger.get(alias).status == 404
    assert users.member.put(alias, {"alias_bandwidth_limit_rule": {"max_kbps": 2}}).status == 403
    assert users.manager.put(alias, {"alias_bandwidth_limit_rule": {"max_kbps": 2}}).status == 200
    assert users.manager.delete(f"{path}/{rule['id']}").status == 204
    assert users.reader.get("/qos/rule-types").status == 200
    assert users.reader.get("/qos/rule-types/dscp_marking").status == 403
    assert users.admin.get("/qos/rule-types/dscp_marking").status == 200


def test_a_policy_is_used_by_those_to_whom_it_is_lent(users: Users) -> None:
    policy = make_policy(users.manager)
    network = users.stranger.make("network")["id"]
    wanted = {"network": {"qos_policy_id": policy}}
    refused = users.stranger.put(f"/networks/{network}", wanted)
    assert (refused.status, refused.error) == (404, "QosPolicyNotFound")
    lent = _lend(users.manager, policy, OTHER)
    assert users.stranger.get(f"{POLICIES}/{policy}").body["policy"]["shared"] is True
    assert users.manager.get(f"{POLICIES}/{policy}").body["policy"]["shared"] is False
    assert users.stranger.put(f"/networks/{network}", wanted).status == 200
    refused = users.manager.delete(f"/rbac-policies/{lent}")
    assert (refused.status, refused.error) == (409, "RbacPolicyInUse")
    assert network in refused.message
    users.stranger.delete(f"/networks/{network}")
    assert users.manager.delete(f"/rbac-policies/{lent}").status == 204
    assert users.stranger.get(f"{POLICIES}/{policy}").status == 404


def test_a_policy_for_all(users: Users) -> None:
    policy = make_policy(users.admin, shared=True)
    assert [one["id"] for one in users.reader.get(f"{POLICIES}?shared=True").body["policies"]] == [policy]
    network = users.stranger.make("network", qos_policy_id=policy)["id"]
    path = f"{POLICIES}/{policy}"
    refused = users.admin.put(path, {"policy": {"shared": False}})
    assert (refused.status, refused.error) == (409, "RbacPolicyInUse")
    users.stranger.delete(f"/networks/{network}")
    own = users.admin.make("network", qos_policy_id=policy)["id"]
    assert users.admin.put(path, {"policy": {"shared": False}}).status == 409, "its own project has it"
    users.admin.delete(f"/networks/{own}")
    assert users.admin.put(path, {"policy": {"shared": False}}).body["policy"]["shared"] is False
    assert users.reader.get(f"{POLICIES}?shared=True").body["policies"] == []
    _lend(users.admin, policy, EVERYBODY)
    assert users.reader.get(path).status == 200


def test_nobody_takes_off_a_policy_that_he_does_not_see(users: Users) -> None:
    policy = make_policy(users.admin)
    other = make_policy(users.manager)
    ext = users.admin.make("network", router__external=True)["id"]
    users.admin.make("subnet", network_id=ext, ip_version=4, cidr="203.0.113.0/24")
    network = users.member.make("network")["id"]
    port = users.member.make("port", network_id=network)["id"]
    floating = users.member.make("floatingip", floating_network_id=ext)["id"]
    router = users.member.make("router", external_gateway_info={"network_id": ext})["id"]

    def bodies(policy_id: str | None) -> list[tuple[str, dict[str, Any]]]:
        simple = {"qos_policy_id": policy_id}
        gateway = {"external_gateway_info": {"network_id": ext, **simple}}
        return [
            (f"/networks/{network}", {"network": simple}),
            (f"/ports/{port}", {"port": simple}),
            (f"/floatingips/{floating}", {"floatingip": simple}),
            (f"/routers/{router}", {"router": gateway}),
        ]

    for path, body in bodies(policy):
        assert users.admin.put(path, body).status == 200, path
        assert users.member.put(path, body).status == 200, "nothing changes"
    cleared: tuple[str, dict[str, Any]] = (f"/routers/{router}", {"router": {"external_gateway_info": {}}})
    for path, body in [*bodies(None), *bodies(other), cleared]:
        refused = users.member.put(path, body)
        assert (refused.status, refused.error) == (403, "PolicyRemoveAuthorizationError"), (path, refused)
    second = users.member.make("router", external_gateway_info={"network_id": ext})["id"]
    limited = {"router": {"external_gateway_info": {"network_id": ext, "qos_policy_id": policy}}}
    assert users.admin.put(f"/routers/{second}", limited).status == 200
    assert users.member.delete(f"/routers/{second}").status == 204
    named = (f"/networks/{network}", {"network": {"name": "n"}})
    assert users.member.put(*named).body["network"]["qos_policy_id"] == policy
    assert users.admin.put(f"{POLICIES}/{policy}", {"policy": {"shared": True}}).status == 200
    for path, body in bodies(None):
        assert users.member.put(path, body).status == 200, path
