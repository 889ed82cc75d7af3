"""Whether new security groups are stateful whose creators do not say: for one project, or for all."""

from sqlalchemy import select

from deuteron.resources import rows
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, NotFound
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.security_rules import NAMELESS
from deuteron.resources.types import BOOLEAN, empty_if_null, line

_NAME = "security_groups_default_statefulness"
EVERYBODY = ""
"""In place of a project; shown as null."""


class SecurityGroupDefaultStatefulnessNotFound(NotFound):
    """`id`."""

    message = "Security group default statefulness {id} could not be found."


class SecurityGroupDefaultStatefulnessAlreadyExists(Conflict):
    """`project_id`."""

    message = "A security group default statefulness setting already exists for project '{project_id}'."


def create(call: Call, values: Item) -> Item:
    """Say it for a project that has none said yet."""
    row = rows.insert(call, resource, values)
    if row is None:
        raise SecurityGroupDefaultStatefulnessAlreadyExists(project_id=values["project_id"] or "system-wide")
    return row


def of_project(call: Call, project_id: str) -> bool:
    """Return what counts for a project: its own, or else everybody's, or else stateful."""
    table = resource.table
    said = select(table.c.project_id, table.c.stateful).where(table.c.project_id.in_((project_id, EVERYBODY)))
    found = {row.project_id: row.stateful for row in call.tx.execute(said)}
    return bool(found.get(project_id, found.get(EVERYBODY, True)))


def present(call: Call, items: list[Item]) -> None:  # noqa: ARG001
    """Everybody is nobody."""
    for item in items:
        item["project_id"] = item["project_id"] or None


resource = Resource(
    name=_NAME,
    collection=_NAME,
    path=_NAME.replace("_", "-"),
    member="security_group_default_statefulness",  # as clients say it
    also=_NAME,  # as the API reference says it
    not_found=SecurityGroupDefaultStatefulnessNotFound,
    attributes={
        "name": NAMELESS,
        "description": NAMELESS,
        "project_id": Attr(type=empty_if_null(line(), EVERYBODY), default=UNSET, post=True, unique=True),
        "stateful": Attr(type=BOOLEAN, default=True, post=True, put=True),
    },
    create=create,
    present=present,
)

DECLARES = (
    resource,
    Alias(
        alias="security-groups-default-statefulness",
        name="Security Groups Default Statefulness",
        description="Whether new security groups are stateful, for a project or for all",
    ),
)
