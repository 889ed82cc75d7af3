"""Security groups, rules, default rules and address groups over the API."""

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import Answer, Client

MEMBER = "00000000-0000-4000-8000-0000000000aa"

Item = dict[str, Any]


def post(api: Client, kind: str, **attributes: Any) -> Answer:
    return api.post(f"/{kind.replace('_', '-')}s", {kind: attributes})


def make(api: Client, kind: str, **attributes: Any) -> Item:
    answer = post(api, kind, **attributes)
    assert answer.status == 201, answer
    made: Item = answer.body[kind]
    return made


def rules(api: Client, group: str) -> list[Item]:
    answer = api.get(f"/security-groups/{group}")
    assert answer.status == 200, answer
    found: list[Item] = answer.body["security_group"]["security_group_rules"]
    return found


def said(rule: Item) -> tuple[str, ...]:
    return (rule["direction"], rule["ethertype"], rule["remote_group_id"] or "")


@pytest.fixture
def group(api: Client) -> str:
    return str(make(api, "security_group", name="web")["id"])


def test_a_new_group_lets_everything_out(api: Client) -> None:
    group = make(api, "security_group", name="web", description="d")
    assert (group["name"], group["stateful"], group["shared"]) == ("web", True, False)
    assert group["tenant_id"] == group["project_id"]
    found = group["security_group_rules"]
    assert [said(rule) for rule in found] == [("egress", "IPv4", ""), ("egress", "IPv6", "")]
    assert found[0]["security_group_id"] == group["id"]
    assert found[0]["protocol"] is found[0]["remote_ip_prefix"] is found[0]["normalized_cidr"] is None


def test_each_project_has_a_default_group_from_the_first_question_on(api: Client) -> None:
    def default(project: str) -> Item:
        answer = api.get("/security-groups?name=default&project_id=" + project)
        assert answer.status == 200, answer
        [found] = answer.body["security_groups"]
        return dict(found)

    mine, other = default("p1"), default("p2")
    assert mine["id"] != other["id"]
    assert default("p1")["id"] == mine["id"]
    inside = mine["id"]
    assert {said(rule) for rule in mine["security_group_rules"]} == {
        ("egress", "IPv4", ""),
        ("egress", "IPv6", ""),
        ("ingress", "IPv4", inside),
        ("ingress", "IPv6", inside),
    }
    shown = api.get(f"/security-group-rules?security_group_id={inside}").body["security_group_rules"]
    assert [rule["belongs_to_default_sg"] for rule in shown] == [True] * 4
    assert len(api.get("/security-groups").body["security_groups"]) == 3, "and that of who asks"


def test_a_project_has_one_default_group_though_many_ask_at_once(api: Client) -> None:
    answers: list[Answer] = []

    def ask() -> None:
        client = Client(api.port)
        answers.append(client.get("/security-groups?project_id=crowd"))
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = {one["id"] for answer in answers for one in answer.body["security_groups"]}
    assert [answer.status for answer in answers] == [200] * 8
    assert len(ids) == 1


def test_what_the_default_group_refuses(api: Client) -> None:
    default = api.get("/security-groups").body["security_groups"][0]["id"]
    body = {"security_group": {"name": "mine"}}
    refused = api.put(f"/security-groups/{default}", body)
    assert (refused.status, refused.error) == (409, "SecurityGroupCannotUpdateDefault")
    assert api.put(f"/security-groups/{default}", {"security_group": {"description": "x"}}).status == 200
    for name in ("default", "Default"):
        refused = post(api, "security_group", name=name)
        assert (refused.status, refused.error) == (409, "SecurityGroupDefaultAlreadyExists")


def test_groups_are_changed_and_deleted(api: Client, group: str) -> None:
    other = make(api, "security_group", name="db")["id"]
    make(api, "security_group_rule", security_group_id=other, direction="ingress", remote_group_id=group)
    changed = api.put(f"/security-groups/{group}", {"security_group": {"name": "w", "stateful": False}})
    assert changed.status == 200, changed
    assert changed.body["security_group"]["stateful"] is False
    assert len(changed.body["security_group"]["security_group_rules"]) == 2
    assert api.delete(f"/security-groups/{group}").status == 204
    assert api.get(f"/security-groups/{group}").error == "SecurityGroupNotFound"
    assert [said(rule) for rule in rules(api, other)] == [("egress", "IPv4", ""), ("egress", "IPv6", "")]


