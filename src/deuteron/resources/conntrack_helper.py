"""Helpers of connection tracking: a router understands a protocol that opens further connections.

Which ones may be asked for is the setting `allowed_conntrack_helpers`; which ones a host's kernel has is seen
there, and a router whose host lacks one has a problem that says so.
"""

from typing import Any

from sqlalchemy import UniqueConstraint

from deuteron.resources import router, rows
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, NotFound
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import DERIVED, integer, line, one_of

PROTOCOLS = ("dccp", "icmp", "ipv6-icmp", "sctp", "tcp", "udp")


class ConntrackHelperNotFound(NotFound):
    """`id`."""

    message = "Conntrack Helper {id} could not be found."


class ConntrackHelperNotAllowed(BadRequest):
    """`helper`."""

    message = "Conntrack Helper {helper} is not allowed."


class InvalidProtocolForHelper(BadRequest):
    """`helper`, `protocol`, `supported_protocols`."""

    message = (
        "Conntrack Helper {helper} does not support: {protocol}. Supported protocols are: "
        "{supported_protocols}"
    )


def create(call: Call, values: Item) -> Item:
    """Have a router understand a protocol on a port."""
    _check(call, values)
    owner = rows.get(call, router.resource, values["router_id"], lock=True)
    row = rows.insert(call, resource, values)
    if row is None:
        raise _duplicate(values)
    rows.change(call, router.resource, owner, {})
    return row


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change it; connections that are there keep the helper that they have."""
    wanted = {**row, **changes}
    _check(call, wanted)
    owner = rows.get(call, router.resource, row["router_id"], lock=True)
    same = [resource.table.c[name] == wanted[name] for name in _UNIQUE]
    if any(other["id"] != row["id"] for other in rows.where(call, resource, *same)):
        raise _duplicate(wanted)
    row = rows.change(call, resource, row, changes)
    rows.change(call, router.resource, owner, {})
    return row


def delete(call: Call, row: Item) -> None:
    """Have a router not understand it any more; connections that are there keep it."""
    owner = rows.get(call, router.resource, row["router_id"], lock=True)
    rows.remove(call, resource, row["id"])
    rows.change(call, router.resource, owner, {})


def _check(call: Call, values: Item) -> None:
    allowed = [entry.partition(":") for entry in call.settings.allowed_conntrack_helpers]
    protocols = [protocol for helper, _, protocol in allowed if helper == values["helper"]]
    if not protocols:
        raise ConntrackHelperNotAllowed(helper=values["helper"])
    if values["protocol"] not in protocols:
        raise InvalidProtocolForHelper(
            helper=values["helper"],
            protocol=values["protocol"],
            supported_protocols=", ".join(protocols),
        )


def _duplicate(values: Item) -> BadRequest:
    conflict = {name: values[name] for name in _UNIQUE}
    return BadRequest(
        resource="conntrack_helper",
        msg=f"A duplicate conntrack helper entry with same attributes already exists, conflicting values "
        f"are {conflict}",
    )


def _present_routers(call: Call, items: list[Item]) -> None:
    found: dict[str, list[Item]] = {item["id"]: [] for item in items}
    table = resource.table
    for part in rows.chunks(found):
        for row in rows.where(call, resource, table.c.router_id.in_(part)):
            found[row["router_id"]].append({name: row[name] for name in ("protocol", "port", "helper")})
    for item in items:
        item["conntrack_helpers"] = sorted(found[item["id"]], key=_by_port)


def _by_port(one: Item) -> tuple[Any, ...]:
    return one["port"], one["protocol"], one["helper"]


_UNIQUE = ("router_id", "protocol", "port", "helper")

resource = Resource(
    name="router_conntrack_helper",
    member="conntrack_helper",
    collection="conntrack_helpers",
    parent="router",
    not_found=ConntrackHelperNotFound,
    attributes={
        "protocol": Attr(type=one_of(*PROTOCOLS), post=True, put=True),
        "port": Attr(type=integer(1, 65535), post=True, put=True),
        "helper": Attr(type=line(64), post=True, put=True),
    },
    constraints=[UniqueConstraint(*_UNIQUE)],
    create=create,
    update=update,
    delete=delete,
)

DECLARES = (
    resource,
    Extension(
        resource="router",
        name="conntrack_helpers",
        attributes={
            "conntrack_helpers": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)
        },
        present=_present_routers,
    ),
    Alias(
        alias="l3-conntrack-helper",
        name="L3 Conntrack helper",
        description="Routers understand protocols that open further connections",
    ),
    Alias(
        alias="expose-l3-conntrack-helper",
        name="Expose CT target rules for conntrack helper",
        description="A router shows its helpers",
    ),
)
