"""The HA ports of redundant routers, one for each router and host, as Neutron shows them.

They are rows to be seen: no host has anything of them. The heartbeat of a router travels by the one port that
its host has on the HA network, whose address and status they show; see deuteron.resources.ha_port.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import ColumnElement, select, update

from deuteron.placement.cloud import of
from deuteron.resources import owners, port, router, rows
from deuteron.resources.call import Call
from deuteron.resources.hosts import NAME_LENGTH, election, router_candidate
from deuteron.store import Tx


class Place(NamedTuple):
    """Where a router has an HA port."""

    router: str
    network: str
    host: str


def unsettled(tx: Tx, ids: Collection[str] | None) -> list[str]:
    """Return those routers, of all if None, whose HA ports are not as their candidates are."""
    if ids is not None and not ids:
        return []
    wanted, present = _wanted(tx, ids).keys(), _present(tx, ids)
    wrong = wanted ^ present.keys() | {place for place, found in present.items() if len(found) > 1}
    return sorted({place.router for place in wrong})


def show(call: Call, router_ids: Collection[str]) -> None:
    """Make routers' HA ports what their candidates are."""
    wanted, present = _wanted(call.tx, router_ids), _present(call.tx, router_ids)
    statuses = _heartbeat_statuses(call.tx, wanted)
    for place, found in present.items():
        for id_ in found[1:] if place in wanted else found:
            rows.remove(call, port.resource, id_)
    for place in sorted(wanted.keys() - present.keys()):
        values = {
            "name": f"HA port tenant {wanted[place]}"[:NAME_LENGTH],
            "project_id": "",
            "network_id": place.network,
            "device_owner": owners.HA_PORT,
            "device_id": place.router,
            "fixed_ips": [],
            "status": statuses.get((place.network, place.host), "DOWN"),
            port.HOST: place.host,
        }
        port.add(call, values)


def follow_status(tx: Tx, host: str) -> None:
    """Give the routers' HA ports on a host the status of those by which its heartbeats travel."""
    table = port.resource.table
    for status in ("ACTIVE", "DOWN"):
        heartbeats = select(table.c.network_id).where(
            table.c.device_owner == owners.HEARTBEAT, *_on(host), table.c.status == status
        )
        values = {"status": status, "revision_number": table.c.revision_number + 1, "updated_at": tx.now}
        shown = (table.c.device_owner == owners.HA_PORT, *_on(host), table.c.status != status)
        tx.execute(update(table).where(*shown, table.c.network_id.in_(heartbeats)).values(values))


def _on(host: str) -> tuple[ColumnElement[bool]]:
    return (port.resource.table.c.binding_host_id == host,)


def _heartbeat_statuses(tx: Tx, places: Collection[Place]) -> dict[tuple[str, str], str]:
    """Return the statuses of the ports by which heartbeats travel, by network and host.

    They stay so until the transaction ends: a report that changes one meanwhile would not see the HA ports
    that are made here, and they would show what was.
    """
    table = port.resource.table
    heartbeats = (
        select(table.c.network_id, table.c.binding_host_id, table.c.status)
        .where(
            table.c.device_owner == owners.HEARTBEAT,
            table.c.network_id.in_({place.network for place in places}),
            table.c.binding_host_id.in_({place.host for place in places}),
        )
        .order_by(table.c.id)
        .with_for_update()
    )
    return {(row.network_id, row.binding_host_id): row.status for row in tx.execute(heartbeats)}


def _wanted(tx: Tx, ids: Collection[str] | None) -> dict[Place, str]:
    """Return where routers' HA ports are to be, and the routers' projects."""
    candidates, routers = router_candidate, router.resource.table
    riding = (
        select(candidates.c.router_id, election.c.ha_network_id, candidates.c.host, routers.c.project_id)
        .join(election, election.c.id == candidates.c.election_id)
        .join(routers, routers.c.id == candidates.c.router_id)
    )
    found = tx.execute(of(riding, candidates.c.router_id, ids))
    return {Place(row.router_id, row.ha_network_id, row.host): row.project_id for row in found}


def _present(tx: Tx, ids: Collection[str] | None) -> dict[Place, list[str]]:
    table = port.resource.table
    shown = select(table.c.device_id, table.c.network_id, table.c.binding_host_id, table.c.id).where(
        table.c.device_owner == owners.HA_PORT
    )
    found: dict[Place, list[str]] = defaultdict(list)
    for row in tx.execute(of(shown, table.c.device_id, ids)):
        found[Place(row.device_id, row.network_id, row.binding_host_id)].append(row.id)
    return found
