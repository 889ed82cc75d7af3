"""DHCP servers: so many a network, each in a slot that owns a port and keeps it wherever it goes."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import delete, insert, select, update

from deuteron.placement.cloud import Cloud, Load, load_of, of
from deuteron.placement.decide import choose
from deuteron.resources import network, owners, port, rows, subnet
from deuteron.resources.call import Call
from deuteron.resources.hosts import Wishes, dhcp_server, dhcp_server_changed, forget_wishes, wishes_of
from deuteron.resources.ipam import fixed_ip
from deuteron.store import Tx

ROLE = "dhcp"


class Server(msgspec.Struct, frozen=True):
    """A DHCP server as it is; `subnets` are those its port has an address on, None if the port is gone."""

    host: str
    port: str
    subnets: frozenset[str] | None


class Facts(msgspec.Struct, frozen=True):
    """A network as far as DHCP goes; one that is gone serves no subnet."""

    served: frozenset[str]
    servers: Mapping[int, Server]
    physical_networks: Sequence[str] = ()
    zones: Sequence[str] = ()
    project_id: str = ""
    wishes: Wishes = Wishes()


class Servers(msgspec.Struct, frozen=True):
    """The hosts of a network's DHCP servers by slot, and why these."""

    slots: dict[int, str]
    reason: str
    dropped: frozenset[str] = frozenset()
    """Hosts that were asked for, are dead and replaced: they are not asked for any more."""


def decide(
    facts: Facts, cloud: Cloud, load: Load, wanted: int, leaving: frozenset[str] = frozenset()
) -> Servers:
    """Return where a network's DHCP servers should be: not on those `leaving`, if there are others."""
    if not facts.served:
        return Servers({}, "no subnet with DHCP is left")
    before = {slot: server.host for slot, server in sorted(facts.servers.items())}
    current = list(before.values())
    wishes, physical = facts.wishes, facts.physical_networks
    left = [name for name in current if name not in wishes.off]
    choice = choose(
        wanted,
        current,
        cloud.fit(ROLE, load, current, physical, wishes.off | leaving),
        cloud.unfit(ROLE, load, left, physical, leaving),
        facts.zones,
        wishes.on,
    )
    dropped = (wishes.on & (cloud.silent | leaving)) - set(choice.hosts)
    return Servers(assign(before, choice.hosts), choice.reason, dropped)


def assign(before: dict[int, str], hosts: Sequence[str]) -> dict[int, str]:
    """Give each host a slot: the one it has, else one that another host leaves, else the lowest free one."""
    slots = {slot: name for slot, name in before.items() if name in hosts}
    left = sorted(slot for slot in before if slot not in slots)
    for name in hosts:
        if name not in slots.values():
            slots[left.pop(0) if left else _lowest_free(slots)] = name
    return slots


def _lowest_free(slots: dict[int, str]) -> int:
    return next(slot for slot in range(len(slots) + 1) if slot not in slots)


def settled(facts: Facts, servers: Servers) -> bool:
    """Whether a network's DHCP servers are what they should be."""
    return (
        not servers.dropped
        and {slot: server.host for slot, server in facts.servers.items()} == servers.slots
        and all(server.subnets == facts.served for server in facts.servers.values())
    )


def facts_of(tx: Tx, ids: Collection[str] | None) -> dict[str, Facts]:
    """Return the facts of networks, those that are gone included; of all if None."""
    servers = _servers(tx, ids)
    wishes = wishes_of(tx, ROLE, ids)
    table = subnet.resource.table
    served: dict[str, set[str]] = defaultdict(set)
    for row in tx.execute(
        of(select(table.c.id, table.c.network_id), table.c.network_id, ids).where(table.c.enable_dhcp)
    ):
        served[row.network_id].add(row.id)
    c = network.resource.table.c
    columns = (
        c.id,
        c.project_id,
        c.provider_network_type,
        c.provider_physical_network,
        c.availability_zone_hints,
    )
    found = {}
    for row in tx.execute(of(select(*columns), c.id, ids)):
        # A network with several segments has no DHCP: not built.
        found[row.id] = Facts(
            served=frozenset(served[row.id]) if row.provider_network_type else frozenset(),
            servers=servers.get(row.id, {}),
            physical_networks=[row.provider_physical_network] if row.provider_physical_network else [],
            zones=row.availability_zone_hints,
            project_id=row.project_id,
            wishes=wishes.get(row.id, Wishes()),
        )
    for id_ in servers.keys() - found.keys():
        found[id_] = Facts(served=frozenset(), servers=servers[id_])
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
    facts = facts_of(call.tx, [network_id]).get(network_id, Facts(frozenset(), {}))
    load = load_of(call.tx, ROLE, call.settings.dhcp_load_type)
    wanted = decide(facts, cloud, load, call.settings.dhcp_agents_per_network, leaving)
    for name in wanted.dropped:
        forget_wishes(call.tx, ROLE, network_id, host=name)
    for slot, server in facts.servers.items():
        if slot not in wanted.slots or server.subnets is None:
            _remove(call, network_id, slot, server)
        else:
            _keep(call, network_id, slot, server, wanted.slots[slot], facts)
    for slot, name in sorted(wanted.slots.items()):
        if slot not in facts.servers or facts.servers[slot].subnets is None:
            _add(call, network_id, slot, name, facts)
    hosts = ", ".join(name for _, name in sorted(wanted.slots.items())) or "nowhere"
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


def _add(call: Call, network_id: str, slot: int, name: str, facts: Facts) -> None:
    made = port.add(
        call,
        {
            "network_id": network_id,
            "project_id": facts.project_id,
            "device_owner": owners.DHCP,
            "device_id": f"dhcp-{slot}-{network_id}",
            port.HOST: name,
            "fixed_ips": [{"subnet_id": id_} for id_ in sorted(facts.served)],
        },
    )
    values = {"network_id": network_id, "slot": slot, "host": name, "port_id": made["id"]}
    call.tx.execute(insert(dhcp_server).values(values))
    dhcp_server_changed(call.tx, network_id, slot)


def _keep(call: Call, network_id: str, slot: int, server: Server, name: str, facts: Facts) -> None:
    changes: dict[str, object] = {}
    if server.subnets != facts.served:
        changes["fixed_ips"] = [{"subnet_id": id_} for id_ in sorted(facts.served)]
    if server.host != name:
        changes[port.HOST] = name
        mine = (dhcp_server.c.network_id == network_id, dhcp_server.c.slot == slot)
        call.tx.execute(update(dhcp_server).where(*mine).values(host=name))
        dhcp_server_changed(call.tx, network_id, slot)
    if changes:
        port.update(call, rows.get(call, port.resource, server.port, lock=True), changes)


def _remove(call: Call, network_id: str, slot: int, server: Server) -> None:
    mine = (dhcp_server.c.network_id == network_id, dhcp_server.c.slot == slot)
    call.tx.execute(delete(dhcp_server).where(*mine))
    dhcp_server_changed(call.tx, network_id, slot)
    found = rows.find(call, port.resource, server.port, lock=True)
    if found is not None:
        port.remove(call, found)
