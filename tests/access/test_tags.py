"""Tags: set, found by, taken away."""

import pytest

from tests.access.conftest import Users


def test_tags_of_an_object(users: Users) -> None:
    network = users.member.make("network")
    path = f"/networks/{network['id']}"
    assert network["tags"] == []
    assert users.member.put(f"{path}/tags", {"tags": ["red", "big"]}).body == {"tags": ["red", "big"]}
    assert users.member.put(f"{path}/tags/old", None).status == 201
    assert users.member.put(f"{path}/tags/old", None).status == 201
    assert users.member.post(f"{path}/tags", {"tags": ["new", "red"]}).status == 201
    assert users.reader.get(f"{path}/tags").body == {"tags": ["red", "big", "old", "new"]}
    shown = users.reader.get(path).body["network"]
    assert shown["tags"] == ["red", "big", "old", "new"]
    assert shown["revision_number"] == network["revision_number"] + 3
    assert users.reader.get(f"{path}/tags/red").status == 204
    assert users.member.delete(f"{path}/tags/red").status == 204
    gone = users.member.delete(f"{path}/tags/red")
    assert (gone.status, gone.error) == (404, "TagNotFound")
    assert users.reader.get(f"{path}/tags/red").error == "TagNotFound"
    assert users.member.delete(f"{path}/tags").status == 204
    assert users.reader.get(f"{path}/tags").body == {"tags": []}


def test_tags_of_what_has_a_prefix_in_its_path(users: Users) -> None:
    policy = users.admin.post("/qos/policies", {"policy": {"name": "p"}}).body["policy"]["id"]
    assert users.admin.put(f"/policies/{policy}/tags", {"tags": ["red"]}).status == 200
    assert users.admin.get(f"/qos/policies/{policy}/tags").body == {"tags": ["red"]}


def test_tags_of_trunks(users: Users) -> None:
    port = users.member.make("port", network_id=users.member.make("network")["id"])["id"]
    trunk = users.member.make("trunk", port_id=port)["id"]
    assert users.member.put(f"/trunks/{trunk}/tags", {"tags": ["red"]}).status == 200
    assert [one["id"] for one in users.reader.get("/trunks?tags=red").body["trunks"]] == [trunk]
    assert users.member.shown("trunk", trunk)["tags"] == ["red"]


def test_whose_tags(users: Users) -> None:
    path = f"/networks/{users.member.make('network')['id']}/tags"
    assert users.reader.put(f"{path}/a", None).status == 403
    for answer in (users.stranger.get(path), users.stranger.put(f"{path}/a", None)):
        assert (answer.status, answer.error) == (404, "NetworkNotFound")
    shared = f"/networks/{users.admin.make('network', shared=True)['id']}/tags"
    assert users.stranger.get(shared).status == 200
    assert users.stranger.delete(shared).status == 403


def test_wrong_tags(users: Users) -> None:
    path = f"/networks/{users.member.make('network')['id']}/tags"
    wrong: object
    for wrong in ({"tags": ["x" * 256]}, {"tags": ["a", "a"]}, {"tags": "a"}, {}, [], None):
        assert users.member.put(path, wrong).status == 400, wrong
    many = [f"tag{number}" for number in range(50)]
    assert users.member.put(path, {"tags": many}).status == 200
    assert users.member.put(f"{path}/one-more", None).status == 400
    assert users.member.get("/networks/none/tags").status == 404


@pytest.mark.parametrize("kind", ["network", "port", "router", "subnet", "security_group"])
def test_lists_by_tags(users: Users, kind: str) -> None:
    member = users.member
    network = member.make("network", name="home")["id"]
    path = f"/{kind.replace('_', '-')}s"
    needs = {"port": {"network_id": network}, "subnet": {"network_id": network, "ip_version": 4}}
    ids = {}
    for number, tags in enumerate([[], ["red"], ["red", "big"], ["big", 'q"u\\o'], ["re"]]):
        cidr = {"cidr": f"10.{number}.0.0/24"} if kind == "subnet" else {}
        body = {"name": "tagged", **needs.get(kind, {}), **cidr}
        id_ = member.post(path, {kind: body}).body[kind]["id"]
        assert member.put(f"{path}/{id_}/tags", {"tags": tags}).status == 200
        ids[id_] = number

    def found(query: str) -> list[int]:
        items = member.get(f"{path}?name=tagged&{query}").body[f"{kind}s"]
        return sorted(ids[one["id"]] for one in items)

    assert found("tags=red") == [1, 2]
    assert found("tags=red,big") == [2]
    assert found("tags-any=red,big") == [1, 2, 3]
    assert found("not-tags=red,big") == [0, 1, 3, 4]
    assert found("not-tags-any=red,big") == [0, 4]
    assert found("tags=RED") == []
    assert found("tags=q%22u%5Co") == [3]
    assert found("tags=u%5Co") == []


def test_ports_are_created_with_tags(users: Users) -> None:
    network = users.member.make("network")["id"]
    ports = [{"network_id": network, "tags": ["a", "b"]}, {"network_id": network}]
    made = users.member.post("/ports", {"ports": ports}).body["ports"]
    assert [one["tags"] for one in made] == [["a", "b"], []]
    (found,) = users.member.get("/ports?tags=a").body["ports"]
    assert found["tags"] == ["a", "b"]
    assert users.member.refused("network", tags=["a"])[0] == 400
