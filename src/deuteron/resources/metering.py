"""Metering: labels under which routers count what passes between them and their external network.

A label counts in the routers of its project, a shared one in all. What is counted say its rules; the first
that fits a packet decides, the excluding ones before the others. The counts are below /v1: Neutron has none.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Float, ForeignKey, String, Table

from deuteron.resources import rows
from deuteron.resources.address_types import CIDR
from deuteron.resources.addresses import parse_network
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, NotFound
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import BOOLEAN, UUID, integer, line, one_of, or_null, text
from deuteron.store import ID_LENGTH, metadata

PREFIXES = ("remote_ip_prefix", "source_ip_prefix", "destination_ip_prefix")


class MeteringLabelNotFound(NotFound):
    """`id`."""

    message = "Metering label '{id}' does not exist."


class MeteringLabelRuleNotFound(NotFound):
    """`id`."""

    message = "Metering label rule '{id}' does not exist."


class MeteringLabelRuleOverlaps(Conflict):
    """`remote_ip_prefix`."""

    message = "Metering label rule with remote_ip_prefix '{remote_ip_prefix}' overlaps another."


def ends(rule: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the source and the destination that a rule wants.

    Neutron's `remote_ip_prefix` is, against its name, the inner end.
    """
    inner = rule["remote_ip_prefix"]
    source, destination = rule["source_ip_prefix"], rule["destination_ip_prefix"]
    return (inner or source, destination) if rule["direction"] == "egress" else (source, inner or destination)


def create_rule(call: Call, values: Item) -> Item:
    """Create a rule of a label, for whose routers it counts from now on."""
    given = [name for name in PREFIXES if values[name] is not None]
    if not given:
        raise BadRequest(
            resource="metering_label_rule",
            msg="You must define at least one of the following parameters 'remote_ip_prefix', or "
            "'source_ip_prefix' or 'destination_ip_prefix'",
        )
    if values["remote_ip_prefix"] is not None and len(given) > 1:
        raise BadRequest(
            resource="metering_label_rule",
            msg="Cannot use 'remote-ip-prefix' in conjunction with 'source-ip-prefix' or "
            "'destination-ip-prefix'",
        )
    if len({parse_network(values[name]).version for name in given}) > 1:
        raise BadRequest(resource="metering_label_rule", msg="The prefixes are of different families")
    label = rows.get(call, labels, values["metering_label_id"], lock=True)
    _refuse_overlap(call, values)
    row = rows.create(call, rules, values)
    rows.change(call, labels, label, {})
    return row


def delete_rule(call: Call, row: Item) -> None:
    """Delete a rule; what it counted stays counted."""
    label = rows.get(call, labels, row["metering_label_id"], lock=True)
    rows.remove(call, rules, row["id"])
    rows.change(call, labels, label, {})


def _refuse_overlap(call: Call, values: Item) -> None:
    wanted = values["remote_ip_prefix"]
    same = [rules.table.c[name] == values[name] for name in ("metering_label_id", "direction", "excluded")]
    if wanted is None:
        return
    net = parse_network(wanted)
    for other in rows.where(call, rules, *same, rules.table.c.remote_ip_prefix.is_not(None)):
        beside = parse_network(other["remote_ip_prefix"])
        if beside.version == net.version and beside.overlaps(net):
            raise MeteringLabelRuleOverlaps(remote_ip_prefix=wanted)


count = Table(
    "metering_count",
    metadata,
    Column(
        "label_id", String(ID_LENGTH), ForeignKey("metering_label.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("router_id", String(ID_LENGTH), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("packets", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("packets_before", BigInteger, nullable=False),
    Column("bytes_before", BigInteger, nullable=False),
    Column("time", Float, nullable=False),
)
"""What hosts said last that their twins of routers have counted, and what earlier twins there had."""

_HIDDEN = {
    "created_at": Attr(type=line(20), default=UNSET, visible=False),
    "updated_at": Attr(type=line(20), default=UNSET, visible=False),
    "revision_number": Attr(type=integer(0, 2**63 - 1), default=UNSET, visible=False),
}
_PREFIX = Attr(type=or_null(CIDR), default=None, post=True, nullable=True)

labels = Resource(
    name="metering_label",
    collection="metering_labels",
    path="metering/metering-labels",
    not_found=MeteringLabelNotFound,
    attributes={
        **_HIDDEN,
        "name": Attr(type=line(), default="", post=True),
        "description": Attr(type=text(255), default="", post=True),
        "shared": Attr(type=BOOLEAN, default=False, post=True),
    },
    updatable=False,
)

rules = Resource(
    name="metering_label_rule",
    collection="metering_label_rules",
    path="metering/metering-label-rules",
    not_found=MeteringLabelRuleNotFound,
    attributes={
        **_HIDDEN,
        "name": Attr(type=line(), default="", stored=False, visible=False),
        "description": Attr(type=text(255), default="", stored=False, visible=False),
        "metering_label_id": Attr(
            type=UUID, post=True, references="metering_label.id", on_delete="CASCADE", index=True
        ),
        "direction": Attr(type=one_of("ingress", "egress"), post=True),
        "excluded": Attr(type=BOOLEAN, default=False, post=True),
        "remote_ip_prefix": _PREFIX,
        "source_ip_prefix": _PREFIX,
        "destination_ip_prefix": _PREFIX,
    },
    create=create_rule,
    delete=delete_rule,
    updatable=False,
)

DECLARES = (
    labels,
    rules,
    Alias(alias="metering", name="Neutron Metering", description="Routers count what passes them"),
    Alias(
        alias="metering_source_and_destination_fields",
        name="Neutron Metering with source and destination filtering",
        description="Rules name the source, the destination, or both",
    ),
)
