"""Security groups and their rules: which traffic the ports that have a group may receive and send."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, ForeignKey, String, Table, select

from deuteron.resources import default_security_group_rule as templates
from deuteron.resources import default_statefulness, quota, rows, security_rules
from deuteron.resources.address_group import resource as address_group
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.security_group_errors import (
    AddressGroupInUse,
    SecurityGroupCannotRemoveDefault,
    SecurityGroupCannotUpdateDefault,
    SecurityGroupDefaultAlreadyExists,
    SecurityGroupInUse,
    SecurityGroupNotFound,
    SecurityGroupRuleExists,
    SecurityGroupRuleNotFound,
)
from deuteron.resources.types import BOOLEAN, DERIVED, line
from deuteron.store import ID_LENGTH, metadata

DEFAULT = "default"

default_group = Table(
    "default_security_group",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column(
        "security_group_id",
        String(ID_LENGTH),
        ForeignKey("security_group.id", ondelete="CASCADE"),
        nullable=False,
        unique=True,
    ),
)
"""The default group of each project that has one."""

port_group = Table(
    "port_security_group",
    metadata,
    Column("port_id", String(ID_LENGTH), ForeignKey("port.id", ondelete="CASCADE"), primary_key=True),
    Column(
        "security_group_id", String(ID_LENGTH), ForeignKey("security_group.id"), primary_key=True, index=True
    ),
)
"""The groups of each port. Changes are in the change log as the port's."""


def default_of(call: Call, project_id: str) -> str:
    """Return the id of a project's default group, made now if there is none."""

    def read() -> str | None:
        column = default_group.c.security_group_id
        found = call.tx.execute(select(column).where(default_group.c.project_id == project_id)).first()
        return found and found[0]

    known = call.tx.once(resource.name, f"default of {project_id}", read)
    if known:
        return known
    row = rows.create(call, resource, {
        "name": DEFAULT,
        "description": "Default security group",
        "project_id": project_id,
        "stateful": default_statefulness.of_project(call, project_id),
    })  # fmt: skip
    # Another transaction may be doing the same: then this fails, and the next attempt finds that one's.
    call.tx.execute(default_group.insert(), {"project_id": project_id, "security_group_id": row["id"]})
    _begin(call, row, default=True)
    return str(row["id"])


def create(call: Call, values: Item) -> Item:
    """Create a group; it begins with the default rules."""
    if values["name"].lower() == DEFAULT:
        raise SecurityGroupDefaultAlreadyExists
    if values["project_id"]:
        default_of(call, values["project_id"])
    if values["stateful"] is UNSET:
        values["stateful"] = default_statefulness.of_project(call, values["project_id"])
    row = rows.create(call, resource, values)
    _begin(call, row, default=False)
    return row


def _begin(call: Call, group: Item, *, default: bool) -> None:
    for template in templates.of_new_group(call, default):
        if not default:
            quota.take(call, rule, group)
        remote = template["remote_group_id"]
        rows.create(call, rule, {
            **{name: template[name] for name in security_rules.ATTRIBUTES},
            "name": "",
            "description": "",
            "project_id": group["project_id"],
            "security_group_id": group["id"],
            "remote_group_id": group["id"] if remote == templates.PARENT else remote,
            "remote_address_group_id": template["remote_address_group_id"],
        })  # fmt: skip


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a group."""
    if "name" in changes:
        if row["name"] == DEFAULT:
            raise SecurityGroupCannotUpdateDefault
        if changes["name"].lower() == DEFAULT:
            raise SecurityGroupDefaultAlreadyExists
    if changes.get("stateful", row["stateful"]) != row["stateful"] and _has_ports(call, row["id"]):
        raise SecurityGroupInUse(id=row["id"])
    return rows.change(call, resource, row, changes)


def delete(call: Call, row: Item) -> None:
    """Delete a group that no port has, with its rules and those, also default ones, that name it."""
    if _has_ports(call, row["id"]):
        raise SecurityGroupInUse(id=row["id"])
    if row["name"] == DEFAULT and not call.admin:
        raise SecurityGroupCannotRemoveDefault
    # The database would remove them too, but not say so in the change log.
    naming = rule.table.c.remote_group_id == row["id"]
    for other in rows.where(call, rule, naming, rule.table.c.security_group_id != row["id"]):
        delete_rule(call, other)
    templated = templates.resource.table.c.remote_group_id == row["id"]
    for template in rows.where(call, templates.resource, templated):
        rows.remove(call, templates.resource, template["id"])
    rows.remove(call, resource, row["id"])


def _has_ports(call: Call, id_: str) -> bool:
    statement = select(port_group.c.port_id).where(port_group.c.security_group_id == id_).limit(1)
    return call.tx.execute(statement).first() is not None


def present(call: Call, items: list[Item]) -> None:
    """Fill in the groups' rules."""
    found: dict[str, list[Item]] = {item["id"]: [] for item in items}
    for part in rows.chunks(found):
        for one in rows.where(call, rule, rule.table.c.security_group_id.in_(part)):
            found[one["security_group_id"]].append(one)
    shown = [name for name, attr in rule.attributes.items() if attr.visible and name != _BELONGS]
    for item in items:
        ordered = sorted(found[item["id"]], key=lambda one: (security_rules.order(one), one["id"]))
        item["security_group_rules"] = [
            {**{name: _value(one, name) for name in shown}, "tenant_id": one["project_id"]} for one in ordered
        ]


