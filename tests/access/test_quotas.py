"""Quotas: limits, what is used, and that nobody gets more, however many ask at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.access.conftest import ONE, OTHER, User, Users
from tests.api.conftest import serve
from tests.api.test_security_groups import post


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return msgspec.structs.replace(settings, quota_network=3, quota_port=7)


def limits(user: User, project: str, what: str = "") -> dict[str, Any]:
    answer = user.get(f"/quotas/{project}{what}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body["quota"]
    return found


def test_limits_are_read_set_and_forgotten(users: Users) -> None:
    assert limits(users.reader, ONE)["network"] == 3
    assert {"subnet", "port", "router", "floatingip", "rbac_policy"} < limits(users.reader, ONE).keys()
    answer = users.admin.put(f"/quotas/{ONE}", {"quota": {"network": 5, "port": -1}})
    assert answer.status == 200
    assert answer.body["quota"]["network"] == limits(users.member, ONE)["network"] == 5
    assert limits(users.member, ONE, "/default")["network"] == 3
    (listed,) = users.admin.get("/quotas").body["quotas"]
    assert (listed["project_id"], listed["network"], listed["subnet"]) == (ONE, 5, 100)
    assert users.admin.delete(f"/quotas/{ONE}").status == 204
    assert limits(users.member, ONE)["network"] == 3
    gone = users.admin.delete(f"/quotas/{ONE}")
    assert (gone.status, gone.error) == (404, "ProjectQuotaNotFound")
    assert users.member.get("/quotas/project").body == {"project": {"project_id": ONE}}
    assert users.member.get("/quotas/tenant").body == {"tenant": {"tenant_id": ONE}}


def test_whose_limits_are_whose_business(users: Users) -> None:
    assert users.member.get(f"/quotas/{OTHER}").status == 403
    assert users.member.get("/quotas").status == 403
    assert users.manager.put(f"/quotas/{ONE}", {"quota": {"network": 9}}).status == 403
    assert users.member.delete(f"/quotas/{ONE}").status == 403
    wrong: object
    for wrong in ({"network": -2}, {"network": "many"}, {"nothing": 1}, []):
        assert users.admin.put(f"/quotas/{ONE}", {"quota": wrong}).status == 400


def test_details_and_limits_below_what_is_used(users: Users) -> None:
    users.member.make("network")
    users.member.make("network")
    assert limits(users.reader, ONE, "/details.json")["network"] == {"limit": 3, "used": 2, "reserved": 0}
    path = f"/quotas/{ONE}"
    refused = users.admin.put(path, {"quota": {"network": 1}})
    assert refused.status == 400
    assert "already used 2" in refused.message
    assert users.admin.put(path, {"quota": {"network": 1, "force": True}}).status == 200
    assert users.admin.put(path, {"quota": {"network": 2, "check_limit": True}}).status == 200


def test_nothing_beyond_the_limit(users: Users) -> None:
    answer = users.member.post("/networks", {"networks": [{"name": "n"}] * 4})
    assert (answer.status, answer.error) == (409, "OverQuota")
    assert answer.message == "Quota exceeded for resources: ['network']."
    assert users.member.get("/networks").body["networks"] == []
    assert users.member.post("/networks", {"networks": [{"name": "n"}] * 3}).status == 201
    assert users.member.refused("network") == (409, "OverQuota")
    assert users.admin.refused("network", project_id=ONE) == (409, "OverQuota")
    users.stranger.make("network")
    (first, *_) = users.member.get("/networks").body["networks"]
    users.member.delete(f"/networks/{first['id']}")
    users.member.make("network")


def test_rules_that_come_with_a_group_count(users: Users) -> None:
    assert users.member.get("/security-groups").status == 200, "the default group is there from now on"
    used = limits(users.member, ONE, "/details.json")["security_group_rule"]["used"]
    limit = {"quota": {"security_group_rule": used + 1}}
    assert users.admin.put(f"/quotas/{ONE}", limit).status == 200
    refused = post(users.member, "security_group")
    assert (refused.status, refused.error) == (409, "OverQuota")
    limit["quota"]["security_group_rule"] += 1
    assert users.admin.put(f"/quotas/{ONE}", limit).status == 200
    assert post(users.member, "security_group").status == 201


def test_without_authentication_only_what_is_set_counts(db: Database) -> None:
    for api in serve(db, ServerSettings(quota_network=1)):
        shown = api.get(f"/quotas/{ONE}").body["quota"]
        assert set(shown.values()) == {-1}
        for _ in range(2):
            api.make("network", project_id=ONE)
        assert api.put(f"/quotas/{ONE}", {"quota": {"network": 2}}).status == 200
        assert api.refused("network", project_id=ONE) == (409, "OverQuota")


def test_many_at_once_do_not_get_more(users: Users) -> None:
    network = users.member.make("network")["id"]

    def create(_: int) -> int:
        user = User(users.port, "member")
        try:
            return user.post("/ports", {"port": {"network_id": network}}).status
        finally:
            user.close()

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(create, range(24)))
    assert answers == [201] * 7 + [409] * 17
    assert len(users.member.get("/ports").body["ports"]) == 7
