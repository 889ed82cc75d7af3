"""QoS policies, their rules, and who has them."""

from typing import Any

from tests.api.conftest import Answer, Client, Topology

NOBODY = "11111111-1111-1111-1111-111111111111"
POLICIES = "/qos/policies"


def _said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.error


def make_policy(api: Client, **attributes: Any) -> str:
    answer = api.post(POLICIES, {"policy": {"name": "p", **attributes}})
    assert answer.status == 201, answer
    id_: str = answer.body["policy"]["id"]
    return id_


def add_rule(api: Client, policy: str, kind: str, **attributes: Any) -> Answer:
    return api.post(f"{POLICIES}/{policy}/{kind}_rules", {f"{kind}_rule": attributes})


def show(api: Client, policy: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"{POLICIES}/{policy}").body["policy"]
    return found


def test_a_policy_and_its_rules(api: Client) -> None:
    policy = make_policy(api, description="d")
    whole = show(api, policy)
    assert (whole["rules"], whole["is_default"], whole["shared"], whole["tags"]) == ([], False, False, [])
    added = add_rule(api, policy, "bandwidth_limit", max_kbps=1000)
    rule = added.body["bandwidth_limit_rule"]
    assert added.status == 201
    assert rule == {"id": rule["id"], "max_kbps": 1000, "max_burst_kbps": 0, "direction": "egress"}
    marked = add_rule(api, policy, "dscp_marking", dscp_mark="26").body["dscp_marking_rule"]
    assert marked == {"id": marked["id"], "dscp_mark": 26}
    assert show(api, policy)["rules"] == [
        {**rule, "type": "bandwidth_limit", "qos_policy_id": policy},
        {**marked, "type": "dscp_marking", "qos_policy_id": policy},
    ]
    assert show(api, policy)["revision_number"] == whole["revision_number"] + 2
    path = f"{POLICIES}/{policy}/bandwidth_limit_rules"
    assert api.get(path).body == {"bandwidth_limit_rules": [rule]}
    assert api.get(f"{path}?max_kbps=7").body == {"bandwidth_limit_rules": []}
    changed = api.put(f"{path}/{rule['id']}", {"bandwidth_limit_rule": {"direction": "ingress"}})
    assert changed.body["bandwidth_limit_rule"]["direction"] == "ingress"
    assert api.delete(f"{path}/{rule['id']}").status == 204
    assert _said(api.get(f"{path}/{rule['id']}")) == (404, "QosRuleNotFound")
    assert api.delete(f"{POLICIES}/{policy}").status == 204
    assert _said(api.get(f"{POLICIES}/{policy}")) == (404, "QosPolicyNotFound")
    assert _said(api.get(path)) == (404, "QosPolicyNotFound")


def test_rules_by_their_own_ids(api: Client) -> None:
    policy = make_policy(api)
    rule = add_rule(api, policy, "minimum_packet_rate", min_kpps=3, direction="any").body
    id_ = rule["minimum_packet_rate_rule"]["id"]
    path = f"/qos/alias-minimum-packet-rate-rules/{id_}"
    assert api.get(path).body == {"alias_minimum_packet_rate_rule": rule["minimum_packet_rate_rule"]}
    changed = api.put(path, {"alias_minimum_packet_rate_rule": {"min_kpps": 4}})
    assert changed.body["alias_minimum_packet_rate_rule"]["min_kpps"] == 4
    assert show(api, policy)["rules"][0]["min_kpps"] == 4
    assert api.delete(path).status == 204
    assert _said(api.get(path)) == (404, "QosRuleNotFound")
    assert api.get("/qos/alias-minimum-packet-rate-rules").status in (404, 405)


NONSENSE: list[tuple[str, dict[str, Any]]] = [
    ("bandwidth_limit", {}),
    ("bandwidth_limit", {"max_kbps": -1}),
    ("bandwidth_limit", {"max_kbps": 2**31}),
    ("bandwidth_limit", {"max_kbps": 1, "direction": "any"}),
    ("bandwidth_limit", {"max_kbps": 1, "min_kbps": 1}),
    ("dscp_marking", {"dscp_mark": 1}),
    ("dscp_marking", {"dscp_mark": "x"}),
    ("packet_rate_limit", {"max_kpps": None}),
    ("minimum_bandwidth", {"min_kbps": 1, "direction": "any"}),
]


def test_what_makes_no_sense_is_refused(api: Client) -> None:
    policy = make_policy(api)
    for kind, attributes in NONSENSE:
        assert _said(add_rule(api, policy, kind, **attributes)) == (400, "HTTPBadRequest"), attributes


def test_rules_that_contradict_each_other(api: Client) -> None:
    policy = make_policy(api)
    first = add_rule(api, policy, "bandwidth_limit", max_kbps=1000).body["bandwidth_limit_rule"]
    again = add_rule(api, policy, "bandwidth_limit", max_kbps=2000)
    assert _said(again) == (409, "QoSRulesConflict")
    assert first["id"] in again.message
    other = add_rule(api, policy, "bandwidth_limit", max_kbps=2000, direction="ingress")
    id_ = other.body["bandwidth_limit_rule"]["id"]
    turned = api.put(
        f"{POLICIES}/{policy}/bandwidth_limit_rules/{id_}", {"bandwidth_limit_rule": {"direction": "egress"}}
    )
    assert _said(turned) == (409, "QoSRulesConflict")
    assert _said(add_rule(api, policy, "minimum_bandwidth", min_kbps=1001)) == (
        409,
        "QoSRuleParameterConflict",
    )
    least = add_rule(api, policy, "minimum_bandwidth", min_kbps=1000, direction="ingress")
    assert least.status == 201
    lowered = api.put(
        f"{POLICIES}/{policy}/bandwidth_limit_rules/{id_}", {"bandwidth_limit_rule": {"max_kbps": 999}}
    )
    assert _said(lowered) == (409, "QoSRuleParameterConflict")
    assert add_rule(api, policy, "minimum_packet_rate", min_kpps=1, direction="any").status == 201
    assert _said(add_rule(api, policy, "minimum_packet_rate", min_kpps=1)) == (
        409,
        "QoSRuleParameterConflict",
    )


