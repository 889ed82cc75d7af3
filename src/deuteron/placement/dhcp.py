"""DHCP servers: so many a network, each in a slot that owns a port and keeps it wherever it goes.

A network that is routed outside the cloud has so many on each of its segments, which serve that one's
subnets. One whose segments are switched together is one to whoever asks: there the number is for all of it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import delete, insert, select, update

from deuteron.placement.cloud import Cloud, Load, load_of, of
from deuteron.placement.decide import Choice, choose
from deuteron.resources import network, owners, port, rows, segment, subnet
from deuteron.resources.call import Call
from deuteron.resources.hosts import Wishes, dhcp_server, dhcp_server_changed, forget_wishes, wishes_of
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.segmentation import Segment, reached
from deuteron.store import Tx

ROLE = "dhcp"


class Server(msgspec.Struct, frozen=True):
    """A DHCP server as it is; `subnets` are those its port has an address on, None if the port is gone."""

    host: str
    port: str
    subnets: frozenset[str] | None


class Area(msgspec.Struct, frozen=True):
    """Where DHCP servers of a network stand in for each other: all of it, or one segment of a routed one."""

    served: frozenset[str]
    """Its subnets with DHCP."""
    segments: frozenset[Segment]
    name: str = ""
    """Which segment, in words; none if it is all of the network."""


class Facts(msgspec.Struct, frozen=True):
    """A network as far as DHCP goes; one that is gone, or that nobody reaches, has no areas."""

    areas: Sequence[Area]
    servers: Mapping[int, Server]
    segments: Sequence[Segment] = ()
    """All that the network has, in their order."""
    zones: Sequence[str] = ()
    project_id: str = ""
    wishes: Wishes = Wishes()


class Seat(msgspec.Struct, frozen=True):
    """Where a DHCP server should be, and on which subnets its port should have addresses."""

    host: str
    subnets: frozenset[str]


class Servers(msgspec.Struct, frozen=True):
    """A network's DHCP servers as they should be, by slot, and why so."""

    slots: dict[int, Seat]
    reason: str
    dropped: frozenset[str] = frozenset()
    """Hosts that were asked for, are dead and replaced: they are not asked for any more."""


def decide(
    facts: Facts, cloud: Cloud, load: Load, wanted: int, leaving: frozenset[str] = frozenset()
) -> Servers:
    """Return where a network's DHCP servers should be: not on those `leaving`, if there are others.

    Each area gets as many as are `wanted`, and replaces its dead ones itself.
    """
    if not facts.areas:
        return Servers({}, "no subnet with DHCP is left")
    slots: dict[int, Seat] = {}
    reasons = []
    for area in facts.areas:
        before = {slot: server.host for slot, server in sorted(of_area(facts, area).items())}
        choice = _choose(facts, area, list(before.values()), cloud, load, wanted, leaving)
        found = assign(before, choice.hosts, {*slots, *facts.servers})
        slots |= {slot: Seat(name, area.served) for slot, name in found.items()}
        reasons.append(f"{area.name}: {choice.reason}" if area.name else choice.reason)
    hosts = {seat.host for seat in slots.values()}
    dropped = (facts.wishes.on & (cloud.silent | leaving)) - hosts
    return Servers(slots, "; ".join(reasons), dropped)


def _choose(
    facts: Facts,
    area: Area,
    current: Sequence[str],
    cloud: Cloud,
    load: Load,
    wanted: int,
    leaving: frozenset[str],
) -> Choice:
    reach, wishes = cloud.reach, facts.wishes
    away = elsewhere(facts, area, reach)
    left = [name for name in current if name not in wishes.off | away]
    fit = cloud.fit(ROLE, load, current, off=wishes.off | leaving | away)
    if len(area.segments) > 1:
        for name, one in fit.items():
            fit[name] = msgspec.structs.replace(one, segment=str(reached(facts.segments, reach[name])))
    unfit = cloud.unfit(ROLE, load, left, leaving=leaving)
    return choose(wanted, current, fit, unfit, facts.zones, wishes.on - away)


def of_area(facts: Facts, area: Area) -> dict[int, Server]:
    """Return the DHCP servers of an area by slot: on a routed network, their addresses say which it is."""
    if len(facts.areas) == 1:
        return dict(facts.servers)
    return {slot: one for slot, one in facts.servers.items() if one.subnets and one.subnets & area.served}


