"""Ranges of VXLAN identifiers and VLANs that are given out: to one project, or to all that have none left.

Those of the server's settings are shown among them as default ranges, which nobody changes here.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select

from deuteron.resources import numbers, rows, segmentation
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, InUse, NotFound
from deuteron.resources.numbers import Range
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.segmentation import NUMBERED, VLAN, VXLAN, default_ranges
from deuteron.resources.types import BOOLEAN, DERIVED, integer, line, one_of
from deuteron.store import metadata

MOST_SHOWN = 4096
"""Of the numbers of a range that are available, the lowest ones: all of a range of VLANs."""
_NAMESPACE = uuid.UUID("6a1f3f1c-0d3f-5c7e-9d0c-6f0d0d5b5a01")
_NUMBER = integer(1, 2**32 - 1)


class NetworkSegmentRangeNotFound(NotFound):
    """`id`."""

    message = "Network Segment Range {id} could not be found."


class NetworkSegmentRangeNetTypeNotSupported(BadRequest):
    """`type`."""

    message = "Network type {type} does not support network segment ranges."


class NetworkSegmentRangeReferencedByProject(InUse):
    """`range_id`."""

    message = "Network Segment Range {range_id} is referenced by one or more project networks."


class NetworkSegmentRangeDefaultReadOnly(BadRequest):
    """`range_id`."""

    message = (
        "Network Segment Range {range_id} is a default segment range which could not be updated or deleted."
    )


class NetworkSegmentRangeOverlaps(Conflict):
    """`range_id`."""

    message = "Network segment range overlaps with range(s) with id {range_id}"


class Given(NamedTuple):
    """Numbers that a project may be given, sorted: its own ones first."""

    own: Sequence[Range]
    shared: Sequence[Range]


def given_to(call: Call, project_id: str, type_: str) -> dict[str | None, Given]:
    """Return the numbers of a type that a project may be given, by physical network."""
    table = resource.table
    columns = (table.c.physical_network, table.c.project_id, table.c.minimum, table.c.maximum)
    made = call.tx.execute(select(*columns).where(table.c.network_type == type_, ~table.c.default)).all()
    defaults = [one for one in default_ranges(call.settings) if one.type == type_]
    found = {}
    physicals = [*(one.physical_network for one in defaults), *(one.physical_network for one in made)]
    for physical in dict.fromkeys(physicals):
        here = [one for one in made if one.physical_network == physical]
        own = [(one.minimum, one.maximum) for one in here if one.project_id and one.project_id == project_id]
        others = [(one.minimum, one.maximum) for one in here if one.project_id not in (None, project_id)]
        shared = [(one.minimum, one.maximum) for one in here if one.project_id is None]
        shared += [one.range for one in defaults if one.physical_network == physical]
        found[physical] = Given(sorted(own), numbers.without(shared, others))
    return found


def vlan_networks(call: Call) -> set[str]:
    """Return the physical networks that may carry VLANs."""
    table = resource.table
    made = select(table.c.physical_network).where(table.c.network_type == VLAN)
    named = (text.partition(":")[0] for text in call.settings.network_vlan_ranges)
    return {*named, *(name for name in call.tx.execute(made).scalars() if name)}


def create(call: Call, values: Item) -> Item:
    """Create a range; a shared one belongs to no project."""
    type_ = values["network_type"]
    if type_ not in NUMBERED:
        raise NetworkSegmentRangeNetTypeNotSupported(type=type_)
    values["physical_network"] = values["physical_network"] or None if type_ == VLAN else None
    if type_ == VLAN and not values["physical_network"]:
        raise BadRequest(
            resource=resource.name, msg="Network type vlan requires 'physical_network' to be specified"
        )
    values["project_id"] = None if values["shared"] else values["project_id"] or None
    if not values["shared"] and values["project_id"] is None:
        raise BadRequest(resource=resource.name, msg="A range that is not shared needs a 'project_id'")
    segmentation.refuse_range(type_, values["minimum"], values["maximum"])
    _refuse_overlap(call, values)
    return rows.create(call, resource, values)


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a range: not so that a number in use is outside."""
    _refuse_default(row)
    used = sorted(_used(call, row))
    low, high = changes.get("minimum"), changes.get("maximum")
    if used and ((low is not None and low > used[0]) or (high is not None and high < used[-1])):
        raise NetworkSegmentRangeReferencedByProject(range_id=row["id"])
    after = {**row, **changes}
    segmentation.refuse_range(row["network_type"], after["minimum"], after["maximum"])
    _refuse_overlap(call, after)
    return rows.change(call, resource, row, changes)