def test_the_default_policy_of_new_networks(api: Client) -> None:
    policy = make_policy(api, is_default=True)
    assert _said(api.post(POLICIES, {"policy": {"is_default": True}})) == (
        409,
        "QoSPolicyDefaultAlreadyExists",
    )
    other = make_policy(api)
    changed = api.put(f"{POLICIES}/{other}", {"policy": {"is_default": True}})
    assert _said(changed) == (409, "QoSPolicyDefaultAlreadyExists")
    network = api.make("network")
    assert network["qos_policy_id"] == api.shown("network", network["id"])["qos_policy_id"] == policy
    assert api.make("network", qos_policy_id=other)["qos_policy_id"] == other
    assert [one["id"] for one in api.get(f"{POLICIES}?is_default=True").body["policies"]] == [policy]
    assert api.put(f"{POLICIES}/{policy}", {"policy": {"is_default": False}}).status == 200
    assert api.make("network")["qos_policy_id"] is None


def test_a_policy_that_something_has_stays(api: Client, topology: Topology) -> None:
    policy = make_policy(api)
    floating = api.make("floatingip", floating_network_id=topology.external)["id"]
    users = (("port", topology.port, "port"), ("network", topology.network, "network"))
    for kind, id_, called in (*users, ("floatingip", floating, "fip")):
        given = api.put(f"/{kind}s/{id_}", {kind: {"qos_policy_id": policy}})
        assert given.body[kind]["qos_policy_id"] == policy
        refused = api.delete(f"{POLICIES}/{policy}")
        assert _said(refused) == (409, "QosPolicyInUse")
        assert refused.message.startswith(f"QoS Policy {policy} is used by {called} {id_}")
        assert api.put(f"/{kind}s/{id_}", {kind: {"qos_policy_id": None}}).status == 200
    assert _said(api.put(f"/ports/{topology.port}", {"port": {"qos_policy_id": NOBODY}})) == (
        404,
        "QosPolicyNotFound",
    )
    assert api.delete(f"{POLICIES}/{policy}").status == 204


def test_the_policy_of_the_network(api: Client, topology: Topology) -> None:
    policy = make_policy(api)
    for network in (topology.network, topology.external):
        api.put(f"/networks/{network}", {"network": {"qos_policy_id": policy}})
    port = api.shown("port", topology.port)
    assert (port["qos_policy_id"], port["qos_network_policy_id"]) == (None, policy)
    floating = api.make("floatingip", floating_network_id=topology.external)
    assert (floating["qos_policy_id"], floating["qos_network_policy_id"]) == (None, policy)
    made = api.make("port", network_id=topology.network, qos_policy_id=policy)
    assert (made["qos_policy_id"], made["qos_network_policy_id"]) == (policy, policy)


def test_the_policy_of_a_gateway(api: Client, topology: Topology) -> None:
    policy = make_policy(api)
    path = f"/routers/{topology.router}"

    def give(**info: Any) -> dict[str, Any]:
        given = info and {"network_id": topology.external, **info}
        answer = api.put(path, {"router": {"external_gateway_info": given}})
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body["router"]["external_gateway_info"]
        return found

    assert give(qos_policy_id=policy)["qos_policy_id"] == policy
    assert give(enable_snat=False)["qos_policy_id"] == policy
    assert _said(api.delete(f"{POLICIES}/{policy}")) == (409, "QosPolicyInUse")
    assert "qos_policy_id" not in give(qos_policy_id=None)
    give(qos_policy_id=policy)
    assert give() is None
    assert api.delete(f"{POLICIES}/{policy}").status == 204
    unknown = {"network_id": topology.external, "qos_policy_id": NOBODY}
    refused = api.put(path, {"router": {"external_gateway_info": unknown}})
    assert _said(refused) == (404, "QosPolicyNotFound")
    policy = make_policy(api)
    made = api.make("router", external_gateway_info={**unknown, "qos_policy_id": policy})
    assert made["external_gateway_info"]["qos_policy_id"] == policy
    assert api.shown("router", made["id"])["external_gateway_info"]["qos_policy_id"] == policy


def test_rule_types(api: Client) -> None:
    def types(query: str = "") -> list[str]:
        return [one["type"] for one in api.get(f"/qos/rule-types{query}").body["rule_types"]]

    held = ["bandwidth_limit", "dscp_marking", "packet_rate_limit"]
    assert types() == types("?all_rules=True")
    assert set(types()) == {*held, "minimum_bandwidth", "minimum_packet_rate"}
    assert types("?all_supported=True") == held
    shown = api.get("/qos/rule-types/bandwidth_limit").body["rule_type"]
    assert (shown["type"], [one["name"] for one in shown["drivers"]]) == ("bandwidth_limit", ["linuxbridge"])
    assert api.get("/qos/rule-types/minimum_bandwidth").body["rule_type"]["drivers"] == []
    assert api.get("/qos/rule-types/coffee").status == 404


def test_policies_have_tags(api: Client) -> None:
    policy = make_policy(api)
    assert api.put(f"{POLICIES}/{policy}/tags", {"tags": ["gold"]}).status == 200
    assert [one["id"] for one in api.get(f"{POLICIES}?tags=gold").body["policies"]] == [policy]
