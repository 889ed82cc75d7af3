"""What changes of ports and floating IPs Nova is told of, which remembers their addresses."""

from collections.abc import Mapping
from typing import Any

from deuteron.resources import port, rows
from deuteron.resources.call import Call
from deuteron.resources.nova_queue import tell
from deuteron.resources.resource import Extension, Item


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    _tell_changed(call, {**row, **changes})


def _deleting_port(call: Call, row: Item) -> None:
    if call.settings.notify_nova_on_port_data_changes:
        tell(call.tx, "network-vif-deleted", row)


def _created_floating_ip(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    _tell_of(call, row["port_id"])


def _updating_floating_ip(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """Both the instance that loses it and the one that gets it."""
    for port_id in {row["port_id"], changes.get("port_id", row["port_id"])}:
        _tell_of(call, port_id)


def _deleting_floating_ip(call: Call, row: Item) -> None:
    _tell_of(call, row["port_id"])


def _tell_of(call: Call, port_id: str | None) -> None:
    found = rows.find(call, port.resource, port_id) if port_id else None
    if found is not None:
        _tell_changed(call, found)


def _tell_changed(call: Call, found: Item) -> None:
    if call.settings.notify_nova_on_port_data_changes:
        tell(call.tx, "network-changed", found)


DECLARES = (
    Extension(resource="port", name="nova", updating=_updating_port, deleting=_deleting_port),
    Extension(
        resource="floatingip",
        name="nova",
        created=_created_floating_ip,
        updating=_updating_floating_ip,
        deleting=_deleting_floating_ip,
    ),
)