def delete(call: Call, row: Item) -> None:
    """Delete a range none of whose numbers is in use."""
    _refuse_default(row)
    if _used(call, row):
        raise NetworkSegmentRangeReferencedByProject(range_id=row["id"])
    rows.remove(call, resource, row["id"])


def before_listing(call: Call, filters: Mapping[str, list[str]]) -> None:  # noqa: ARG001
    """Have the ranges of the settings, and no former ones, among the stored ones."""
    table = resource.table
    wanted = {}
    for one in default_ranges(call.settings):
        name = f"{one.type}/{one.physical_network or ''}/{one.range[0]}:{one.range[1]}"
        wanted[str(uuid.uuid5(_NAMESPACE, name))] = one
    stored = set(call.tx.execute(select(table.c.id).where(table.c.default)).scalars())
    for id_ in stored - wanted.keys():
        rows.remove(call, resource, id_)
    for id_ in sorted(wanted.keys() - stored):
        one = wanted[id_]
        values = {
            "id": id_,
            "name": "",
            "description": "",
            "default": True,
            "shared": True,
            "project_id": None,
            "network_type": one.type,
            "physical_network": one.physical_network,
            "minimum": one.range[0],
            "maximum": one.range[1],
        }
        rows.insert(call, resource, values)


def _refuse_default(row: Item) -> None:
    if row["default"]:
        raise NetworkSegmentRangeDefaultReadOnly(range_id=row["id"])


def _refuse_overlap(call: Call, values: Item) -> None:
    c = resource.table.c
    beside: list[ColumnElement[bool]] = [
        c.network_type == values["network_type"],
        c.physical_network == values["physical_network"],
        ~c.default,
        c.id != values.get("id", ""),
        c.minimum <= values["maximum"],
        c.maximum >= values["minimum"],
    ]
    if clash := sorted(call.tx.execute(select(c.id).where(*beside)).scalars()):
        raise NetworkSegmentRangeOverlaps(range_id=", ".join(clash))


def _used(call: Call, row: Item) -> dict[int, str]:
    """Return the numbers of a range that are in use, and the projects whose networks have them."""
    segment, network = metadata.tables["segment"], metadata.tables["network"]
    mine = (
        select(segment.c.segmentation_id, network.c.project_id)
        .join(network, network.c.id == segment.c.network_id)
        .where(
            segment.c.network_type == row["network_type"],
            segment.c.physical_network == row["physical_network"],
            segment.c.segmentation_id.between(row["minimum"], row["maximum"]),
        )
    )
    return {one.segmentation_id: one.project_id for one in call.tx.execute(mine)}


def _available(row: Item, used: Iterable[int]) -> list[int]:
    taken = set(used)
    found: list[int] = []
    for number in range(row["minimum"], row["maximum"] + 1):
        if len(found) == MOST_SHOWN:
            break
        if number not in taken:
            found.append(number)
    return found


def present(call: Call, items: list[Item]) -> None:
    """Fill in which numbers are in use, and which are not."""
    for item in items:
        used = _used(call, item)
        item["used"] = {str(number): used[number] for number in sorted(used)}
        item["available"] = _available(item, used)


_SHOWN = Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)

resource = Resource(
    name="network_segment_range",
    collection="network_segment_ranges",
    not_found=NetworkSegmentRangeNotFound,
    attributes={
        "project_id": Attr(type=line(), default=UNSET, post=True, nullable=True, index=True),
        "default": Attr(type=BOOLEAN, default=False),
        "shared": Attr(type=BOOLEAN, default=True, post=True),
        "network_type": Attr(type=one_of(VXLAN, VLAN, "gre", "geneve"), post=True),
        "physical_network": Attr(type=segmentation.PHYSICAL_NETWORK, default=None, post=True, nullable=True),
        "minimum": Attr(type=_NUMBER, post=True, put=True),
        "maximum": Attr(type=_NUMBER, post=True, put=True),
        "used": _SHOWN,
        "available": _SHOWN,
    },
    create=create,
    update=update,
    delete=delete,
    present=present,
    before_listing=before_listing,
)

DECLARES: tuple[Any, ...] = (
    resource,
    Alias(
        alias="network-segment-range",
        name="Neutron Network Segment Range",
        description="Which VXLAN identifiers and VLANs are given out, and to whom",
    ),
)
