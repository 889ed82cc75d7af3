"""Who may do what with whose: every verb of every resource, for each role and each kind of object."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from deuteron.resources import registry
from deuteron.resources.resource import Resource
from tests.access.conftest import ONE, OTHER, User, Users
from tests.api.conftest import Answer

OK, UNSEEN, REFUSED = "ok", "not found", "forbidden"
_SAID = {200: OK, 201: OK, 204: OK, 404: UNSEEN, 403: REFUSED}
ROLES = ("reader", "member", "manager", "stranger", "service", "admin", "nobody")


@dataclass
class Things:
    """One object of each resource, of project ONE; networks also lent in each way."""

    ids: dict[str, str] = field(default_factory=dict)
    new: dict[str, dict[str, Any]] = field(default_factory=dict)
    """A body to create one more, in the caller's project."""


def _things(users: Users) -> Things:
    admin, member = users.admin, users.member
    things = Things()
    external = admin.make(
        "network",
        router__external=True,
        provider__network_type="flat",
        provider__physical_network="external",
    )["id"]
    admin.make("subnet", network_id=external, ip_version=4, cidr="203.0.113.0/24")
    network = member.make("network", name="own")["id"]
    subnet = member.make("subnet", network_id=network, ip_version=4, cidr="10.0.0.0/24")["id"]
    shared = admin.make("network", project_id=ONE, shared=True)["id"]
    lent = member.make("network")["id"]
    lending = {"object_type": "network", "object_id": lent, "action": "access_as_shared"}
    policy = _made(member, "rbac_policy", {**lending, "target_tenant": OTHER})
    things.ids = {
        "external network": external,
        "network": network,
        "shared network": shared,
        "lent network": lent,
        "rbac_policy": policy,
        "subnet": subnet,
        "port": member.make("port", network_id=network, port_security_enabled=False)["id"],
        "router": member.make("router", external_gateway_info={"network_id": external})["id"],
        "floatingip": member.make("floatingip", floating_network_id=external)["id"],
        "security_group": _made(member, "security_group", {"name": "own"}),
        "address_group": _made(member, "address_group", {"name": "own", "addresses": ["192.0.2.0/24"]}),
        "address_scope": _made(member, "address_scope", {"name": "own", "ip_version": 4}),
        "subnetpool": _made(member, "subnetpool", {"name": "own", "prefixes": ["192.0.2.0/24"]}),
        "policy": _made(admin, "policy", {"name": "own", "project_id": ONE}),
        "trunk": _made(member, "trunk", {"port_id": member.make("port", network_id=network)["id"]}),
        "ndp_proxy": _proxied(users),
        "security_groups_default_statefulness": _made(
            admin, "security_groups_default_statefulness", {"project_id": ONE}
        ),
        "metering_label": _made(admin, "metering_label", {"name": "own", "project_id": ONE}),
        "local_ip": _made(member, "local_ip", {"network_id": network}),
        "log": _made(users.manager, "log", {"resource_type": "security_group"}),
    }
    things.ids |= {
        "segment": admin.get(f"/segments?network_id={lent}").body["segments"][0]["id"],
        "network_segment_range": _made(admin, "network_segment_range", _RANGE),
    }
    counted = {"metering_label_id": things.ids["metering_label"], "remote_ip_prefix": "192.0.2.0/24"}
    things.ids["metering_label_rule"] = _made(
        admin, "metering_label_rule", {**counted, "direction": "ingress", "project_id": ONE}
    )
    rule = {"security_group_id": things.ids["security_group"], "direction": "ingress"}
    things.ids["security_group_rule"] = _made(member, "security_group_rule", {**rule, "protocol": "tcp"})
    things.new = {
        "network": {"name": "new"},
        "subnet": {"network_id": network, "ip_version": 4, "cidr": "10.1.0.0/24"},
        "port": {"network_id": network},
        "router": {"name": "new"},
        "floatingip": {"floating_network_id": external},
        "security_group": {"name": "new"},
        "security_group_rule": {**rule, "protocol": "udp"},
        "address_group": {"name": "new", "addresses": []},
        "address_scope": {"name": "new", "ip_version": 6},
        "subnetpool": {"name": "new", "prefixes": ["192.0.2.0/24"]},
        "local_ip": {"network_id": network},
        "rbac_policy": {
            "object_type": "network",
            "object_id": network,
            "action": "access_as_shared",
            "target_tenant": OTHER,
        },
    }
    return things


