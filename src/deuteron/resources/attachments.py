"""What hosts are attached to, and what routers need: physical networks, and segments.

Of a network of several segments a host is on one. A router whose gateway has an address of such a segment can
only be on hosts that are on it, so that segments count beside physical networks, by a name of their own.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import select

from deuteron.resources import network, owners, port, segment, subnet
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.segmentation import Segment, reached
from deuteron.store import Tx

_SEGMENT = "segment "


def named(one: Segment) -> str:
    """Return what stands for a segment beside physical networks."""
    return f"{_SEGMENT}{one}"


def is_segment(name: str) -> bool:
    """Whether that is a segment, and no physical network."""
    return name.startswith(_SEGMENT)


def several(tx: Tx) -> list[list[Segment]]:
    """Return the segments of each network that has several, in their order."""
    c, home = segment.resource.table.c, network.resource.table
    wanted = (
        select(c.network_id, c.network_type, c.physical_network, c.segmentation_id)
        .join(home, home.c.id == c.network_id)
        .where(home.c.provider_network_type == "")
    )
    found: dict[str, list[Segment]] = defaultdict(list)
    for row in tx.execute(wanted.order_by(c.segment_index, c.id)):
        found[row.network_id].append(Segment(row.network_type, row.physical_network, row.segmentation_id))
    return list(found.values())


def of_host(physical_networks: Collection[str], networks: Sequence[Sequence[Segment]]) -> frozenset[str]:
    """Return what a host is attached to; `networks`: see `several`."""
    there = (reached(segments, physical_networks) for segments in networks)
    return frozenset(physical_networks) | {named(one) for one in there if one is not None}


def of_routers(tx: Tx, ids: Collection[str] | None) -> dict[str, frozenset[str]]:
    """Return what routers need their hosts to be attached to; of all routers if None."""
    ports, networks = port.resource.table, network.resource.table
    joined = (
        select(ports.c.device_id, networks.c.provider_physical_network.label("physical"))
        .join(networks, ports.c.network_id == networks.c.id)
        .where(ports.c.device_owner.in_(owners.ROUTER_PORTS))
        .where(networks.c.provider_physical_network.is_not(None))
    )
    found: dict[str, set[str]] = defaultdict(set)
    for row in tx.execute(joined if ids is None else joined.where(ports.c.device_id.in_(ids))):
        found[row.device_id].add(row.physical)
    subnets, c = subnet.resource.table, segment.resource.table.c
    on_segments = (
        select(ports.c.device_id, c.network_type, c.physical_network, c.segmentation_id)
        .join(networks, ports.c.network_id == networks.c.id)
        .join(fixed_ip, fixed_ip.c.port_id == ports.c.id)
        .join(subnets, subnets.c.id == fixed_ip.c.subnet_id)
        .join(segment.resource.table, c.id == subnets.c.segment_id)
        .where(ports.c.device_owner.in_(owners.ROUTER_PORTS), networks.c.provider_network_type == "")
    )
    for row in tx.execute(on_segments if ids is None else on_segments.where(ports.c.device_id.in_(ids))):
        one = Segment(row.network_type, row.physical_network, row.segmentation_id)
        found[row.device_id].add(named(one))
    return {id_: frozenset(needed) for id_, needed in found.items()}
