"""Logs and local IPs of the database as rows of the state."""

from collections.abc import Collection, Iterator

from sqlalchemy import select

from deuteron.plan import rows as s
from deuteron.plan.units import Log
from deuteron.resources import local_ip, packet_log
from deuteron.store import Tx

Ids = Collection[str] | None
"""Of which objects; None for all."""


def logs(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    """Yield the logs that are enabled."""
    table = packet_log.resource.table
    wanted = select(table).where(table.c.enabled)
    for row in tx.execute(wanted if ids is None else wanted.where(table.c.id.in_(ids))):
        snat = row.resource_type == packet_log.SNAT
        group = "" if snat else row.resource_id or ""
        yield s.PacketLog(
            id=row.id,
            log=Log(id=row.id, project=row.project_id, event=row.event, group=group),
            router=row.resource_id or "" if snat else "",
            port="" if snat else row.target_id or "",
        )


def local_ips(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    """Yield the ports that local IPs lead to."""
    local, led = local_ip.resource.table, local_ip.associations.table
    wanted = select(
        led.c.id,
        led.c.fixed_port_id,
        led.c.fixed_ip,
        local.c.local_ip_address,
        local.c.local_port_id,
        local.c.ip_mode,
    ).join(local, local.c.id == led.c.local_ip_id)
    for row in tx.execute(wanted if ids is None else wanted.where(led.c.id.in_(ids))):
        yield s.LocalIP(
            id=row.id,
            address=row.local_ip_address,
            local_port=row.local_port_id,
            port=row.fixed_port_id,
            fixed_ip=row.fixed_ip,
            translates=row.ip_mode == local_ip.TRANSLATE,
        )
