"""Where the floating IPs of distributed routers are, and the ports by which hosts serve them.

A host that is to serve floating IPs of an external network gets one port on it, without an address, before
the plan brings the first of them there. Until then they are served centrally.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from deuteron.placement.cloud import of
from deuteron.plan import floating
from deuteron.resources import agent, floatingip, network, owners, port, port_binding, router, rows
from deuteron.resources.call import Call
from deuteron.resources.distribution import Rung, floats_at_hosts
from deuteron.resources.hosts import DVR_MODES, host
from deuteron.resources.ipam import fixed_ip
from deuteron.store import Tx

Way = tuple[str, str]
"""(external network, host)"""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A floating IP that leads to a port, and what matters of where it is served."""

    id: str
    network: str
    router: str
    facts: floating.Facts
    waiting: tuple[floating.Facts, ...] = ()
    """The same, if its port was on one of the hosts where a binding of it waits."""


def known(tx: Tx, *conditions: Any) -> list[Known]:
    """Return the floating IPs with a router and a port that meet conditions, as of now."""
    f, p, r = floatingip.resource.table.c, port.resource.table.c, router.resource.table.c
    n = network.resource.table.c
    joined = (
        select(
            f.id, f.floating_network_id, f.router_id, f.port_id, f.fixed_ip_address,
            p.binding_host_id, p.device_owner, r.rung, n.provider_physical_network,
        )
        .join(port.resource.table, p.id == f.port_id)
        .join(router.resource.table, r.id == f.router_id)
        .join(network.resource.table, n.id == f.floating_network_id)
        .where(*conditions)
    )  # fmt: skip
    found = tx.execute(joined).all()
    hosts = {row.name: row for row in tx.execute(select(host))}
    ways = set(present(tx))
    own = _fixed_ips(tx, (row.port_id for row in found))
    near = _subnets(tx, (row.router_id for row in found))
    waiting = _waiting(tx, (row.port_id for row in found))

    def facts(row: Any, name: str) -> floating.Facts:
        there = hosts.get(name)
        mode = there.agent_mode if there and "l3" in there.roles else ""
        return floating.Facts(
            distributed=floats_at_hosts(row.rung),
            bound=name,
            own=row.fixed_ip_address in own[row.port_id],
            near=own[row.port_id].get(row.fixed_ip_address) in near[row.router_id],
            carries=mode in DVR_MODES,
            agent_mode=mode,
            physical_network=row.provider_physical_network,
            physical_networks=tuple(there.physical_networks) if there else (),
            prepared=(row.floating_network_id, name) in ways,
        )

    return [
        Known(
            id=row.id,
            network=row.floating_network_id,
            router=row.router_id,
            facts=facts(row, row.binding_host_id),
            waiting=tuple(facts(row, name) for name in waiting[row.port_id]),
        )
        for row in found
        if not row.device_owner.startswith("network:")
    ]


def _fixed_ips(tx: Tx, ports: Iterable[str]) -> Mapping[str, dict[str, str]]:
    """Return address -> subnet of each port."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for part in rows.chunks(sorted(set(ports))):
        for row in tx.execute(select(fixed_ip).where(fixed_ip.c.port_id.in_(part))):
            found[row.port_id][row.ip_address] = row.subnet_id
    return found


def _subnets(tx: Tx, routers: Iterable[str]) -> Mapping[str, set[str]]:
    """Return the subnets on which each router has an interface."""
    found: dict[str, set[str]] = defaultdict(set)
    c = port.resource.table.c
    joined = select(c.device_id, fixed_ip.c.subnet_id).join(fixed_ip, fixed_ip.c.port_id == c.id)
    for part in rows.chunks(sorted(set(routers))):
        mine = (c.device_id.in_(part), c.device_owner.in_(owners.ROUTER_INTERFACES))
        for row in tx.execute(joined.where(*mine)):
            found[row.device_id].add(row.subnet_id)
    return found


def _waiting(tx: Tx, ports: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for part in rows.chunks(sorted(set(ports))):
        found.update(port_binding.waiting_hosts(tx, part))
    return found


def present(tx: Tx) -> dict[Way, list[str]]:
    """Return the ports by which hosts serve floating IPs."""
    c = port.resource.table.c
    found: dict[Way, list[str]] = defaultdict(list)
    mine = select(c.id, c.network_id, c.binding_host_id).where(c.device_owner == owners.AGENT_GATEWAY)
    for row in tx.execute(mine.order_by(c.id)):
        found[row.network_id, row.binding_host_id].append(row.id)
    return found


class Lack(msgspec.Struct, frozen=True):
    """What is to be done about these ports."""

    missing: frozenset[Way]
    surplus: frozenset[str] = frozenset()
    """Ports."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.surplus)


def lack(tx: Tx, ids: Collection[str] | None) -> Lack:
    """Return what these floating IPs lack, or with None what all do, and what nobody needs any more.

    Hosts are prepared while a router becomes distributed, before its floating IPs go there.
    """
    if ids is not None and not ids:
        return Lack(frozenset())
    f, r = floatingip.resource.table.c, router.resource.table.c
    conditions = [r.rung >= Rung.BUILT, *([] if ids is None else [f.id.in_(ids)])]
    wanted = {
        (one.network, place.host)
        for one in known(tx, *conditions)
        for facts in (one.facts, *one.waiting)
        if (place := floating.suitable(msgspec.structs.replace(facts, distributed=True))).host
    }
    there = present(tx)
    surplus = {id_ for way, found in there.items() for id_ in found[1 if way in wanted else 0 :]}
    return Lack(frozenset(wanted - there.keys()), frozenset(surplus if ids is None else ()))


def prepare(call: Call, ids: Collection[str] | None) -> str:
    """Give hosts the ports that floating IPs lack, take away what nobody needs; return what was done."""
    found = lack(call.tx, ids)
    for network_id, name in sorted(found.missing):
        values = {
            "project_id": "",
            "network_id": network_id,
            "device_owner": owners.AGENT_GATEWAY,
            "device_id": agent.agent_id(name, "l3"),
            "fixed_ips": [],
            port.HOST: name,
        }
        port.add(call, values)
    for id_ in sorted(found.surplus):
        rows.remove(call, port.resource, id_)
    return f"floating IPs: {len(found.missing)} hosts prepared, {len(found.surplus)} not needed any more"


def touched_by(tx: Tx, ports: Collection[str], routers: Collection[str]) -> set[str]:
    """Return the floating IPs that lead to ports or by routers, those of routers that are distributed."""
    f, r = floatingip.resource.table.c, router.resource.table.c
    distributed = select(f.id).join(router.resource.table, r.id == f.router_id).where(r.rung >= Rung.BUILT)
    found: set[str] = set()
    for column, ids in ((f.port_id, ports), (f.router_id, routers)):
        for part in rows.chunks(sorted(ids)):
            found.update(tx.execute(of(distributed, column, part)).scalars())
    return found