def _value(item: Item, name: str) -> Any:
    return security_rules.normalized(item["remote_ip_prefix"]) if name == _NORMALIZED else item[name]


def before_listing(call: Call, filters: Mapping[str, list[str]]) -> None:
    """A project that asks for its groups has a default one."""
    named = filters.get("project_id") or [call.project_id]
    if len(named) == 1 and named[0] and (call.admin or named[0] == call.project_id):
        default_of(call, named[0])


def create_rule(call: Call, values: Item) -> Item:
    """Add a rule to a group. The group is locked: two equal rules cannot come to be unseen."""
    values = security_rules.checked(values)
    group = rows.get(call, resource, values["security_group_id"], lock=True)
    values["project_id"] = values["project_id"] or group["project_id"]
    _check_remote(call, values)
    for known in rows.where(call, rule, rule.table.c.security_group_id == group["id"]):
        if security_rules.meaning(known) == security_rules.meaning(values):
            raise SecurityGroupRuleExists(rule_id=known["id"])
    rows.change(call, resource, group, {})
    return rows.create(call, rule, values)


def _check_remote(call: Call, values: Mapping[str, Any]) -> None:
    """Raise not found unless the groups that a rule names are there."""
    if values["remote_group_id"] is not None:
        rows.get(call, resource, values["remote_group_id"])
    if values["remote_address_group_id"] is not None:
        rows.get(call, address_group, values["remote_address_group_id"])


def _created_template(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    """A default rule that names what is not there would keep every new group from being made."""
    own = row["remote_group_id"] == templates.PARENT
    _check_remote(call, {**row, "remote_group_id": None} if own else row)


def update_rule(call: Call, row: Item, changes: Item) -> Item:
    """Change what is said of a rule; what it does cannot be changed."""
    return rows.change(call, rule, row, changes)


def delete_rule(call: Call, row: Item) -> None:
    """Remove a rule from its group."""
    group = rows.get(call, resource, row["security_group_id"], lock=True)
    rows.remove(call, rule, row["id"])
    rows.change(call, resource, group, {})


def present_rules(call: Call, items: list[Item]) -> None:
    """Fill in what follows from a rule, and whether its group is a default one."""
    default: set[str] = set()
    for part in rows.chunks({item["security_group_id"] for item in items}):
        column = default_group.c.security_group_id
        default.update(row[0] for row in call.tx.execute(select(column).where(column.in_(part))))
    for item in items:
        item[_NORMALIZED] = security_rules.normalized(item["remote_ip_prefix"])
        item[_BELONGS] = item["security_group_id"] in default


def _deleting_address_group(call: Call, row: Item) -> None:
    for table in (rule.table, templates.resource.table):
        users = select(table.c.id).where(table.c.remote_address_group_id == row["id"])
        if call.tx.execute(users.limit(1)).first() is not None:
            raise AddressGroupInUse(id=row["id"])


_ID = line(ID_LENGTH)
"""What is no UUID is not found, as in Neutron."""
_NORMALIZED, _BELONGS = "normalized_cidr", "belongs_to_default_sg"

resource = Resource(
    name="security_group",
    collection="security_groups",
    path="security-groups",
    not_found=SecurityGroupNotFound,
    attributes={
        "stateful": Attr(type=BOOLEAN, default=UNSET, post=True, put=True),
        "security_group_rules": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False),
    },
    create=create,
    update=update,
    delete=delete,
    present=present,
    before_listing=before_listing,
)

rule = Resource(
    name="security_group_rule",
    collection="security_group_rules",
    path="security-group-rules",
    not_found=SecurityGroupRuleNotFound,
    attributes={
        **security_rules.ATTRIBUTES,
        "name": security_rules.NAMELESS,
        "security_group_id": Attr(
            type=_ID, post=True, index=True, references="security_group.id", on_delete="CASCADE"
        ),
        "remote_group_id": Attr(
            type=_ID,
            default=None,
            post=True,
            nullable=True,
            index=True,
            references="security_group.id",
            on_delete="CASCADE",
        ),
        "remote_address_group_id": Attr(
            type=_ID, default=None, post=True, nullable=True, index=True, references="address_group.id"
        ),
        _NORMALIZED: security_rules.NORMALIZED,
        _BELONGS: Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False),
    },
    create=create_rule,
    update=update_rule,
    delete=delete_rule,
    present=present_rules,
)

DECLARES = (
    resource,
    rule,
    Extension(resource="address_group", name="rules", deleting=_deleting_address_group),
    Extension(resource="default_security_group_rule", name="remote", created=_created_template),
    Alias(alias="security-group", name="security-group", description="The security groups extension."),
    Alias(
        alias="stateful-security-group",
        name="Stateful security group",
        description="Whether answers need rules of their own",
    ),
    Alias(
        alias="security-groups-normalized-cidr",
        name="Normalized CIDR field for security group rules",
        description="A rule's prefix without the bits of the host",
    ),
    Alias(
        alias="security-groups-remote-address-group",
        name="Remote address group id field for security group rules",
        description="Rules for an address group",
    ),
    Alias(
        alias="security-groups-rules-belongs-to-default-sg",
        name="Security group rule belongs to the project's default security group",
        description="Whether a rule is a default group's",
    ),
    Alias(
        alias="security-groups-name-restrictions",
        name="Security group name restrictions",
        description="Names can be printed, and neither begin nor end with a blank",
    ),
)
