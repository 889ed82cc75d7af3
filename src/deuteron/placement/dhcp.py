"""DHCP servers: so many a network, each in a slot that owns a port and keeps it wherever it goes."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update

from deuteron.placement.cloud import Cloud
from deuteron.placement.decide import choose
from deuteron.resources import ipam, network, owners, port, rows, subnet
from deuteron.resources.call import Call
from deuteron.resources.hosts import dhcp_server, dhcp_server_changed
from deuteron.store import Tx


class Servers(msgspec.Struct, frozen=True):
    """The hosts of a network's DHCP servers by slot, and why these."""

    slots: dict[int, str]
    reason: str


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


def decide(call: Call, cloud: Cloud, network_id: str) -> Servers:
    """Return where a network's DHCP servers should be."""
    row = rows.find(call, network.resource, network_id)
    before = {server.slot: server.host for server in _servers(call.tx, network_id)}
    if row is None or not _served(call, network_id):
        return Servers({}, "no subnet with DHCP is left")
    physical = [row[network.PHYSICAL]] if row[network.PHYSICAL] else []
    current = [before[slot] for slot in sorted(before)]
    choice = choose(
        call.settings.dhcp_agents_per_network,
        current,
        cloud.fit(call.tx, "dhcp", current, physical),
        cloud.silent_of(current, "dhcp", physical),
        row["availability_zone_hints"],
    )
    return Servers(assign(before, choice.hosts), choice.reason)


def settled(call: Call, cloud: Cloud, network_id: str) -> bool:
    """Whether there is nothing to do for a network."""
    servers = _servers(call.tx, network_id)
    wanted = decide(call, cloud, network_id).slots
    if {server.slot: server.host for server in servers} != wanted:
        return False
    subnets = _served(call, network_id)
    return all(_port_subnets(call, server.port_id) == subnets for server in servers)


def place(call: Call, cloud: Cloud, network_id: str) -> str:
    """Make the DHCP servers of a network what they should be; return what was done."""
    wanted = decide(call, cloud, network_id)
    subnets = _served(call, network_id)
    for server in _servers(call.tx, network_id):
        if server.slot not in wanted.slots:
            _remove(call, server)
        else:
            _keep(call, server, wanted.slots[server.slot], subnets)
    present = {server.slot for server in _servers(call.tx, network_id)}
    for slot, name in sorted(wanted.slots.items()):
        if slot not in present:
            port_id = _create_port(call, network_id, slot, name, subnets)
            values = {"network_id": network_id, "slot": slot, "host": name, "port_id": port_id}
            call.tx.execute(insert(dhcp_server).values(values))
            dhcp_server_changed(call.tx, network_id, slot)
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


def _keep(call: Call, server: Any, name: str, subnets: frozenset[str]) -> None:
    mine = (dhcp_server.c.network_id == server.network_id, dhcp_server.c.slot == server.slot)
    found = rows.find(call, port.resource, server.port_id, lock=True)
    if found is None:
        call.tx.execute(delete(dhcp_server).where(*mine))
        dhcp_server_changed(call.tx, server.network_id, server.slot)
        return
    changes: dict[str, Any] = {}
    if _port_subnets(call, server.port_id) != subnets:
        changes["fixed_ips"] = [{"subnet_id": id_} for id_ in sorted(subnets)]
    if server.host != name:
        changes[port.HOST] = name
        call.tx.execute(update(dhcp_server).where(*mine).values(host=name))
        dhcp_server_changed(call.tx, server.network_id, server.slot)
    if changes:
        port.update(call, found, changes)


def _remove(call: Call, server: Any) -> None:
    mine = (dhcp_server.c.network_id == server.network_id, dhcp_server.c.slot == server.slot)
    call.tx.execute(delete(dhcp_server).where(*mine))
    dhcp_server_changed(call.tx, server.network_id, server.slot)
    found = rows.find(call, port.resource, server.port_id, lock=True)
    if found is not None:
        port.remove(call, found)


def _create_port(call: Call, network_id: str, slot: int, name: str, subnets: frozenset[str]) -> str:
    body = {
        "network_id": network_id,
        "project_id": rows.get(call, network.resource, network_id)["project_id"],
        "device_owner": owners.DHCP,
        "device_id": f"dhcp-{slot}-{network_id}",
        port.HOST: name,
        "fixed_ips": [{"subnet_id": id_} for id_ in sorted(subnets)],
    }
    return str(port.add(call, body)["id"])


def _servers(tx: Tx, network_id: str) -> list[Any]:
    mine = select(dhcp_server).where(dhcp_server.c.network_id == network_id).order_by(dhcp_server.c.slot)
    return list(tx.execute(mine))


def _served(call: Call, network_id: str) -> frozenset[str]:
    return frozenset(row["id"] for row in subnet.of_network(call, network_id) if row["enable_dhcp"])


def _port_subnets(call: Call, port_id: str) -> frozenset[str] | None:
    """Return the subnets on which a port has an address; None if there is no such port."""
    if rows.find(call, port.resource, port_id) is None:
        return None
    return frozenset(fixed["subnet_id"] for fixed in ipam.of_ports(call.tx, [port_id])[port_id])
