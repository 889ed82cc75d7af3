"""What is lent to another project and used there is not taken back."""

from collections.abc import Callable

import pytest

from deuteron.resources.access import SHARED
from tests.access.conftest import OTHER, User, Users
from tests.api.conftest import Answer
from tests.api.test_security_groups import make

PREFIX = "10.0.0.0/16"


def _lend(user: User, kind: str, id_: str) -> Answer:
    body = {"object_type": kind, "object_id": id_, "action": SHARED, "target_tenant": OTHER}
    return user.post("/rbac-policies", {"rbac_policy": body})


def _port(user: User, group: str) -> str:
    network = make(user, "network")["id"]
    return f"/ports/{make(user, 'port', network_id=network, security_groups=[group])['id']}"


def _rule(user: User, group: str) -> str:
    own = make(user, "security_group")["id"]
    rule = make(
        user, "security_group_rule", security_group_id=own, direction="ingress", remote_address_group_id=group
    )
    return f"/security-group-rules/{rule['id']}"


def _pool(user: User, scope: str) -> str:
    pool = make(user, "subnetpool", name="pool", prefixes=[PREFIX], address_scope_id=scope)
    return f"/subnetpools/{pool['id']}"


def _subnet(user: User, pool: str) -> str:
    network = make(user, "network")["id"]
    subnet = make(user, "subnet", network_id=network, ip_version=4, subnetpool_id=pool, prefixlen=24)
    return f"/subnets/{subnet['id']}"


@pytest.mark.parametrize(
    ("kind", "attributes", "use"),
    [
        ("security_group", {}, _port),
        ("address_group", {"addresses": ["192.0.2.0/24"]}, _rule),
        ("address_scope", {"name": "scope", "ip_version": 4}, _pool),
        ("subnetpool", {"name": "pool", "prefixes": [PREFIX]}, _subnet),
    ],
)
def test_who_uses_what_is_lent(
    users: Users, kind: str, attributes: dict[str, object], use: Callable[[User, str], str]
) -> None:
    id_ = make(users.member, kind, **attributes)["id"]
    policy = f"/rbac-policies/{_lend(users.member, kind, id_).body['rbac_policy']['id']}"
    user = use(users.stranger, id_)
    refused = users.member.delete(policy)
    assert (refused.status, refused.error) == (409, "RbacPolicyInUse")
    assert user.rpartition("/")[2] in refused.message
    assert users.stranger.delete(user).status == 204
    assert users.member.delete(policy).status == 204


def test_a_pool_is_lent_after_its_scope(users: Users) -> None:
    scope = make(users.member, "address_scope", name="scope", ip_version=4)["id"]
    pool = make(users.member, "subnetpool", name="pool", prefixes=[PREFIX], address_scope_id=scope)["id"]
    refused = _lend(users.member, "subnetpool", pool)
    assert (refused.status, refused.error) == (400, "RbacPolicyInitError")
    assert _lend(users.member, "address_scope", scope).status == 201
    assert _lend(users.member, "subnetpool", pool).status == 201