@pytest.mark.parametrize("name", [" web", "web ", "we\tb", "web\n", "default", "Default", "x" * 256])
def test_what_a_groups_name_must_not_be(api: Client, group: str, name: str) -> None:
    status = 409 if name.lower() == "default" else 400
    assert post(api, "security_group", name=name).status == status
    assert api.put(f"/security-groups/{group}", {"security_group": {"name": name}}).status == status


def test_a_rule_is_shown_as_it_was_given_and_normalized(api: Client, group: str) -> None:
    before = api.get(f"/security-groups/{group}").body["security_group"]["revision_number"]
    rule = make(
        api,
        "security_group_rule",
        security_group_id=group,
        direction="ingress",
        ethertype="ipv4",
        protocol="TCP",
        port_range_min="80",
        port_range_max=81,
        remote_ip_prefix="10.0.0.5/24",
        description="web",
    )
    assert (rule["ethertype"], rule["protocol"]) == ("IPv4", "tcp")
    assert (rule["port_range_min"], rule["port_range_max"]) == (80, 81)
    assert (rule["remote_ip_prefix"], rule["normalized_cidr"]) == ("10.0.0.5/24", "10.0.0.0/24")
    assert (rule["belongs_to_default_sg"], rule["description"]) == (False, "web")
    assert "name" not in rule
    after = api.get(f"/security-groups/{group}").body["security_group"]["revision_number"]
    assert after > before
    assert api.get("/security-group-rules?protocol=tcp&direction=ingress").body["security_group_rules"] == [
        rule
    ]
    assert api.delete(f"/security-group-rules/{rule['id']}").status == 204
    assert len(rules(api, group)) == 2
    gone = api.get(f"/security-group-rules/{rule['id']}")
    assert (gone.status, gone.error) == (404, "SecurityGroupRuleNotFound")


CANONICAL: list[tuple[Item, Item]] = [
    ({"ethertype": "IPv6", "protocol": "icmp"}, {"protocol": "ipv6-icmp"}),
    ({"ethertype": "IPv6", "protocol": "icmpv6"}, {"protocol": "ipv6-icmp"}),
    ({"ethertype": "IPv6", "protocol": 1}, {"protocol": "58"}),
    ({"protocol": 6, "port_range_min": 1, "port_range_max": 65535}, {"port_range_min": None}),
    ({"protocol": "any"}, {"protocol": None}),
    ({"protocol": "icmp", "port_range_min": 8}, {"port_range_min": 8, "port_range_max": None}),
    ({"protocol": "icmp", "port_range_min": 0, "port_range_max": 0}, {"port_range_max": 0}),
    ({"remote_ip_prefix": "10.0.0.9"}, {"remote_ip_prefix": "10.0.0.9/32"}),
    ({"ethertype": "IPv6", "remote_ip_prefix": "FD00::/8"}, {"remote_ip_prefix": "fd00::/8"}),
]


@pytest.mark.parametrize(("given", "kept"), CANONICAL)
def test_rules_have_one_form(api: Client, group: str, given: Item, kept: Item) -> None:
    rule = make(api, "security_group_rule", security_group_id=group, direction="ingress", **given)
    assert {name: rule[name] for name in kept} == kept


REFUSED: list[tuple[Item, int, str]] = [
    ({"protocol": "tpc"}, 400, "SecurityGroupRuleInvalidProtocol"),
    ({"protocol": 256}, 400, "SecurityGroupRuleInvalidProtocol"),
    ({"ethertype": "IPv5"}, 400, "SecurityGroupRuleInvalidEtherType"),
    ({"protocol": "ipv6-icmp"}, 400, "SecurityGroupEthertypeConflictWithProtocol"),
    ({"remote_ip_prefix": "fd00::/8"}, 400, "SecurityGroupRuleParameterConflict"),
    ({"remote_ip_prefix": "10.0.0.0/33"}, 400, "InvalidCIDR"),
    ({"port_range_min": 80, "port_range_max": 80}, 400, "SecurityGroupProtocolRequiredWithPorts"),
    ({"protocol": "tcp", "port_range_min": 81, "port_range_max": 80}, 400, "SecurityGroupInvalidPortRange"),
    ({"protocol": "tcp", "port_range_min": 80}, 400, "SecurityGroupInvalidPortRange"),
    ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 9}, 400, "SecurityGroupInvalidPortValue"),
    ({"protocol": "tcp", "port_range_min": 65536}, 400, "SecurityGroupInvalidPortValue"),
    ({"protocol": "icmp", "port_range_min": 256}, 400, "SecurityGroupInvalidIcmpValue"),
    ({"protocol": "icmp", "port_range_max": 0}, 400, "SecurityGroupMissingIcmpType"),
    ({"protocol": "gre", "port_range_min": 1}, 400, "SecurityGroupInvalidProtocolForPort"),
    ({"direction": "sideways"}, 400, "HTTPBadRequest"),
    ({"remote_group_id": MEMBER}, 404, "SecurityGroupNotFound"),
    ({"remote_address_group_id": MEMBER}, 404, "AddressGroupNotFound"),
    ({"security_group_id": MEMBER}, 404, "SecurityGroupNotFound"),
    (
        {"remote_group_id": MEMBER, "remote_ip_prefix": "10.0.0.0/8"},
        400,
        "SecurityGroupMultipleRemoteEntites",
    ),
]


