"""RBAC policies: an object of one project, lent to another one or to all ("*").

That a network is `shared` is such a policy for all. That it is `router:external` is the network's own, and
comes with a policy that lets all projects see it.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, String, UniqueConstraint, select

from deuteron.resources import network, rows
from deuteron.resources.access import EVERYBODY, EXTERNAL, SHARED
from deuteron.resources.attribute import UNSET, Attr, Type
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, InvalidInput, NotFound
from deuteron.resources.l2_errors import InvalidSharedSetting
from deuteron.resources.rbac_users import USERS, on_network
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, UUID, integer, is_uuid, line, shown
from deuteron.store import metadata

_ACTIONS = {
    "network": (SHARED, EXTERNAL),
    "security_group": (SHARED,),
    "address_group": (SHARED,),
    "address_scope": (SHARED,),
    "subnetpool": (SHARED,),
    "qos_policy": (SHARED,),
}
"""What can be granted, by the type of the object."""
_CALLED = {"qos_policy": "policy"}
"""Type of objects -> their resource, where that is called otherwise."""


class RbacPolicyNotFound(NotFound):
    """`id`."""

    message = "RBAC policy with ID {id} not found"


class RbacPolicyInUse(Conflict):
    """`object_id`, `details`."""

    message = (
        "RBAC policy on object {object_id} cannot be removed because other objects depend on it.\n"
        "Details: {details}"
    )


class RbacPolicyInitError(BadRequest):
    """`object_id`, `reason`."""

    message = "RBAC policy on object {object_id} cannot be created because {reason}."


class DuplicateRbacPolicy(Conflict):
    """The same is granted already."""

    message = "An RBAC policy already exists with those values."


def create(call: Call, values: Item) -> Item:
    """Lend an object. Its project may, and an administrator."""
    type_, action = values["object_type"], values["action"]
    if type_ not in _ACTIONS:
        raise InvalidInput(error_message=f"'{shown(type_)}' is not a valid RBAC object type")
    if action not in _ACTIONS[type_]:
        raise InvalidInput(error_message=f"Invalid action '{shown(action)}' for object type '{type_}'")
    owner = _resource(type_)
    target = rows.get(call, owner, values["object_id"], lock=True)
    if not call.admin and (call.who is None or target["project_id"] != call.who.project_id):
        raise InvalidInput(
            error_message=f"Only admins can manipulate policies on {type_.replace('_', ' ')}s they do not own"
        )
    if type_ == "subnetpool":
        _refuse_beyond_scope(call, target, values["target_tenant"])
    row = rows.insert(call, resource, values)
    if row is None:
        raise DuplicateRbacPolicy
    rows.change(call, owner, target, {network.EXTERNAL: True} if action == EXTERNAL else {})
    return row


def _refuse_beyond_scope(call: Call, pool: Item, target: str) -> None:
    """Raise RbacPolicyInitError unless those to whom a pool is lent are also lent its address scope."""
    scope = pool["address_scope_id"]
    if scope and not _targets(call, scope, SHARED) & {EVERYBODY, target}:
        raise RbacPolicyInitError(
            object_id=pool["id"], reason=f"the target project has no access to its address scope {scope}"
        )


def update(call: Call, row: Item, changes: Item) -> Item:
    """Lend it to somebody else."""
    target = changes["target_tenant"] if "target_tenant" in changes else row["target_tenant"]
    if target == row["target_tenant"]:
        return row
    others = _others(call, row)
    if target in others:
        raise DuplicateRbacPolicy
    # Also from everybody to the only one who uses it: in Neutron, what is narrowed is first taken back.
    wider = target == EVERYBODY or row["object_type"] == "network"
    _refuse_if_used(call, row, others | {target} if wider else others)
    _touch(call, row, {})
    return rows.change(call, resource, row, {"target_tenant": target})


def remove(call: Call, row: Item) -> None:
    """Take it back. Raises RbacPolicyInUse where it is used."""
    others = _others(call, row)
    _refuse_if_used(call, row, others)
    rows.remove(call, resource, row["id"])
    _touch(call, row, {network.EXTERNAL: False} if row["action"] == EXTERNAL and not others else {})


def _touch(call: Call, row: Item, changes: Item) -> None:
    """Change the object that a policy lends; with nothing to change, its revision counts up all the same."""
    owner = _resource(row["object_type"])
    lent_ = rows.find(call, owner, row["object_id"], lock=True)
    if lent_ is not None:
        rows.change(call, owner, lent_, changes)


def _resource(type_: str) -> Resource:
    found: Resource = metadata.tables[_CALLED.get(type_, type_)].info["resource"]
    return found


def _others(call: Call, row: Item) -> set[str]:
    """Return to whom else the same is granted."""
    return _targets(call, row["object_id"], row["action"]) - {row["target_tenant"]}


def _targets(call: Call, object_id: str, action: str) -> set[str]:
    table = resource.table
    mine = select(table.c.target_tenant).where(table.c.object_id == object_id, table.c.action == action)
    return set(call.tx.execute(mine).scalars())


def _refuse_if_used(call: Call, row: Item, targets: set[str]) -> None:
    """Raise unless everybody who uses the object is among those to whom it will be lent."""
    in_use = USERS.get((row["object_type"], row["action"]))
    if in_use is None or EVERYBODY in targets:
        return
    lent_ = rows.find(call, _resource(row["object_type"]), row["object_id"], lock=True)
    if lent_ is None:
        return
    what = in_use(call, lent_, _unconcerned(row["object_type"], lent_, row["target_tenant"], targets))
    if row["action"] == EXTERNAL and row["target_tenant"] == EVERYBODY and lent_["is_default"]:
        what = "the default external network is everybody's"
    if what:
        raise RbacPolicyInUse(object_id=row["object_id"], details=what)


def _unconcerned(type_: str, lent_: Item, target: str, targets: set[str]) -> set[str]:
    """Return who may use an object that is taken back from a project, or from everybody.

    As in Neutron, what was lent to everybody also its own project must not use then, except networks.
    """
    return targets if target == EVERYBODY and type_ != "network" else {*targets, lent_["project_id"]}


def _grant(call: Call, type_: str, row: Item, action: str) -> None:
    values = {
        "project_id": row["project_id"],
        "object_type": type_,
        "object_id": row["id"],
        "action": action,
        "target_tenant": EVERYBODY,
    }
    rows.insert(call, resource, values)


def _revoke(call: Call, row: Item, *conditions: ColumnElement[bool]) -> None:
    table = resource.table
    mine = select(table.c.id).where(table.c.object_id == row["id"], *conditions)
    for id_ in call.tx.execute(mine).scalars().all():
        rows.remove(call, resource, id_)


def is_lent(call: Call, id_: ColumnElement[str], texts: list[str]) -> ColumnElement[bool]:
    """Return the condition of a filter `shared`: whether an object is lent to the one who asks."""
    try:
        wanted = {bool(BOOLEAN.convert(text)) for text in texts}
    except ValueError as error:
        raise InvalidInput(error_message=f"shared: {error}") from None
    targets = [EVERYBODY, *([call.who.project_id] if call.who else [])]
    mine = resource.table.c
    shared = select(mine.object_id).where(mine.action == SHARED, mine.target_tenant.in_(targets))
    if len(wanted) == 2:
        return id_.is_not(None)
    return id_.in_(shared) if wanted == {True} else id_.not_in(shared)


def lent(name: str, *, post: bool, put: bool, type_: str = "") -> Extension:
    """Return what gives a resource its `shared`: whether its objects are lent to the one who asks.

    `post`, `put`: these requests set it, and lend the object to everybody or not. `type_` is what RBAC
    policies call the resource, where that is not its name.
    """
    type_ = type_ or name

    def present(call: Call, items: list[Item]) -> None:
        targets = [EVERYBODY, *([call.who.project_id] if call.who else [])]
        table, found = resource.table, set()
        for part in rows.chunks(item["id"] for item in items):
            shared = select(table.c.object_id).where(
                table.c.object_id.in_(part), table.c.action == SHARED, table.c.target_tenant.in_(targets)
            )
            found |= set(call.tx.execute(shared).scalars())
        for item in items:
            item["shared"] = item["id"] in found

    def filtered(call: Call, texts: list[str]) -> ColumnElement[bool]:
        return is_lent(call, metadata.tables[name].c.id, texts)

    def created(call: Call, row: Item, values: Mapping[str, Any]) -> None:
        if values.get("shared"):
            _grant(call, type_, row, SHARED)

    def updating(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
        present(call, [row])
        if "shared" in changes:
            _share(call, type_, row, changes["shared"])

    def deleting(call: Call, row: Item) -> None:
        _revoke(call, row)

    return Extension(
        resource=name,
        name="rbac",
        attributes={
            "shared": Attr(type=BOOLEAN, default=False, post=post, put=put, stored=False, sort=False)
        },
        present=present,
        created=created,
        updating=updating,
        deleting=deleting,
        filters={"shared": filtered},
    )


def _share(call: Call, type_: str, row: Item, wanted: bool) -> None:
    """Lend an object to everybody, or no longer."""
    targets = _targets(call, row["id"], SHARED)
    if wanted and EVERYBODY not in targets:
        _grant(call, type_, row, SHARED)
    elif not wanted and EVERYBODY in targets:
        left = _unconcerned(type_, row, EVERYBODY, targets - {EVERYBODY})
        if type_ == "network" and on_network(call, row, left):
            raise InvalidSharedSetting(network=row["name"])
        in_use = USERS.get((type_, SHARED))
        if in_use and (what := in_use(call, row, left)):
            raise RbacPolicyInUse(object_id=row["id"], details=what)
        _revoke(call, row, resource.table.c.action == SHARED, resource.table.c.target_tenant == EVERYBODY)


def _created_network(call: Call, row: Item, values: Mapping[str, Any]) -> None:
    if values[network.EXTERNAL]:
        _grant(call, "network", row, EXTERNAL)


def _updating_network(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    wanted = changes.get(network.EXTERNAL, row[network.EXTERNAL])
    if wanted and not row[network.EXTERNAL]:
        _grant(call, "network", row, EXTERNAL)
    elif row[network.EXTERNAL] and not wanted:
        _revoke(call, row, resource.table.c.action == EXTERNAL)


def _target(value: Any) -> str:
    if value != EVERYBODY and not is_uuid(value):
        raise ValueError(f"'{shown(value)}' is not a valid target project ID; expected a UUID or '*'")
    return str(value)


_ABSENT = Attr(type=line(), default="", stored=False, visible=False)
_HIDDEN_TIME = Attr(type=line(20), default=UNSET, visible=False)

resource = Resource(
    name="rbac_policy",
    collection="rbac_policies",
    path="rbac-policies",
    not_found=RbacPolicyNotFound,
    attributes={
        "name": _ABSENT,
        "description": _ABSENT,
        "created_at": _HIDDEN_TIME,
        "updated_at": _HIDDEN_TIME,
        "revision_number": Attr(type=integer(0, 2**63 - 1), default=UNSET, visible=False),
        "object_type": Attr(type=line(64), post=True),
        "object_id": Attr(type=UUID, post=True, index=True),
        "action": Attr(type=line(64), post=True),
        "target_tenant": Attr(type=Type(_target, String(255)), post=True, put=True),
    },
    constraints=[UniqueConstraint("object_id", "action", "target_tenant")],
    create=create,
    update=update,
    delete=remove,
)

DECLARES = (
    resource,
    lent("network", post=True, put=True),
    Extension(resource="network", name="rbac_external", created=_created_network, updating=_updating_network),
    Alias(alias="rbac-policies", name="RBAC Policies", description="Objects of a project lent to others"),
)
