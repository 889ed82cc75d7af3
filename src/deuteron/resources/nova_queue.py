"""What Nova is still to be told of its instances' ports, written in the transaction that made it happen.

deuteron.nova tells it, in this order, and takes out what Nova has heard.
"""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, insert

from deuteron.resources.call import Call
from deuteron.store import ID_LENGTH, Tx, metadata

Name = Literal["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"]

nova_event = Table(
    "nova_event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("created", Float(53), nullable=False),
    Column("name", String(32), nullable=False),
    Column("server_id", String(ID_LENGTH), nullable=False),
    Column("port_id", String(ID_LENGTH), nullable=False),
    sqlite_autoincrement=True,
)
"""Ids of one port's events are in the order in which they happened: the port's row was locked."""


def tell(tx: Tx, name: Name, port: Mapping[str, Any]) -> None:
    """Have Nova told, if the port (`id`, `device_id`, `device_owner`) is one of its instances'."""
    if is_novas(port):
        told = {"name": name, "server_id": port["device_id"], "port_id": port["id"]}
        tx.execute(insert(nova_event).values(created=time.time(), **told))


def status_changed(tx: Tx, port: Mapping[str, Any], status: str) -> None:
    """Have Nova told that a port with this former `status` has another one now."""
    if status == "ACTIVE":
        tell(tx, "network-vif-plugged", port)
    elif status == "DOWN" and port["status"] == "ACTIVE":
        tell(tx, "network-vif-unplugged", port)


def host_changed(call: Call, port: Mapping[str, Any]) -> None:
    """Have Nova told that a port that was perhaps up is bound to another host, or to none."""
    if call.settings.notify_nova_on_port_status_changes:
        status_changed(call.tx, port, "DOWN")


def is_novas(port: Mapping[str, Any]) -> bool:
    """Return whether a port is that of an instance which Nova knows."""
    if not port["device_owner"].startswith("compute:"):
        return False
    try:
        uuid.UUID(port["device_id"])
    except ValueError:
        return False
    return True
