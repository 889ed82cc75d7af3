"""The rules mean here what they mean to oslo.policy."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oslo_config import cfg
from oslo_policy import policy as oslo

from deuteron.policy import All, Either, Field, Match, Never, Policy, PolicyError, Tree, Who, load
from deuteron.policy.defaults import RULES

PROJECTS = st.sampled_from(["p1", "p2"])
ROLES = st.frozensets(st.sampled_from(["admin", "manager", "member", "reader", "service", "advsvc", "other"]))
CALLERS = st.builds(Who, user_id=st.just("u"), project_id=PROJECTS, roles=ROLES, service_roles=ROLES)
LEAVES = st.sampled_from(
    [
        "role:admin",
        "role:MEMBER",
        "rule:a",
        "rule:b",
        "project_id:%(project_id)s",
        "user_id:u",
        "service_roles:service",
        "@",
        "!",
    ]
)
CHECKS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) and ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) or ({two[1]})"),
    ),
    max_leaves=8,
)
INNER = {"a": "role:reader or project_id:%(project_id)s", "b": "not rule:a", "default": "!"}


def holds(tree: Tree, target: dict[str, Any]) -> bool:
    match tree:
        case All(parts):
            return all(holds(part, target) for part in parts)
        case Either(parts):
            return any(holds(part, target) for part in parts)
        case Never(part):
            return not holds(part, target)
        case Match(path, values):
            return target[path] in values
    assert isinstance(tree, bool)
    return tree


@given(CHECKS, CALLERS, PROJECTS)
def test_the_language_is_oslos(check: str, who: Who, owner: str) -> None:
    rules = {**INNER, "asked": check}
    enforcer = oslo.Enforcer(cfg.ConfigOpts(), use_conf=False, rules=oslo.Rules.from_dict(rules))
    credentials = {
        "roles": list(who.roles),
        "service_roles": list(who.service_roles),
        "project_id": who.project_id,
        "user_id": who.user_id,
    }
    target = {"project_id": owner}
    rest = Policy(rules).of(who, "asked")
    assert holds(rest, target) == bool(enforcer.enforce("asked", target, credentials)), rest


def test_what_the_caller_alone_decides_is_decided() -> None:
    policy = Policy(RULES)
    admin = Who(project_id="p", roles=frozenset({"admin", "member", "reader"}))
    member = Who(project_id="p", roles=frozenset({"member", "reader"}))
    assert policy.of(admin, "get_port") is True
    assert policy.of(member, "create_network:shared") is False
    assert policy.of(member, "get_router") == Match("project_id", frozenset({"p"}))
    assert policy.of(member, "delete_router") == Match("project_id", frozenset({"p"}))
    own, network = Match("project_id", frozenset({"p"})), Match("network:project_id", frozenset({"p"}))
    assert policy.of(member, "get_port") == Either((network, own))
    assert policy.of(Who(project_id="p"), "get_network") == Either(
        (Field("networks", "shared", "True"), Field("networks", "router:external", "True"))
    )
    assert policy.of(Who(roles=frozenset({"member"})), "get_router") is False
    assert policy.of(member, "there_is_no_such_rule") == own


def test_a_file_replaces_rules(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text('"create_network": "role:networker"\n"mine": "rule:create_network"\n')
    policy = load(RULES, path)
    assert policy.allows(Who(roles=frozenset({"networker"})), "mine")
    assert not policy.allows(Who(roles=frozenset({"admin"})), "create_network")
    assert policy.allows(Who(roles=frozenset({"admin"})), "update_network")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"a": "rule:b"\n"b": "rule:a"', "uses itself"),
        ('"a": "rule:nothing"', "rule:nothing, which there is not"),
        ('"a": "role:x and"', "is not a rule"),
        ('"a": 7', "not a text"),
        ('"a": "field:networks"', "not field:COLLECTION:ATTRIBUTE=VALUE"),
        ('"a": "http://example.invalid/check"', "not supported"),
        ("a: [", "policy.yaml"),
        ("- a", "policy.yaml"),
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=says):
        load(RULES, path)
    with pytest.raises(PolicyError, match=r"policy\.yaml"):
        load(RULES, path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="No such file"):
        load(RULES, tmp_path / "policy.yaml")