@pytest.mark.parametrize(("given", "status", "error"), REFUSED)
def test_what_a_rule_must_not_say(api: Client, group: str, given: Item, status: int, error: str) -> None:
    answer = post(api, "security_group_rule", **{"security_group_id": group, "direction": "ingress", **given})
    assert (answer.status, answer.error) == (status, error), answer
    assert len(rules(api, group)) == 2


def test_the_same_rule_is_refused_however_it_is_said(api: Client, group: str) -> None:
    web = {"security_group_id": group, "direction": "ingress", "port_range_min": 80, "port_range_max": 80}
    first = make(api, "security_group_rule", protocol="tcp", **web)
    for protocol, prefix in (("tcp", None), ("6", None), (6, "0.0.0.0/0")):
        again = post(api, "security_group_rule", protocol=protocol, remote_ip_prefix=prefix, **web)
        assert (again.status, again.error) == (409, "SecurityGroupRuleExists")
        assert first["id"] in again.message
    two = {"protocol": "udp", **web}
    bulk = api.post("/security-group-rules", {"security_group_rules": [two, two]})
    assert bulk.status == 409
    assert len(rules(api, group)) == 3, "all or nothing"


def test_equal_rules_at_once_become_one(api: Client, group: str) -> None:
    statuses: list[int] = []

    def add() -> None:
        client = Client(api.port)
        answer = post(
            client, "security_group_rule", security_group_id=group, direction="ingress", protocol="sctp"
        )
        statuses.append(answer.status)
        client.close()

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 5
    assert len(rules(api, group)) == 3


