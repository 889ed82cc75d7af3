"""Default rules: what a new security group begins with, a project's default group and others."""

from deuteron.resources import rows, security_rules
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.security_group_errors import (
    DefaultSecurityGroupRuleExists,
    DefaultSecurityGroupRuleNotFound,
)
from deuteron.resources.types import BOOLEAN, UUID, line

PARENT = "PARENT"
"""As a remote group: the one that gets the rule."""


def create(call: Call, values: Item) -> Item:
    """Create a default rule; groups that are there already stay as they are."""
    values = security_rules.checked(values)
    for known in rows.where(call, resource):
        both = any(known[use] and values[use] for use in ("used_in_default_sg", "used_in_non_default_sg"))
        if both and security_rules.meaning(known) == security_rules.meaning(values):
            raise DefaultSecurityGroupRuleExists(rule_id=known["id"])
    return rows.create(call, resource, values)


def of_new_group(call: Call, default: bool) -> list[Item]:
    """Return the rules that a new group begins with, in a lasting order."""
    use = resource.table.c.used_in_default_sg if default else resource.table.c.used_in_non_default_sg
    return sorted(rows.where(call, resource, use.is_(True)), key=security_rules.order)


resource = Resource(
    name="default_security_group_rule",
    collection="default_security_group_rules",
    path="default-security-group-rules",
    not_found=DefaultSecurityGroupRuleNotFound,
    attributes={
        **security_rules.ATTRIBUTES,
        "name": security_rules.NAMELESS,
        "project_id": Attr(type=line(), default="", post=True, visible=False),
        "remote_group_id": Attr(type=line(36), default=None, post=True, nullable=True),
        "remote_address_group_id": Attr(type=UUID, default=None, post=True, nullable=True),
        "used_in_default_sg": Attr(type=BOOLEAN, default=False, post=True),
        "used_in_non_default_sg": Attr(type=BOOLEAN, default=True, post=True),
    },
    create=create,
    updatable=False,
)

DECLARES = (
    resource,
    Alias(
        alias="security-groups-default-rules",
        name="Default rules for security groups",
        description="What new security groups begin with",
    ),
)