def elsewhere(facts: Facts, area: Area, reach: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Return the hosts that are not in an area; `reach` are the physical networks of each host."""
    return frozenset(
        name for name, physical in reach.items() if reached(facts.segments, physical) not in area.segments
    )


def assign(before: dict[int, str], hosts: Sequence[str], used: Collection[int]) -> dict[int, str]:
    """Give each host a slot: the one it has, else one that another leaves, else the lowest not `used`."""
    slots = {slot: name for slot, name in before.items() if name in hosts}
    left = sorted(slot for slot in before if slot not in slots)
    for name in hosts:
        if name not in slots.values():
            slots[left.pop(0) if left else _lowest_free({*slots, *used})] = name
    return slots


def _lowest_free(used: Collection[int]) -> int:
    return next(slot for slot in range(len(used) + 1) if slot not in used)


def settled(facts: Facts, servers: Servers) -> bool:
    """Whether a network's DHCP servers are what they should be."""
    there = {slot: (server.host, server.subnets) for slot, server in facts.servers.items()}
    return not servers.dropped and there == {
        slot: (seat.host, seat.subnets) for slot, seat in servers.slots.items()
    }


def facts_of(tx: Tx, ids: Collection[str] | None) -> dict[str, Facts]:
    """Return the facts of networks, those that are gone included; of all if None."""
    servers, several, served = _servers(tx, ids), _several(tx, ids), _served(tx, ids)
    wishes = wishes_of(tx, ROLE, ids)
    c = network.resource.table.c
    columns = (
        c.id,
        c.project_id,
        c.provider_network_type,
        c.provider_physical_network,
        c.provider_segmentation_id,
        c.availability_zone_hints,
    )
    found = {}
    for row in tx.execute(of(select(*columns), c.id, ids)):
        kind, physical = row.provider_network_type, row.provider_physical_network
        only = {"": Segment(kind, physical, row.provider_segmentation_id)} if kind else {}
        segments = only or several.get(row.id, {})
        found[row.id] = Facts(
            areas=_areas(segments, served.get(row.id, {})),
            servers=servers.get(row.id, {}),
            segments=list(segments.values()),
            zones=row.availability_zone_hints,
            project_id=row.project_id,
            wishes=wishes.get(row.id, Wishes()),
        )
    for id_ in servers.keys() - found.keys():
        found[id_] = Facts(areas=(), servers=servers[id_])
    return found


def _areas(segments: Mapping[str, Segment], served: Mapping[str, str | None]) -> list[Area]:
    """Return the areas of a network with these segments by id, and these subnets (id -> their segment)."""
    if not segments or not served:
        return []
    if len(segments) == 1 or None in served.values():
        return [Area(frozenset(served), frozenset(segments.values()))]
    subnets = {id_: frozenset(name for name, of_ in served.items() if of_ == id_) for id_ in segments}
    return [Area(subnets[id_], frozenset({one}), str(one)) for id_, one in segments.items() if subnets[id_]]


def _served(tx: Tx, ids: Collection[str] | None) -> dict[str, dict[str, str | None]]:
    """Return the subnets with DHCP of networks, each with its segment."""
    c = subnet.resource.table.c
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    wanted = select(c.id, c.network_id, c.segment_id).where(c.enable_dhcp)
    for row in tx.execute(of(wanted, c.network_id, ids)):
        found[row.network_id][row.id] = row.segment_id
    return found


def _several(tx: Tx, ids: Collection[str] | None) -> dict[str, dict[str, Segment]]:
    """Return the segments of networks that have several, by id, in their order."""
    c, home = segment.resource.table.c, network.resource.table
    wanted = select(c.id, c.network_id, c.network_type, c.physical_network, c.segmentation_id)
    wanted = wanted.join(home, home.c.id == c.network_id).where(home.c.provider_network_type == "")
    found: dict[str, dict[str, Segment]] = defaultdict(dict)
    for row in tx.execute(of(wanted, c.network_id, ids).order_by(c.segment_index, c.id)):
        found[row.network_id][row.id] = Segment(row.network_type, row.physical_network, row.segmentation_id)
    return found


def _servers(tx: Tx, ids: Collection[str] | None) -> dict[str, dict[int, Server]]:
    mine = of(select(dhcp_server), dhcp_server.c.network_id, ids)
    ports = port.resource.table
    joined = (
        select(dhcp_server.c.port_id, ports.c.id, fixed_ip.c.subnet_id)
        .join(ports, ports.c.id == dhcp_server.c.port_id)
        .outerjoin(fixed_ip, fixed_ip.c.port_id == ports.c.id)
    )
    subnets: dict[str, set[str]] = {}
    for row in tx.execute(of(joined, dhcp_server.c.network_id, ids)):
        subnets.setdefault(row.port_id, set()).update([row.subnet_id] if row.subnet_id else [])
    found: dict[str, dict[int, Server]] = defaultdict(dict)
    for row in tx.execute(mine):
        there = subnets.get(row.port_id)
        found[row.network_id][row.slot] = Server(
            row.host, row.port_id, None if there is None else frozenset(there)
        )
    return found


def place(call: Call, cloud: Cloud, network_id: str, leaving: frozenset[str] = frozenset()) -> str:
    """Make the DHCP servers of a network what they should be; return what was done."""
    facts = facts_of(call.tx, [network_id]).get(network_id, Facts((), {}))
    load = load_of(call.tx, ROLE, call.settings.dhcp_load_type)
    wanted = decide(facts, cloud, load, call.settings.dhcp_agents_per_network, leaving)
    for name in wanted.dropped:
        forget_wishes(call.tx, ROLE, network_id, host=name)
    taken = {seat.host for seat in wanted.slots.values()}
    kept = {}
    for slot, server in facts.servers.items():
        seat = wanted.slots.get(slot)
        # A host that went to another segment serves there, with another port: it has one slot at a time.
        if seat and server.subnets is not None and (seat.host == server.host or server.host not in taken):
            kept[slot] = server
        else:
            _remove(call, network_id, slot, server)
    for slot, seat in sorted(wanted.slots.items()):
        if slot in kept:
            _keep(call, network_id, slot, kept[slot], seat)
        else:
            _add(call, network_id, slot, seat, facts.project_id)
    hosts = ", ".join(seat.host for _, seat in sorted(wanted.slots.items())) or "nowhere"
    return f"DHCP of network {network_id}: {hosts} ({wanted.reason})"


def orphans(tx: Tx) -> list[str]:
    """Return the networks that have DHCP servers and no subnet with DHCP any more."""
    served = select(subnet.resource.table.c.network_id).where(subnet.resource.table.c.enable_dhcp)
    having = select(dhcp_server.c.network_id).where(dhcp_server.c.network_id.not_in(served)).distinct()
    return list(tx.execute(having).scalars())


def without_port(tx: Tx, port_ids: Sequence[str]) -> list[str]:
    """Return the networks whose DHCP servers had one of these ports."""
    having = select(dhcp_server.c.network_id).where(dhcp_server.c.port_id.in_(port_ids)).distinct()
    return list(tx.execute(having).scalars())


def _add(call: Call, network_id: str, slot: int, seat: Seat, project_id: str) -> None:
    made = port.add(
        call,
        {
            "network_id": network_id,
            "project_id": project_id,
            "device_owner": owners.DHCP,
            "device_id": f"dhcp-{slot}-{network_id}",
            port.HOST: seat.host,
            "fixed_ips": _fixed_ips(seat),
        },
    )
    values = {"network_id": network_id, "slot": slot, "host": seat.host, "port_id": made["id"]}
    call.tx.execute(insert(dhcp_server).values(values))
    dhcp_server_changed(call.tx, network_id, slot)


def _keep(call: Call, network_id: str, slot: int, server: Server, seat: Seat) -> None:
    changes: dict[str, object] = {}
    if server.subnets != seat.subnets:
        changes["fixed_ips"] = _fixed_ips(seat)
    if server.host != seat.host:
        changes[port.HOST] = seat.host
        mine = (dhcp_server.c.network_id == network_id, dhcp_server.c.slot == slot)
        call.tx.execute(update(dhcp_server).where(*mine).values(host=seat.host))
        dhcp_server_changed(call.tx, network_id, slot)
    if changes:
        port.update(call, rows.get(call, port.resource, server.port, lock=True), changes)


def _fixed_ips(seat: Seat) -> list[dict[str, str]]:
    return [{"subnet_id": id_} for id_ in sorted(seat.subnets)]


def _remove(call: Call, network_id: str, slot: int, server: Server) -> None:
    mine = (dhcp_server.c.network_id == network_id, dhcp_server.c.slot == slot)
    call.tx.execute(delete(dhcp_server).where(*mine))
    dhcp_server_changed(call.tx, network_id, slot)
    found = rows.find(call, port.resource, server.port, lock=True)
    if found is not None:
        port.remove(call, found)
