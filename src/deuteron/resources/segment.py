"""Segments: where a network is on the wires. Most networks have one, which a network shows as its own.

A host is on the first of a network's segments that it reaches. The network's row repeats its only segment;
that no two networks are the same on a wire is the key of the segments' table.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import or_, select, text

from deuteron.resources import numbers, rows, segment_range, segmentation
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import NotBuiltYet
from deuteron.resources.hosts import host
from deuteron.resources.l2_errors import (
    FlatNetworkInUse,
    NoNetworkAvailable,
    SegmentInUse,
    SegmentNotFound,
    TunnelIdInUse,
    VlanIdInUse,
)
from deuteron.resources.owners import DHCP, HEARTBEAT, ROUTER_GATEWAY, ROUTER_PORTS
from deuteron.resources.resource import Alias, Item, Resource, index
from deuteron.resources.segmentation import FLAT, VLAN, VXLAN, Kind, Segment
from deuteron.resources.types import NAME, UUID, integer, line
from deuteron.resources.types import text as text_type
from deuteron.store import metadata

_MOST = 2**31 - 1


def check(call: Call, one: Segment) -> None:
    """Raise InvalidInput unless there can be such a segment."""
    vlans = segment_range.vlan_networks(call) if one.type == VLAN else ()
    segmentation.check(call.settings, one, sorted(vlans))


def complete(call: Call, one: Segment, project_id: str) -> Segment | None:
    """Return a segment with a number that is free now; None if none is left."""
    if not one.is_partial:
        return one
    found = segment_range.given_to(call, project_id, one.type)
    for physical in [one.physical_network] if one.physical_network else sorted(found, key=str):
        given = found.get(physical)
        if given is None:
            continue
        for ranges, memory in ((given.own, ""), (given.shared, _memory(one.type, physical))):
            among = {"network_type": one.type, "physical_network": physical}
            number = numbers.lowest_free(call.tx, _column(), ranges, among, memory)
            if number is not None:
                return Segment(one.type, physical, number)
    return None


def any_of(call: Call, types: Sequence[Kind], project_id: str) -> Segment:
    """Return a segment of the first of these types of which there is a number left."""
    for type_ in types:
        if (found := complete(call, Segment(type_), project_id)) is not None:
            return found
    raise NoNetworkAvailable


def add(call: Call, home: Item, wanted: Segment, proposed: Segment, place: int, **words: Any) -> Item:
    """Insert a segment of a network; where its number is not said, another one if it was taken meanwhile."""
    found: Segment | None = proposed
    while found is not None:
        values = {
            "name": None,
            "description": None,
            "project_id": home["project_id"],
            **words,
            "network_id": home["id"],
            "network_type": found.type,
            "physical_network": found.physical_network,
            "segmentation_id": found.number,
            "segment_index": place,
        }
        row = rows.insert(call, resource, values)
        if row is not None:
            return row
        if not wanted.is_partial:
            raise _in_use(found)
        found = complete(call, wanted, home["project_id"])
    raise NoNetworkAvailable


def _in_use(one: Segment) -> FlatNetworkInUse | VlanIdInUse | TunnelIdInUse:
    if one.type == FLAT:
        return FlatNetworkInUse(physical_network=one.physical_network)
    if one.type == VLAN:
        return VlanIdInUse(vlan_id=one.number, physical_network=one.physical_network)
    return TunnelIdInUse(tunnel_id=one.number)


def freed(call: Call, one: Segment) -> None:
    """Remember that a segment's number may be free again."""
    if one.type != FLAT:
        numbers.freed(call.tx, _column(), one.number, _memory(one.type, one.physical_network))


def of_row(row: Item) -> Segment:
    """Return what a stored segment is on the wires."""
    return Segment(row["network_type"], row["physical_network"], row["segmentation_id"])


def of_network(call: Call, network_id: str) -> list[Item]:
    """Return the segments of a network in their order."""
    found = rows.where(call, resource, resource.table.c.network_id == network_id)
    return sorted(found, key=lambda one: (one["segment_index"], one["id"]))


def create(call: Call, values: Item) -> Item:
    """Give a network one more segment."""
    home = rows.get(call, _network(), values["network_id"], lock=True)
    wanted = Segment(values["network_type"], values["physical_network"] or None, values["segmentation_id"])
    check(call, wanted)
    proposed = complete(call, wanted, home["project_id"])
    if proposed is None:
        raise NoNetworkAvailable
    present = of_network(call, home["id"])
    if present:
        _refuse_beside(call, home)
    place = present[-1]["segment_index"] + 1 if present else 0
    words = {"name": values["name"], "description": values["description"]}
    made = add(call, home, wanted, proposed, place, **words)
    shown_by(call, home, [*present, made])
    return made