def _proxied(users: Users) -> str:
    """Make an NDP proxy, with all that it needs."""
    admin, member = users.admin, users.member
    scope = _made(admin, "address_scope", {"name": "six", "ip_version": 6, "shared": True})
    prefixes = {"prefixes": ["2001:db8:a::/48"], "default_prefixlen": 64, "shared": True}
    pool = _made(admin, "subnetpool", {"name": "six", "address_scope_id": scope, **prefixes})
    six = {"ip_version": 6, "subnetpool_id": pool}
    external = admin.make("network", router__external=True, provider__network_type="vxlan")["id"]
    admin.make("subnet", network_id=external, **six)
    network = member.make("network")["id"]
    subnet = member.make("subnet", network_id=network, **six)["id"]
    router = member.make("router", external_gateway_info={"network_id": external}, enable_ndp_proxy=True)[
        "id"
    ]
    assert member.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet}).status == 200
    port = member.make("port", network_id=network)["id"]
    return _made(member, "ndp_proxy", {"router_id": router, "port_id": port})


def _made(user: User, kind: str, body: dict[str, Any]) -> str:
    member = _resource(kind).member
    answer = user.post(f"/{_path(kind)}", {member: body})
    assert answer.status == 201, answer
    return str(answer.body[member]["id"])


def _resource(kind: str) -> Resource:
    return next(one for one in registry.load().resources.values() if one.name == kind)


def _path(thing: str) -> str:
    return _resource(thing.split()[-1]).path


_ADMINS = {**dict.fromkeys(ROLES, UNSEEN), "admin": OK}
_MANAGERS = {**dict.fromkeys(ROLES, UNSEEN), "manager": OK, "admin": OK}
_OWN = {**_MANAGERS, "reader": OK, "member": OK}
_OWN_AND_SERVICES = {**_OWN, "service": OK}
SHOWN = {
    "network": _OWN_AND_SERVICES,
    "shared network": dict.fromkeys(ROLES, OK),
    "lent network": {**_OWN_AND_SERVICES, "stranger": OK},
    "external network": dict.fromkeys(ROLES, OK),
    "subnet": _OWN_AND_SERVICES,
    "port": _OWN_AND_SERVICES,
    "router": _OWN,
    "floatingip": _OWN,
    "rbac_policy": _OWN,
    "security_group": _OWN,
    "security_group_rule": _OWN,
    "address_group": _OWN,
    "address_scope": _OWN,
    "subnetpool": _OWN,
    "policy": _OWN,
    "trunk": _OWN,
    "ndp_proxy": _OWN,
    "metering_label": _OWN,
    "security_groups_default_statefulness": _OWN,
    "metering_label_rule": _OWN,
    "local_ip": _OWN,
    "log": _MANAGERS,
    "segment": _ADMINS,
    "network_segment_range": _ADMINS,
}
"""Who sees what. A role that the rules do not name sees what is lent to all."""

_RANGE = {"network_type": "vxlan", "shared": False, "project_id": ONE, "minimum": 5000, "maximum": 5001}

_NEEDED_BY_NOTHING = (
    "segment",
    "network_segment_range",
    "floatingip",
    "port",
    "security_group_rule",
    "address_group",
    "address_scope",
    "subnetpool",
    "rbac_policy",
    "policy",
    "trunk",
    "ndp_proxy",
    "metering_label_rule",
    "security_groups_default_statefulness",
    "local_ip",
    "log",
)
_ONLY_SEEN = (
    "external network",
    "policy",
    "metering_label",
    "metering_label_rule",
    "security_groups_default_statefulness",
)
"""By members."""
_UNCHANGEABLE = ("security_group_rule", "metering_label", "metering_label_rule")
"""Neutron has no rule for it, and nothing to change but the description of the first."""
_CHANGES: dict[str, dict[str, Any]] = {
    "rbac_policy": {"target_tenant": OTHER},
    "address_scope": {"name": "changed"},
    "security_groups_default_statefulness": {"stateful": True},
}
_SERVICE_MAY = {"update port", "delete port", "create port"}


