"""Subnets of segments: a network whose subnets have them is routed outside the cloud, segment by segment."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from deuteron.resources import rows, segment, segmentation
from deuteron.resources.addresses import parse_address, parse_network
from deuteron.resources.call import Call
from deuteron.resources.errors import NotBuiltYet
from deuteron.resources.hosts import host
from deuteron.resources.l2_errors import (
    FixedIpsSubnetsNotOnSameSegment,
    HostNotCompatibleWithFixedIps,
    HostNotConnectedToAnySegment,
    NetworkIdsDontMatch,
    NoUpdateSubnetWhenMultipleSegmentsOnNetwork,
    SubnetSegmentAssociationChangeNotAllowed,
    SubnetsNotAllAssociatedWithSegments,
)
from deuteron.resources.owners import ROUTER_GATEWAY, ROUTER_INTERFACES, ROUTER_PORTS
from deuteron.resources.resource import Alias, Item
from deuteron.store import metadata


def check_new(call: Call, values: Mapping[str, Any], present: Sequence[Item]) -> None:
    """Raise unless a network with these subnets may get one of a segment, or of none."""
    wanted = values["segment_id"]
    _check_segment(call, values["network_id"], wanted)
    if any((one["segment_id"] is None) != (wanted is None) for one in present):
        raise SubnetsNotAllAssociatedWithSegments(network_id=values["network_id"])


def check_change(call: Call, row: Item, wanted: str | None, present: Sequence[Item]) -> None:
    """Raise unless a subnet may get a segment: it is its network's only one, and so is the segment."""
    home = row["network_id"]
    if len(present) > 1:
        raise SubnetsNotAllAssociatedWithSegments(network_id=home)
    if row["segment_id"] is not None:
        raise SubnetSegmentAssociationChangeNotAllowed
    if len(segment.of_network(call, home)) > 1:
        raise NoUpdateSubnetWhenMultipleSegmentsOnNetwork(network_id=home)
    _check_segment(call, home, wanted)


def is_routed(subnets: Sequence[Item]) -> bool:
    """Whether a network with these subnets is routed outside the cloud."""
    return any(one["segment_id"] is not None for one in subnets)


def of_host(call: Call, network_id: str, name: str) -> str | None:
    """Return the segment of a network that a host is on; None if it reaches none, or is not known."""
    there = call.tx.execute(select(host.c.physical_networks).where(host.c.name == name)).first()
    if there is None:
        return None
    segments = {segment.of_row(one): str(one["id"]) for one in segment.of_network(call, network_id)}
    found = segmentation.reached(segments, there.physical_networks)
    return segments[found] if found is not None else None


def is_near(call: Call, port: Item, one: Item) -> bool:
    """Whether a port is where a subnet is: on its segment, if it has one."""
    if one["segment_id"] is None:
        return True
    name = port["binding:host_id"]
    return bool(name) and of_host(call, port["network_id"], name) == one["segment_id"]


def unserved(call: Call, home: Item, subnets: Sequence[Item], name: str) -> str:
    """Return why a host cannot serve a network of several segments by DHCP; "" if it can."""
    if home["provider:network_type"]:
        return ""
    mine = of_host(call, home["id"], name)
    if mine is None:
        return f"{name} reaches no segment of the network"
    if is_routed(subnets) and not any(one["segment_id"] == mine and one["enable_dhcp"] for one in subnets):
        return f"{name} is on segment {mine}, of which there is no subnet with DHCP"
    return ""


def usable(
    call: Call, port: Item, subnets: Sequence[Item], wanted: Sequence[Mapping[str, str]]
) -> list[Item]:
    """Return those of a network's subnets from which a port may get what it wants.

    On a routed network they are those of the segment that the port's host is on. Without a host all may be
    wanted that are of one segment.
    """
    if not is_routed(subnets) or port["device_owner"] in ROUTER_INTERFACES:
        return [*subnets]
    if (name := port["binding:host_id"]) and port["device_owner"] not in ROUTER_PORTS:
        mine = of_host(call, port["network_id"], name)
        found = [one for one in subnets if one["segment_id"] == mine]
        if mine is None or not found:
            raise HostNotConnectedToAnySegment(host=name, network_id=port["network_id"])
        return found
    named = {one["segment_id"] for one in subnets if any(_is_of(fixed, one) for fixed in wanted)}
    if len(named) > 1:
        raise FixedIpsSubnetsNotOnSameSegment
    return [one for one in subnets if one["segment_id"] in named] or [*subnets]


def refuse_routers(home: Item, device_owner: str, subnets: Sequence[Item]) -> None:
    """Raise for a router's port that would be on several segments at once: a gateway's address is of one."""
    if device_owner not in ROUTER_PORTS or home["provider:network_type"]:
        return
    if device_owner != ROUTER_GATEWAY or not is_routed(subnets):
        raise NotBuiltYet(what=f"a router on network {home['id']}, which has several segments or none")


def segments_of(call: Call, port_id: str) -> set[str | None]:
    """Return the segments of the subnets that a port has addresses of."""
    fixed_ip, subnets = metadata.tables["fixed_ip"], metadata.tables["subnet"]
    joined = select(subnets.c.segment_id).join(fixed_ip, fixed_ip.c.subnet_id == subnets.c.id)
    return set(call.tx.execute(joined.where(fixed_ip.c.port_id == port_id)).scalars())


def _is_of(fixed: Mapping[str, str], one: Item) -> bool:
    if "subnet_id" in fixed:
        return fixed["subnet_id"] == str(one["id"])
    return "ip_address" in fixed and parse_address(fixed["ip_address"]) in parse_network(one["cidr"])


def check_host(call: Call, port: Item, subnets: Sequence[Item], present: Sequence[Mapping[str, str]]) -> None:
    """Raise unless a port keeps its addresses on its host."""
    if present and is_routed(subnets) and port["device_owner"] not in ROUTER_PORTS:
        mine = of_host(call, port["network_id"], port["binding:host_id"])
        there = {one["id"] for one in subnets if mine is not None and one["segment_id"] == mine}
        if any(fixed["subnet_id"] not in there for fixed in present):
            raise HostNotCompatibleWithFixedIps(host=port["binding:host_id"], port_id=port["id"])


def _check_segment(call: Call, network_id: str, wanted: str | None) -> None:
    if wanted is None:
        return
    found = rows.get(call, segment.resource, wanted)
    if found["network_id"] != network_id:
        raise NetworkIdsDontMatch(subnet_network=network_id, segment_id=wanted)


DECLARES = (
    Alias(
        alias="subnet-segmentid-writable",
        name="Subnet SegmentID (writable)",
        description="A subnet gets a segment later",
    ),
    Alias(
        alias="subnet-segmentid-enforce",
        name="Subnet SegmentID (policy enforced)",
        description="Rules of policy say who may set it",
    ),
)
