"""Logs: which packets hosts write down, of those that security groups judge or routers translate.

A log is of one security group, of one port, of both, or of all ports of its project; or of one router.
"""

from typing import Any

from sqlalchemy import ColumnElement

from deuteron.resources import access, port, port_security, router, rows, security_group
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, InvalidInput, NotFound
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, UUID, line, one_of, shown

SECURITY_GROUP, SNAT = "security_group", "snat"
TYPES = (SECURITY_GROUP, SNAT)
ACCEPT, DROP, ALL = "ACCEPT", "DROP", "ALL"


class LogResourceNotFound(NotFound):
    """`id`."""

    message = "Log resource {id} could not be found."


class LoggableResourceNotFound(NotFound):
    """`id`."""

    message = "Loggable resource {id} could not be found."


class InvalidLogResourceType(InvalidInput):
    """`resource_type`."""

    message = "Invalid log resource_type: {resource_type}."


class LoggingTypeNotSupported(Conflict):
    """`log_type`, `port_id`."""

    message = "Logging type {log_type} is not supported on port {port_id}."


class ResourceNotFound(NotFound):
    """`resource_id`."""

    message = "Resource {resource_id} could not be found."


class TargetResourceNotFound(NotFound):
    """`target_id`."""

    message = "Target resource {target_id} could not be found."


class InvalidResourceConstraint(InvalidInput):
    """`resource`, `resource_id`, `target_resource`, `target_id`."""

    message = (
        "Invalid resource constraint between resource ({resource} {resource_id}) and target resource "
        "({target_resource} {target_id})."
    )


class ResourceIdNotSpecified(InvalidInput):
    """`resource_type`."""

    message = "resource_id should be specified for {resource_type}."


class EventsDisabled(InvalidInput):
    """`events`, `resource_type`."""

    message = "List of events {events} were disabled for {resource_type}."


class RouterNotEnabledSnat(Conflict):
    """`resource_id`."""

    message = "SNAT is not enabled for router {resource_id}."


class RouterGatewayNotSet(Conflict):
    """`resource_id`."""

    message = "Router gateway is not set for router {resource_id}."


def create(call: Call, values: Item) -> Item:
    """Create a log of something that is there."""
    if values["resource_type"] not in TYPES:
        raise InvalidLogResourceType(resource_type=shown(values["resource_type"]))
    if values["resource_type"] == SNAT:
        _check_router(call, values["resource_id"], values["event"])
    else:
        _check_security_group(call, values["resource_id"], values["target_id"])
    return rows.create(call, resource, values)


def _check_router(call: Call, router_id: str | None, event: str) -> None:
    if router_id is None:
        raise ResourceIdNotSpecified(resource_type=SNAT)
    if event != ALL:
        raise EventsDisabled(events=[DROP, ACCEPT], resource_type=SNAT)
    row = _seen(call, router.resource, router_id)
    if row is None:
        raise ResourceNotFound(resource_id=router_id)
    if not row["enable_snat"]:
        raise RouterNotEnabledSnat(resource_id=router_id)
    if not row["gw_port_id"]:
        raise RouterGatewayNotSet(resource_id=router_id)


def _check_security_group(call: Call, group_id: str | None, port_id: str | None) -> None:
    if group_id is not None and _seen(call, security_group.resource, group_id) is None:
        raise ResourceNotFound(resource_id=group_id)
    if port_id is None:
        return
    row = _seen(call, port.resource, port_id)
    if row is None:
        raise TargetResourceNotFound(target_id=port_id)
    if port_security.is_trusted(row["device_owner"]):
        raise LoggingTypeNotSupported(log_type=SECURITY_GROUP, port_id=port_id)
    groups = port_security.of_ports(call, [port_id]).get(port_id, ())
    if group_id is not None and group_id not in groups:
        raise InvalidResourceConstraint(
            resource=SECURITY_GROUP, resource_id=group_id, target_resource="port", target_id=port_id
        )


def _seen(call: Call, of: Resource, id_: str) -> Item | None:
    row = rows.find(call, of, id_, lock=True)
    return row if row is not None and access.sees(call, of, row) else None


def _remove(call: Call, condition: ColumnElement[bool]) -> None:
    for one in rows.where(call, resource, condition):
        rows.remove(call, resource, one["id"])


def _deleting_resource(call: Call, row: Item) -> None:
    _remove(call, resource.table.c.resource_id == row["id"])


def _deleting_port(call: Call, row: Item) -> None:
    _remove(call, resource.table.c.target_id == row["id"])


def _loggable(call: Call) -> list[Item]:  # noqa: ARG001
    return [{"id": kind, "type": kind} for kind in TYPES]


_NAMED: Any = {"type": UUID, "default": None, "post": True, "nullable": True, "index": True}

resource = Resource(
    name="log",
    collection="logs",
    path="log/logs",
    not_found=LogResourceNotFound,
    attributes={
        "resource_type": Attr(type=line(), post=True),
        "resource_id": Attr(**_NAMED),
        "target_id": Attr(**_NAMED),
        "event": Attr(type=one_of(ACCEPT, DROP, ALL), default=ALL, post=True),
        "enabled": Attr(type=BOOLEAN, default=True, post=True, put=True),
    },
    create=create,
)

loggable = Resource(
    name="loggable_resource",
    collection="loggable_resources",
    path="log/loggable-resources",
    not_found=LoggableResourceNotFound,
    rows=_loggable,
    creatable=False,
    updatable=False,
    deletable=False,
    attributes={
        "id": Attr(type=line(), default=UNSET, stored=False, visible=False),
        "type": Attr(type=line(), default=UNSET, stored=False),
    },
)

DECLARES = (
    resource,
    loggable,
    Extension(resource="security_group", name="logs", deleting=_deleting_resource),
    Extension(resource="router", name="logs", deleting=_deleting_resource),
    Extension(resource="port", name="logs", deleting=_deleting_port),
    Alias(
        alias="logging",
        name="Logging API Extension",
        description="Which packets hosts write down",
    ),
)