def _expected_change(verb: str, thing: str, role: str) -> str:
    if SHOWN[thing][role] == UNSEEN:
        return UNSEEN
    if role == "admin" or (role == "manager" and thing != "external network"):
        return OK
    if role == "member" and thing not in _ONLY_SEEN:
        return OK
    return OK if role == "service" and f"{verb} {thing}" in _SERVICE_MAY else REFUSED


def test_who_sees_what(users: Users) -> None:
    things = _things(users)
    found: dict[str, dict[str, str]] = {}
    listed: dict[str, dict[str, str]] = {}
    for thing, id_ in things.ids.items():
        shows = {role: users.all[role].get(f"/{_path(thing)}/{id_}") for role in ROLES}
        found[thing] = {role: _SAID[answer.status] for role, answer in shows.items()}
        listed[thing] = {}
        for role in ROLES:
            (items,) = users.all[role].get(f"/{_path(thing)}?id={id_}").body.values()
            listed[thing][role] = OK if [one["id"] for one in items] == [id_] else UNSEEN
    assert found == SHOWN
    assert listed == SHOWN, "a list leaves out exactly what is not shown"


@pytest.mark.parametrize("verb", ["update", "delete"])
def test_who_changes_what(users: Users, verb: str) -> None:
    things = _things(users)
    order = ("nobody", "stranger", "reader", "service", "member", "manager", "admin")
    for thing, id_ in things.ids.items():
        for role in order:
            expected = _expected_change(verb, thing, role)
            if verb == "delete" and expected == OK and thing not in _NEEDED_BY_NOTHING:
                continue  # that it may be, `update` shows
            if verb == "update" and thing in _UNCHANGEABLE:
                continue
            user, path = users.all[role], f"/{_path(thing)}/{id_}"
            kind = thing.split()[-1]
            changes = _CHANGES.get(kind, {"description": role})
            member = _resource(kind).member
            answer = user.put(path, {member: changes}) if verb == "update" else user.delete(path)
            assert _SAID.get(answer.status) == expected, (verb, thing, role, answer)
            if verb == "delete" and expected == OK:
                break


def test_who_creates_what(users: Users) -> None:
    things = _things(users)
    refused_for_reader = dict.fromkeys(things.new, REFUSED)
    for role in ("reader", "nobody"):
        answers = {kind: _create(users, role, kind, body) for kind, body in things.new.items()}
        seen = {kind: _SAID[answer.status] for kind, answer in answers.items()}
        below = ("subnet", "port", "security_group_rule", "local_ip")
        unseen = dict.fromkeys(below, UNSEEN) if role == "nobody" else {}
        assert seen == {**refused_for_reader, **unseen}, (role, answers)
    answers = {kind: _create(users, "stranger", kind, body) for kind, body in things.new.items()}
    assert {kind: answer.status for kind, answer in answers.items()} == {
        "network": 201,
        "subnet": 404,
        "port": 404,
        "router": 201,
        "floatingip": 201,
        "rbac_policy": 400,
        "security_group": 201,
        "security_group_rule": 404,
        "address_group": 201,
        "address_scope": 201,
        "subnetpool": 201,
        "local_ip": 404,
    }
    for role in ("member", "admin"):
        for kind in things.new.keys() - {"subnet", "security_group_rule", "rbac_policy"}:
            answer = _create(users, role, kind, things.new[kind])
            assert answer.status == 201, (role, kind, answer)
    assert _create(users, "service", "port", things.new["port"]).status == 201


def test_logs_are_made_by_managers(users: Users) -> None:
    body = {"log": {"resource_type": "security_group"}}
    types = {"loggable_resources": [{"type": "security_group"}, {"type": "snat"}]}
    for role in ROLES:
        may = role in ("manager", "admin")
        assert _SAID[users.all[role].post("/log/logs", body).status] == (OK if may else REFUSED), role
        listed = users.all[role].get("/log/loggable-resources").body
        assert listed == (types if role == "admin" else {"loggable_resources": []}), role
    theirs = {"log": {**body["log"], "project_id": OTHER}}
    assert users.manager.post("/log/logs", theirs).status == 400