def _refuse_beside(call: Call, home: Item) -> None:
    """Raise for one more segment of a network that has a port which would be on all of them at once.

    Gateways of central routers are on one, if the network is routed.
    """
    ports, subnets = metadata.tables["port"], metadata.tables["subnet"]
    routed = select(subnets.c.id).where(subnets.c.network_id == home["id"], subnets.c.segment_id.is_not(None))
    owners = ROUTER_PORTS | {HEARTBEAT}
    if call.tx.execute(routed).first() is not None and not _has_distributed_gateway(call, home):
        owners -= {ROUTER_GATEWAY}
    mine = (ports.c.network_id == home["id"], ports.c.device_owner.in_(sorted(owners)))
    if call.tx.execute(select(ports.c.id).where(*mine)).first() is not None:
        raise NotBuiltYet(what=f"several segments on network {home['id']}, which has a router")


def _has_distributed_gateway(call: Call, home: Item) -> bool:
    ports, routers = metadata.tables["port"].c, metadata.tables["router"]
    found = (
        select(routers.c.id)
        .join(metadata.tables["port"], ports.device_id == routers.c.id)
        .where(ports.network_id == home["id"], ports.device_owner == ROUTER_GATEWAY)
        .where(or_(routers.c.distributed, routers.c.rung > 0))
    )
    return call.tx.execute(found).first() is not None


def delete(call: Call, row: Item) -> None:
    """Take a segment from a network; it keeps one that has subnets, or ports on hosts that are on it."""
    home = rows.get(call, _network(), row["network_id"], lock=True)
    subnets = metadata.tables["subnet"]
    mine = select(subnets.c.id).where(subnets.c.segment_id == row["id"]).order_by(subnets.c.id)
    if used := list(call.tx.execute(mine).scalars()):
        reason = f"The segment is still associated with subnet(s) {', '.join(used)}"
        raise SegmentInUse(segment_id=row["id"], reason=reason)
    if bound := _bound(call, row):
        raise SegmentInUse(segment_id=row["id"], reason=f"The segment is still bound with {bound} port(s)")
    rows.remove(call, resource, row["id"])
    freed(call, of_row(row))
    shown_by(call, home, of_network(call, home["id"]))


def _bound(call: Call, row: Item) -> int:
    """Return how many ports are on a segment; DHCP servers leave it."""
    ports, segments = metadata.tables["port"], [of_row(one) for one in of_network(call, row["network_id"])]
    mine = select(ports.c.device_owner, ports.c.binding_host_id).where(
        ports.c.network_id == row["network_id"], ports.c.device_owner != DHCP
    )
    physical = select(host.c.name, host.c.physical_networks)
    reach = {one.name: one.physical_networks for one in call.tx.execute(physical)}
    return sum(
        (port.device_owner in ROUTER_PORTS and len(segments) == 1)
        or (
            port.binding_host_id != ""
            and segmentation.reached(segments, reach.get(port.binding_host_id, ())) == of_row(row)
        )
        for port in call.tx.execute(mine)
    )


def shown_by(call: Call, home: Item, segments: Sequence[Item]) -> Item:
    """Have a network's row repeat its only segment, or none, with an MTU that all carry; return the row."""
    only = of_row(segments[0]) if len(segments) == 1 else None
    most = [segmentation.max_mtu(call.settings, one["network_type"]) for one in segments]
    changes = {**segmentation.to_item(only), "mtu": min([home["mtu"], *most])}
    return rows.change(call, _network(), home, changes)


def _network() -> Resource:
    found: Resource = metadata.tables["network"].info["resource"]
    return found


def _column() -> Any:
    return resource.table.c.segmentation_id


def _memory(type_: str, physical: str | None) -> str:
    return f"segment/{type_}/{physical or ''}"


def _unique(type_: str, *columns: str) -> Any:
    return index(*columns, unique=True, where=text(f"network_type = '{type_}'"), name=f"uq_segment_{type_}")


resource = Resource(
    name="segment",
    collection="segments",
    not_found=SegmentNotFound,
    attributes={
        "name": Attr(type=NAME, default=None, post=True, put=True, nullable=True),
        "description": Attr(type=text_type(255), default=None, post=True, put=True, nullable=True),
        "project_id": Attr(type=line(), default=UNSET, post=True, visible=False, filter=False, sort=False),
        "network_id": Attr(type=UUID, post=True, references="network.id", on_delete="CASCADE", index=True),
        "network_type": Attr(type=segmentation.NETWORK_TYPE, post=True),
        "physical_network": Attr(type=segmentation.PHYSICAL_NETWORK, default=None, post=True, nullable=True),
        "segmentation_id": Attr(type=segmentation.NUMBER, default=None, post=True, nullable=True),
        "segment_index": Attr(type=integer(0, _MOST), default=0, visible=False),
    },
    constraints=[
        _unique(FLAT, "physical_network"),
        _unique(VLAN, "physical_network", "segmentation_id"),
        _unique(VXLAN, "segmentation_id"),
    ],
    create=create,
    delete=delete,
)

DECLARES = (
    resource,
    Alias(alias="segment", name="Segment", description="Where networks are on the wires, one by one"),
    Alias(
        alias="standard-attr-segment",
        name="Standard Attribute Segment Extension",
        description="Segments have a description, times and revisions",
    ),
)
