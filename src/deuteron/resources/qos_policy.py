"""QoS policies: rules of how much, and how marked, the traffic of who has the policy may be."""

from sqlalchemy import select, text

from deuteron.resources import rows
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.qos_errors import QoSPolicyDefaultAlreadyExists, QosPolicyNotFound
from deuteron.resources.resource import Alias, Item, Resource, index
from deuteron.resources.types import BOOLEAN


def create(call: Call, values: Item) -> Item:
    """Create a policy; its project has at most one that is the default of its new networks."""
    row = rows.insert(call, resource, values)
    if row is None:
        raise QoSPolicyDefaultAlreadyExists(project_id=values["project_id"])
    return row


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a policy."""
    if changes.get("is_default") and default_of(call, row["project_id"]) not in (None, row["id"]):
        raise QoSPolicyDefaultAlreadyExists(project_id=row["project_id"])
    return rows.change(call, resource, row, changes)


def default_of(call: Call, project_id: str) -> str | None:
    """Return a project's default policy, if it has one."""
    table = resource.table
    mine = select(table.c.id).where(table.c.project_id == project_id, table.c.is_default.is_(True))
    return call.tx.execute(mine).scalar_one_or_none()


resource = Resource(
    name="policy",
    collection="policies",
    path="qos/policies",
    not_found=QosPolicyNotFound,
    attributes={"is_default": Attr(type=BOOLEAN, default=False, post=True, put=True, sort=False)},
    constraints=[index("project_id", unique=True, where=text("is_default"), name="uq_policy_default")],
    create=create,
    update=update,
)

DECLARES = (
    resource,
    Alias(alias="qos", name="Quality of Service", description="How much traffic there may be"),
    Alias(
        alias="qos-default",
        name="QoS default policy",
        description="The policy of a project's new networks",
    ),
)