def _create(users: Users, role: str, kind: str, body: dict[str, Any]) -> Any:
    return users.all[role].post(f"/{_path(kind)}", {kind: body})


def test_a_stranger_uses_what_is_lent_and_no_more(users: Users) -> None:
    things = _things(users)
    stranger = users.stranger
    for lent in ("shared network", "lent network"):
        id_ = things.ids[lent]
        assert stranger.post("/ports", {"port": {"network_id": id_}}).status == 201
        fixed = {"network_id": id_, "mac_address": "fa:16:3e:00:00:01"}
        answer = stranger.post("/ports", {"port": fixed})
        assert (answer.status, answer.error) == (403, "PolicyNotAuthorized")
        assert "create_port:mac_address" in answer.message
        subnet = {"network_id": id_, "ip_version": 4, "cidr": "10.7.0.0/24"}
        assert stranger.post("/subnets", {"subnet": subnet}).status == 403
    router = stranger.make("router")["id"]
    for body in ({"subnet_id": things.ids["subnet"]}, {"port_id": things.ids["port"]}):
        assert stranger.put(f"/routers/{router}/add_router_interface", body).status == 404
    own = {"network_id": things.ids["network"]}
    assert stranger.put(f"/routers/{router}", {"router": {"external_gateway_info": own}}).status == 404
    assert (
        stranger.post(
            "/floatingips",
            {
                "floatingip": {
                    "floating_network_id": things.ids["external network"],
                    "port_id": things.ids["port"],
                }
            },
        ).status
        == 404
    )
    assert stranger.put(f"/routers/{things.ids['router']}/add_router_interface", {}).status == 404
    reader = users.reader.put(
        f"/routers/{things.ids['router']}/add_router_interface", {"subnet_id": things.ids["subnet"]}
    )
    assert (reader.status, reader.error) == (403, "PolicyNotAuthorized")


def test_attributes_for_some(users: Users) -> None:
    things = _things(users)
    network = f"/networks/{things.ids['network']}"
    assert "provider:segmentation_id" not in users.member.get(network).body["network"]
    assert "provider:segmentation_id" in users.admin.get(network).body["network"]
    port = f"/ports/{things.ids['port']}"
    assert not any(name.startswith("binding:h") for name in users.member.get(port).body["port"])
    assert "binding:host_id" in users.service.get(port).body["port"]
    listed = users.member.get("/ports?fields=binding:host_id&fields=id").body["ports"]
    assert {"id": things.ids["port"]} in listed
    for attribute, value in (("shared", True), ("router:external", True), ("provider:segmentation_id", 7)):
        answer = users.member.post("/networks", {"network": {attribute: value}})
        assert (answer.status, answer.error) == (403, "PolicyNotAuthorized"), attribute
    assert users.member.put(network, {"network": {"shared": True}}).status == 403
    assert users.member.put(port, {"port": {"binding:host_id": "h"}}).status == 403
    assert users.service.put(port, {"port": {"binding:host_id": "h"}}).status == 200
    assert users.member.put(port, {"port": {"device_owner": "network:dhcp"}}).status == 200
    snat = {"network_id": things.ids["external network"], "enable_snat": False}
    answer = users.member.post("/routers", {"router": {"external_gateway_info": snat}})
    assert "external_gateway_info:enable_snat" in answer.message
    router = f"/routers/{things.ids['router']}"
    assert not {"ha", "distributed"} & users.member.get(router).body["router"].keys()
    assert {"ha", "distributed"} <= users.admin.get(router).body["router"].keys()
    for attribute in ("ha", "distributed"):
        for value in (True, False):
            mode = {"router": {attribute: value}}
            for answer in (users.manager.post("/routers", mode), users.manager.put(router, mode)):
                assert (answer.status, answer.error) == (403, "PolicyNotAuthorized"), (attribute, value)


