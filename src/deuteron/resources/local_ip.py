"""Local IPs: an address that leads to another port on every host, to one that is on the host of who asks.

It is the address of a port of its own, or of any port that there is. Where no associated port is, it leads
there, as any address does.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import UniqueConstraint, select

from deuteron.resources import access, owners, port, rows, subnet
from deuteron.resources.address_types import IP
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, InUse, InvalidInput, NotFound
from deuteron.resources.l2_errors import ServicePortInUse
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import DERIVED, UUID, one_of, or_null
from deuteron.store import metadata

TRANSLATE, PASSTHROUGH = "translate", "passthrough"


class LocalIPNotFound(NotFound):
    """`id`."""

    message = "Local IP {id} could not be found."


class LocalIPAssociationNotFound(NotFound):
    """`id`."""

    message = "Local IP association with port {id} could not be found."


class LocalIPAssociationExists(Conflict):
    """`local_ip_id`, `port_id`."""

    message = "Local IP {local_ip_id} is associated with port {port_id} already."


class LocalIPInUse(InUse):
    """`id`."""

    message = "Local IP {id} is still associated with one or more ports."


class LocalIPNoIP(InvalidInput):
    """`port_id`."""

    message = "Specified Port {port_id} has no fixed IPs configured."


class LocalIPRequestedIPNotFound(InvalidInput):
    """`port_id`, `ip`."""

    message = "Specified Port {port_id} does not have requested IP address: {ip}."


class LocalIPNoRequestedIP(InvalidInput):
    """`port_id`."""

    message = "Specified Port {port_id} has several IPs, should specify exact IP address to use for Local IP."


class LocalIPPortOrNetworkRequired(InvalidInput):
    """Neither was given."""

    message = "Either Port ID or Network ID must be specified for Local IP create."


def create(call: Call, values: Item) -> Item:
    """Create a local IP of an address of a port, or of a port of its own on a network."""
    values["id"] = str(uuid.uuid4())
    if values["local_port_id"] is not UNSET:
        owner = port.get(call, access.get(call, port.resource, values["local_port_id"])["id"], lock=True)
        address = _address_of(owner, values["local_ip_address"])
    elif values["network_id"] is not UNSET:
        owner = _own_port(call, values)
        address = next(one["ip_address"] for one in owner["fixed_ips"] if ":" not in one["ip_address"])
    else:
        raise LocalIPPortOrNetworkRequired
    found = {"local_port_id": owner["id"], "network_id": owner["network_id"], "local_ip_address": address}
    return rows.create(call, resource, {**values, **found})


def _own_port(call: Call, values: Item) -> Item:
    network_id, address = values["network_id"], values["local_ip_address"]
    if all(one["ip_version"] != 4 for one in subnet.of_network(call, network_id)):
        raise BadRequest(resource="local_ip", msg=f"Network {network_id} does not contain any IPv4 subnet")
    if address not in (UNSET, None):
        _refuse_ipv6(address)
    return port.add(
        call,
        {
            "project_id": values["project_id"],
            "network_id": network_id,
            "device_owner": owners.LOCAL_IP,
            "device_id": values["id"],
            "status": "N/A",
            "fixed_ips": UNSET if address in (UNSET, None) else [{"ip_address": address}],
        },
    )


def _address_of(of: Item, wanted: Any) -> str:
    """Return an IPv4 address of a port: the one that is wanted, or else its only one."""
    present = [str(one["ip_address"]) for one in of["fixed_ips"]]
    if not present:
        raise LocalIPNoIP(port_id=of["id"])
    if wanted in (UNSET, None):
        if len(present) > 1:
            raise LocalIPNoRequestedIP(port_id=of["id"])
        wanted = present[0]
    if wanted not in present:
        raise LocalIPRequestedIPNotFound(port_id=of["id"], ip=wanted)
    _refuse_ipv6(wanted)
    return str(wanted)


def _refuse_ipv6(address: str) -> None:
    if ":" in address:
        raise InvalidInput(error_message=f"{address} is no IPv4 address, and local IPs are of IPv4")


def delete(call: Call, row: Item) -> None:
    """Delete a local IP that no port is associated with; its own port goes too."""
    if _associations(call, associations.table.c.local_ip_id == row["id"]):
        raise LocalIPInUse(id=row["id"])
    rows.remove(call, resource, row["id"])
    owner = rows.get(call, port.resource, row["local_port_id"])
    if owner["device_owner"] == owners.LOCAL_IP and owner["device_id"] == row["id"]:
        port.remove(call, owner)


def associate(call: Call, values: Item) -> Item:
    """Have a local IP lead to a port, on the port's host."""
    local = rows.get(call, resource, values["local_ip_id"], lock=True)
    inner = port.get(call, access.get(call, port.resource, values["fixed_port_id"])["id"], lock=True)
    if inner["device_owner"].startswith("network:"):
        raise BadRequest(
            resource="local_ip_port_association", msg=f"Port {inner['id']} is not an instance's port"
        )
    values["fixed_ip"] = _address_of(inner, values["fixed_ip"])
    row = rows.insert(call, associations, values)
    if row is None:
        raise LocalIPAssociationExists(local_ip_id=local["id"], port_id=inner["id"])
    return row


