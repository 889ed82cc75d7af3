"""What is to be seen of the hidden HA networks: as Neutron shows it, to administrators.

A host has one port on an HA network, the heartbeat's, for all its elections there. Each redundant router has
an HA port for each of its hosts besides, which stands for that one: it shows its addresses, and is bound to
the same host. The networks and ports belong to no project. Placement makes and removes all of them.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from deuteron.resources import ipam, owners, port, router, rows
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict
from deuteron.resources.hosts import ha_network, ha_port
from deuteron.resources.l2_errors import NetworkInUse, ServicePortInUse
from deuteron.resources.resource import Alias, Extension, Item
from deuteron.resources.types import BOOLEAN

_FREE = frozenset({"name", "description"})
"""What may be changed of such a port."""


class HAPortInUse(Conflict):
    """`port_id`, `owner`, `what`."""

    message = "Port {port_id} belongs to redundant routers (device owner {owner}): {what} cannot be changed."


def _present(call: Call, items: list[Item]) -> None:
    """Give routers' HA ports the addresses of the heartbeat's ports that they stand for."""
    shown = [item for item in items if item["device_owner"] == owners.HA_PORT]
    if not shown:
        return
    heartbeats = _heartbeats(call, {item["network_id"] for item in shown})
    for item in shown:
        found = heartbeats.get((item["network_id"], item[port.HOST]))
        if found is not None:
            item["mac_address"], item["fixed_ips"] = found


def _heartbeats(
    call: Call, networks: Collection[str]
) -> dict[tuple[str, str], tuple[str, list[dict[str, str]]]]:
    """Return MAC and IP addresses of the heartbeat's ports on these networks, by (network, host)."""
    table = port.resource.table
    joined = select(ha_port.c.network_id, ha_port.c.host, table.c.id, table.c.mac_address).join(
        table, table.c.id == ha_port.c.port_id
    )
    found = {}
    for part in rows.chunks(sorted(networks)):
        members = call.tx.execute(joined.where(ha_port.c.network_id.in_(part))).all()
        addresses = ipam.of_ports(call.tx, [row.id for row in members])
        for row in members:
            found[row.network_id, row.host] = (row.mac_address, addresses[row.id])
    return found


def _created_port(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    _refuse_owner(row["device_owner"])


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    _refuse_owner(changes.get("device_owner", ""))
    if _in_use(call, row) and (what := sorted(changes.keys() - _FREE)):
        raise HAPortInUse(port_id=row["id"], owner=row["device_owner"], what=", ".join(what))


def _refuse_owner(owner: str) -> None:
    """Raise BadRequest if somebody else makes a port by which a heartbeat seems to travel."""
    if owner == owners.HEARTBEAT:
        raise BadRequest(resource="port", msg=f"device_owner {owner} is for ports that Deuteron makes itself")


def _deleting_port(call: Call, row: Item) -> None:
    if _in_use(call, row):
        raise ServicePortInUse(port_id=row["id"], reason=f"has device owner {row['device_owner']}")


def _in_use(call: Call, row: Item) -> bool:
    """Whether a port is a heartbeat's, or an HA port of a router that exists."""
    if row["device_owner"] == owners.HEARTBEAT:
        mine = select(ha_port.c.host).where(ha_port.c.port_id == row["id"])
        return call.tx.execute(mine).first() is not None
    if row["device_owner"] == owners.HA_PORT:
        return rows.find(call, router.resource, row["device_id"]) is not None
    return False


def _deleting_router(call: Call, row: Item) -> None:
    """A router's HA ports go with it."""
    table = port.resource.table
    mine = (table.c.device_id == row["id"], table.c.device_owner == owners.HA_PORT)
    for id_ in call.tx.execute(select(table.c.id).where(*mine)).scalars().all():
        rows.remove(call, port.resource, id_)


def _updating_network(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """An election never changes, so its network does not either."""
    there = select(ha_network.c.number).where(ha_network.c.network_id == row["id"])
    mtu = changes.get("mtu", row["mtu"])
    if mtu != row["mtu"] and call.tx.execute(there).first() is not None:
        raise NetworkInUse(net_id=row["id"], reason="It is an HA network, whose mtu cannot be changed")


def _created_network(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    if values["ha"]:
        raise BadRequest(
            resource="network",
            msg="an HA network is made with the first redundant router that needs it, and cannot be created",
        )


DECLARES = (
    Extension(
        resource="port",
        name="ha",
        present=_present,
        created=_created_port,
        updating=_updating_port,
        deleting=_deleting_port,
    ),
    Extension(resource="router", name="ha_ports", deleting=_deleting_router),
    Extension(
        resource="network",
        name="ha",
        attributes={
            "ha": Attr(
                type=BOOLEAN,
                default=False,
                post=True,
                visible=False,
                stored=False,
                filter=False,
                sort=False,
            )
        },
        created=_created_network,
        updating=_updating_network,
    ),
    Alias(
        alias="network_ha",
        name="Network HA creation flag",
        description="Networks of redundant routers' hosts",
    ),
)