def test_default_rules_are_what_new_groups_begin_with(api: Client, group: str) -> None:
    path = "/default-security-group-rules"
    assert len(api.get(path).body["default_security_group_rules"]) == 4
    ssh = {"direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    made = make(api, "default_security_group_rule", used_in_default_sg=True, **ssh)
    assert (made["used_in_default_sg"], made["used_in_non_default_sg"]) == (True, True)
    again = post(api, "default_security_group_rule", **ssh)
    assert (again.status, again.error) == (409, "DefaultSecurityGroupRuleExists")
    assert len(make(api, "security_group", name="later")["security_group_rules"]) == 3
    assert len(rules(api, group)) == 2, "groups that are there stay as they are"
    [default] = api.get("/security-groups?project_id=later").body["security_groups"]
    assert len(default["security_group_rules"]) == 5
    assert api.delete(f"{path}/{made['id']}").status == 204
    assert api.get(f"{path}/{made['id']}").error == "DefaultSecurityGroupRuleNotFound"


def test_whether_new_groups_are_stateful(api: Client) -> None:
    path, kind = "/security-groups-default-statefulness", "security_group_default_statefulness"
    for_all = api.post(path, {kind: {"project_id": None, "stateful": False}}).body[kind]
    assert (for_all["project_id"], for_all["stateful"]) == (None, False)
    own = api.post(path, {kind: {"project_id": "p1"}}).body[kind]
    assert own["stateful"] is True
    again = [api.post(path, {kind: {"project_id": one}}).error for one in (None, "p1")]
    assert again == ["SecurityGroupDefaultStatefulnessAlreadyExists"] * 2
    assert make(api, "security_group", name="a", project_id="p1")["stateful"] is True
    assert make(api, "security_group", name="a", project_id="p2")["stateful"] is False
    assert make(api, "security_group", name="b", project_id="p2", stateful=True)["stateful"] is True
    assert api.put(f"{path}/{own['id']}", {kind: {"stateful": False}}).body[kind]["stateful"] is False
    assert make(api, "security_group", name="c", project_id="p1")["stateful"] is False
    assert [api.delete(f"{path}/{one['id']}").status for one in (own, for_all)] == [204, 204]
    assert make(api, "security_group", name="d", project_id="p1")["stateful"] is True


def test_the_word_of_the_api_reference_for_default_statefulness(api: Client) -> None:
    path, kind = "/security-groups-default-statefulness", "security_groups_default_statefulness"
    made = api.post(path, {kind: {"project_id": "p1", "stateful": False}})
    assert made.status == 201, made
    own = made.body[kind]
    assert api.get(f"{path}/{own['id']}").body[kind] == own
    changed = api.put(f"{path}/{own['id']}", {kind: {"stateful": True}})
    assert changed.body[kind] == {**own, **changed.body[kind]}
    assert changed.body[kind]["stateful"] is True
    many = api.post(path, {kind: [{"project_id": one} for one in ("p2", "p3")]})
    assert (many.status, len(many.body[kind])) == (201, 2)
    assert api.post(path, {kind: []}).status == 400


def test_a_default_rule_names_what_is_there(api: Client, group: str) -> None:
    nobody = "11111111-1111-4111-8111-111111111111"
    for remote, error in (
        ({"remote_group_id": nobody}, "SecurityGroupNotFound"),
        ({"remote_group_id": ""}, "SecurityGroupNotFound"),
        ({"remote_group_id": "bad"}, "SecurityGroupNotFound"),
        ({"remote_address_group_id": nobody}, "AddressGroupNotFound"),
    ):
        assert post(api, "default_security_group_rule", direction="ingress", **remote).error == error
        in_group = post(api, "security_group_rule", security_group_id=group, direction="ingress", **remote)
        assert (in_group.status, in_group.error) == (404, error)
    kept = make(api, "default_security_group_rule", direction="ingress", remote_group_id=group)
    assert len(make(api, "security_group", name="before")["security_group_rules"]) == 3
    assert api.delete(f"/security-groups/{group}").status == 204
    assert api.get(f"/default-security-group-rules/{kept['id']}").status == 404, "it goes with its group"
    assert len(make(api, "security_group", name="after")["security_group_rules"]) == 2


def test_address_groups(api: Client, group: str) -> None:
    listed = ["10.0.0.0/8", "10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]
    made = make(api, "address_group", name="partners", addresses=listed)
    assert made["addresses"] == ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
    path = f"/address-groups/{made['id']}"
    added = api.put(f"{path}/add_addresses", {"addresses": ["198.51.100.0/24"]})
    assert added.status == 200, added
    assert "198.51.100.0/24" in added.body["address_group"]["addresses"]
    again = api.put(f"{path}/add_addresses", {"addresses": ["198.51.100.0/24"]})
    assert (again.status, again.error) == (400, "AddressesAlreadyExist")
    missing = api.put(f"{path}/remove_addresses", {"addresses": ["203.0.113.7"]})
    assert (missing.status, missing.error) == (404, "AddressesNotFound")
    assert api.put(f"{path}/remove_addresses", {"addresses": ["fd00::/8"]}).status == 200
    assert api.put(f"{path}/remove_addresses", {"addresses": "x"}).status == 400
    assert api.put(path, {"address_group": {"addresses": []}}).status == 400
    rule = make(
        api,
        "security_group_rule",
        security_group_id=group,
        direction="ingress",
        remote_address_group_id=made["id"],
    )
    assert rule["remote_address_group_id"] == made["id"]
    used = api.delete(path)
    assert (used.status, used.error) == (409, "AddressGroupInUse")
    assert api.delete(f"/security-groups/{group}").status == 204
    assert api.delete(path).status == 204


def test_extensions_are_announced(api: Client) -> None:
    listed = {one["alias"] for one in api.get("/extensions").body["extensions"]}
    assert listed >= {
        "security-group",
        "stateful-security-group",
        "security-groups-normalized-cidr",
        "security-groups-remote-address-group",
        "security-groups-shared-filtering",
        "security-groups-rules-belongs-to-default-sg",
        "security-groups-default-rules",
        "address-group",
    }


@pytest.fixture
def network(api: Client) -> str:
    network = str(api.make("network")["id"])
    api.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")
    return network


def test_a_port_has_the_default_group_of_its_project_unless_it_says_others(
    api: Client, network: str, group: str
) -> None:
    port = api.make("port", network_id=network, project_id="p1")
    [default] = api.get("/security-groups?project_id=p1").body["security_groups"]
    assert port["security_groups"] == [default["id"]]
    assert port["port_security_enabled"] is True
    assert api.make("port", network_id=network, security_groups=[])["security_groups"] == []
    assert api.make("port", network_id=network, security_groups=None)["security_groups"] == []
    both = api.make("port", network_id=network, security_groups=[group, default["id"]])
    assert both["security_groups"] == sorted([group, default["id"]])
    listed = api.get("/ports?security_groups=" + group).body["ports"]
    assert [one["id"] for one in listed] == [both["id"]]
    assert api.shown("port", both["id"])["security_groups"] == both["security_groups"]
    changed = api.put(f"/ports/{both['id']}", {"port": {"security_groups": [group]}})
    assert changed.body["port"]["security_groups"] == [group]
    assert changed.body["port"]["revision_number"] > both["revision_number"]
    named = api.put(f"/ports/{both['id']}", {"port": {"name": "n"}})
    assert named.body["port"]["security_groups"] == [group], "what is not named stays"
    bound = api.make("port", network_id=network, binding__host_id="h")
    assert bound["binding:vif_details"]["port_filter"] is True


def test_groups_that_ports_have_stay(api: Client, network: str, group: str) -> None:
    port = api.make("port", network_id=network, security_groups=[group])
    used = api.delete(f"/security-groups/{group}")
    assert (used.status, used.error) == (409, "SecurityGroupInUse")
    used = api.put(f"/security-groups/{group}", {"security_group": {"stateful": False}})
    assert (used.status, used.error) == (409, "SecurityGroupInUse")
    assert api.delete(f"/ports/{port['id']}").status == 204
    assert api.delete(f"/security-groups/{group}").status == 204


def test_what_port_security_refuses(api: Client, network: str, group: str) -> None:
    def refused(**attributes: Any) -> tuple[int, str]:
        return api.refused("port", network_id=network, **attributes)

    assert refused(security_groups=[MEMBER]) == (404, "SecurityGroupNotFound")
    assert refused(security_groups=["x"]) == (400, "HTTPBadRequest")
    assert refused(security_groups=[group], port_security_enabled=False) == (
        400,
        "PortSecurityAndIPRequiredForSecurityGroups",
    )
    loose = make(api, "security_group", stateful=False)["id"]
    assert refused(security_groups=[group, loose]) == (409, "SecurityGroupConflict")

    port = api.make("port", network_id=network, security_groups=[group])["id"]
    off = api.put(f"/ports/{port}", {"port": {"port_security_enabled": False}})
    assert (off.status, off.error) == (409, "PortSecurityPortHasSecurityGroup")
    body = {"port": {"port_security_enabled": False, "security_groups": []}}
    assert api.put(f"/ports/{port}", body).status == 200
    again = api.put(f"/ports/{port}", {"port": {"security_groups": [group]}})
    assert (again.status, again.error) == (400, "PortSecurityAndIPRequiredForSecurityGroups")
    both = {"port": {"security_groups": [group], "port_security_enabled": True}}
    assert api.put(f"/ports/{port}", both).status == 200


def test_the_clouds_own_ports_and_unsecured_networks_have_no_groups(api: Client, group: str) -> None:
    open_ = api.make("network", port_security_enabled=False)["id"]
    port = api.make("port", network_id=open_)
    assert (port["port_security_enabled"], port["security_groups"]) == (False, [])
    secured = api.make("network")["id"]
    own = api.make("port", network_id=secured, device_owner="network:something", security_groups=[group])
    assert (own["port_security_enabled"], own["security_groups"]) == (False, [])


ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "any",
        "tcp",
        "ICMP",
        58,
        -1,
        2**70,
        1.5,
        True,
        [],
        {},
        "\x00",
        "x" * 300,
        "10.0.0.5/24",
        "10.0.0.5",
        "::ffff:1.2.3.4",
        "fe80::1%eth0",
        "fd00::/8",
        "0.0.0.0/0",
        "ipv6",
        "IPv6",
        "ingress",
        MEMBER,
        22,
        "22",
        65535,
        65536,
        ["10.0.0.0/8"],
        [None],
        [MEMBER, MEMBER],
    ]
)
NAMES = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix",
         "remote_group_id", "remote_address_group_id", "security_group_id", "description")  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), ODD), ODD, st.booleans())
def test_whatever_is_sent_is_answered(
    api: Client, network: str, group: str, said: Item, odd: Any, known: bool
) -> None:
    given = {"direction": "ingress", **said, **({"security_group_id": group} if known else {})}
    answers = [
        post(api, "security_group_rule", **given),
        post(
            api, "default_security_group_rule", **{k: v for k, v in given.items() if k != "security_group_id"}
        ),
        post(api, "address_group", addresses=odd),
        post(api, "security_group", name=odd, stateful=odd),
        api.post("/ports", {"port": {"network_id": network, "security_groups": odd}}),
    ]
    assert {answer.status for answer in answers} <= {201, 400, 404, 409}, answers