def test_for_whom_things_are_created(users: Users) -> None:
    answer = users.member.post("/networks", {"network": {"project_id": OTHER}})
    assert answer.status == 400
    assert "requires admin" in answer.message
    assert users.admin.make("network", project_id=OTHER)["project_id"] == OTHER
    assert users.member.make("network", project_id=ONE)["tenant_id"] == ONE


def test_a_floating_ip_is_for_ports_of_its_own_project(users: Users) -> None:
    things = _things(users)
    other = users.admin.make("port", network_id=things.ids["network"], project_id=OTHER)["id"]
    path, body = f"/floatingips/{things.ids['floatingip']}", {"floatingip": {"port_id": other}}
    refused = users.member.put(path, body)
    assert (refused.status, refused.error) == (400, "BadRequest")
    assert "different project" in refused.message
    assert users.admin.put(path, body).status != 400, "an administrator may"


def test_a_floating_ip_goes_by_routers_that_one_sees(users: Users) -> None:
    things = _things(users)
    gateway = {"network_id": things.ids["external network"]}
    theirs = users.stranger.make("router", external_gateway_info=gateway)["id"]
    path = f"/floatingips/{things.ids['floatingip']}"

    def by(user: User, router: str) -> Answer:
        return user.put(path, {"floatingip": {"port_id": things.ids["port"], "router_id": router}})

    refused = by(users.member, theirs)
    assert (refused.status, refused.error) == (404, "RouterNotFound")
    assert by(users.member, things.ids["router"]).status == 200
    assert by(users.reader, things.ids["router"]).status == 403
    assert by(users.admin, theirs).body["floatingip"]["router_id"] == theirs


def test_agents_and_v1_are_the_administrators(users: Users) -> None:
    assert users.member.get("/agents").body == {"agents": []}
    assert users.member.get(f"/agents/{ONE}").status == 404
    assert users.member.get("/availability_zones").status == 200
    network = users.member.make("network")["id"]
    assert users.member.get(f"/networks/{network}/dhcp-agents").status == 403
    assert users.admin.get(f"/networks/{network}/dhcp-agents").body == {"agents": []}
    assert users.member.get("//v1/status").status == 403
    assert users.admin.get("//v1/status").status == 200


def test_pages_and_markers_know_only_what_is_seen(users: Users) -> None:
    things = _things(users)
    stranger = users.stranger
    assert stranger.get(f"/networks?marker={things.ids['network']}").status == 404
    seen = {one["id"] for one in stranger.get("/networks").body["networks"]}
    paged: list[str] = []
    marker = ""
    while page := stranger.get(f"/networks?limit=1&sort_key=name&sort_dir=asc{marker}").body["networks"]:
        paged += [one["id"] for one in page]
        marker = f"&marker={page[-1]['id']}"
    assert set(paged) == seen
    assert len(paged) == len(seen) == 4


def test_every_resource_is_in_the_matrix() -> None:
    """A new resource is added to this file's things, or to those that are nobody's own.

    Those that live below another, or are other names of such, have tests of their own.
    """
    nobodys = {
        "agent",
        "auto_allocated_topology",
        "availability_zone",
        "default_security_group_rule",
        "flavor",
        "service_profile",
        "network_ip_availability",
        "rule_type",
        "service_provider",
        "floatingip_pool",
        "loggable_resource",
    }
    known = registry.load().resources.values()
    own = {one.name for one in known if not one.parent and not one.name.startswith("alias_")}
    assert own - nobodys == {thing.split()[-1] for thing in SHOWN}


def test_every_resource_is_guarded() -> None:
    """Each verb of each resource has a rule of its own, and so has each action."""
    known = registry.load()
    missing = []
    for resource in known.resources.values():
        verbs = {
            "get": True,
            "create": resource.creatable,
            "update": resource.updatable,
            "delete": resource.deletable,
        }
        wanted = [f"{verb}_{resource.name}" for verb, there in verbs.items() if there]
        wanted += [*resource.actions, *(f"get_{one.rule or name}" for name, one in resource.children.items())]
        missing += [name for name in wanted if name not in known.rules]
    # Neutron has no rule for it either: the default one counts.
    assert set(missing) <= {"update_security_group_rule"}