def _associations(call: Call, *conditions: Any) -> list[Item]:
    return rows.where(call, associations, *conditions)


def _present(call: Call, items: list[Item]) -> None:
    """Fill in the local IP's address, and where the ports are."""
    addresses = _values(call, resource, "local_ip_address", [item["local_ip_id"] for item in items])
    places = _values(call, port.resource, "binding_host_id", [item["fixed_port_id"] for item in items])
    for item in items:
        item["local_ip_address"] = addresses.get(item["local_ip_id"])
        item["host"] = places.get(item["fixed_port_id"], "")


def _values(call: Call, of: Resource, column: str, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in rows.chunks(set(ids)):
        wanted = select(of.table.c.id, of.table.c[column]).where(of.table.c.id.in_(part))
        found.update(tuple(row) for row in call.tx.execute(wanted))
    return found


def _at_hosts(call: Call, values: list[str]) -> Any:  # noqa: ARG001
    table = port.resource.table
    return associations.table.c.fixed_port_id.in_(
        select(table.c.id).where(table.c.binding_host_id.in_(values))
    )


def _with_addresses(call: Call, values: list[str]) -> Any:  # noqa: ARG001
    table = metadata.tables["local_ip"]
    return associations.table.c.local_ip_id.in_(
        select(table.c.id).where(table.c.local_ip_address.in_(values))
    )


def _deleting_port(call: Call, row: Item) -> None:
    if rows.where(call, resource, resource.table.c.local_port_id == row["id"]):
        raise ServicePortInUse(port_id=row["id"], reason="still referenced by Local IPs")
    for one in _associations(call, associations.table.c.fixed_port_id == row["id"]):
        rows.remove(call, associations, one["id"])


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """What leads to an address that a port loses goes with it; an address that is a local IP stays."""
    if "fixed_ips" not in changes:
        return
    kept = {one.get("ip_address") for one in changes["fixed_ips"]}
    for one in rows.where(call, resource, resource.table.c.local_port_id == row["id"]):
        if one["local_ip_address"] not in kept:
            raise ServicePortInUse(port_id=row["id"], reason=f"its address is Local IP {one['id']}")
    for one in _associations(call, associations.table.c.fixed_port_id == row["id"]):
        if one["fixed_ip"] not in kept:
            rows.remove(call, associations, one["id"])


resource = Resource(
    name="local_ip",
    collection="local_ips",
    not_found=LocalIPNotFound,
    attributes={
        "local_port_id": Attr(type=UUID, default=UNSET, post=True, references="port.id", index=True),
        "network_id": Attr(type=UUID, default=UNSET, post=True, references="network.id"),
        "local_ip_address": Attr(type=or_null(IP), default=UNSET, post=True),
        "ip_mode": Attr(type=one_of(TRANSLATE, PASSTHROUGH), default=TRANSLATE, post=True),
    },
    create=create,
    delete=delete,
)

associations = Resource(
    name="local_ip_port_association",
    member="port_association",
    collection="port_associations",
    parent="local_ip",
    key="fixed_port_id",
    not_found=LocalIPAssociationNotFound,
    attributes={
        "id": Attr(type=UUID, default=UNSET, visible=False),
        "local_ip_id": Attr(
            type=UUID, default=UNSET, references="local_ip.id", on_delete="CASCADE", index=True
        ),
        "local_ip_address": Attr(type=DERIVED, default=UNSET, stored=False, sort=False),
        "fixed_port_id": Attr(type=UUID, post=True, references="port.id", on_delete="CASCADE", index=True),
        "fixed_ip": Attr(type=or_null(IP), default=None, post=True, nullable=True),
        "host": Attr(type=DERIVED, default=UNSET, stored=False, sort=False),
    },
    constraints=[UniqueConstraint("local_ip_id", "fixed_port_id")],
    create=associate,
    present=_present,
    filters={"host": _at_hosts, "local_ip_address": _with_addresses},
    updatable=False,
)

DECLARES = (
    resource,
    associations,
    Extension(resource="port", name="local_ips", updating=_updating_port, deleting=_deleting_port),
    Alias(alias="local_ip", name="Local IP", description="Addresses that lead to a port on the asker's host"),
)
