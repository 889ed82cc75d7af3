"""Trunks: an instance's one port (the parent) carries others (the subports), told apart by VLAN tags.

Subports are ports as any other, on networks of their own; they are where their parent is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    insert,
    select,
)

from deuteron.resources import access, network, port, rows, tag
from deuteron.resources.attribute import Attr, Type
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, HTTPBadRequest, InUse, InvalidInput, NotFound
from deuteron.resources.l2_errors import PortInUse
from deuteron.resources.resource import Alias, Child, Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, DERIVED, UUID, integer, is_uuid, line, shown
from deuteron.store import ID_LENGTH, metadata

SUBPORT = "trunk:subport"
"""The `device_owner` of a subport whose parent is on a host."""
VLAN, INHERIT = "vlan", "inherit"
_VLAN_ID = integer(1, 4094)
_KEYS = frozenset({"port_id", "segmentation_id", "segmentation_type"})


class TrunkNotFound(NotFound):
    """`id`."""

    message = "Trunk {id} could not be found."


class SubPortNotFound(NotFound):
    """`port_id`, `trunk_id`."""

    message = "SubPort {port_id} on trunk {trunk_id} could not be found."


class TrunkPortInUse(InUse):
    """`port_id`."""

    message = "Port {port_id} is in use by another trunk."


class ParentPortInUse(InUse):
    """`port_id`."""

    message = "Port {port_id} is currently in use and is not eligible for use as a parent port."


class DuplicateSubPort(InUse):
    """`segmentation_type`, `segmentation_id`, `trunk_id`."""

    message = (
        "segmentation_type {segmentation_type} and segmentation_id {segmentation_id} already in use "
        "on trunk {trunk_id}."
    )


class SubPortMtuGreaterThanTrunkPortMtu(Conflict):
    """`port_mtu`, `port_id`, `trunk_mtu`, `trunk_id`."""

    message = (
        "MTU {port_mtu} of subport {port_id} cannot be greater than MTU {trunk_mtu} of trunk {trunk_id}."
    )


class PortInUseAsTrunkParent(InUse):
    """`port_id`, `trunk_id`."""

    message = "Port {port_id} is currently a parent port for trunk {trunk_id}."


class PortInUseAsSubPort(InUse):
    """`port_id`, `trunk_id`."""

    message = "Port {port_id} is currently a subport for trunk {trunk_id}."


class TrunkInUse(InUse):
    """`trunk_id`."""

    message = "Trunk {trunk_id} is currently in use."


class TrunkDisabled(Conflict):
    """`trunk_id`."""

    message = "Trunk {trunk_id} is currently disabled."


subport = Table(
    "trunk_subport",
    metadata,
    Column("port_id", String(ID_LENGTH), ForeignKey("port.id"), primary_key=True),
    Column(
        "trunk_id",
        String(ID_LENGTH),
        ForeignKey("trunk.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("segmentation_type", String(16), nullable=False),
    Column("segmentation_id", Integer, nullable=False),
    UniqueConstraint("trunk_id", "segmentation_type", "segmentation_id"),
)
"""The subports of each trunk. Changes are in the change log as the trunk's."""


def _sub_ports(value: Any) -> list[Item]:
    """Take what names subports: no two with one port, or with one tag."""
    if not isinstance(value, list):
        raise ValueError(f"'{shown(value)}' is not a list")
    found = [_sub_port(one) for one in value]
    ports = [one["port_id"] for one in found]
    tags = [
        (one.get("segmentation_type"), one["segmentation_id"]) for one in found if "segmentation_id" in one
    ]
    if len(set(ports)) < len(ports):
        raise ValueError("a port is there twice")
    if len(set(tags)) < len(tags):
        raise ValueError("a segmentation ID is there twice")
    return found


def _sub_port(value: Any) -> Item:
    if not isinstance(value, Mapping) or not is_uuid(value.get("port_id")):
        raise ValueError(f"'{shown(value)}' names no port by port_id")
    if unknown := set(value) - _KEYS:
        raise ValueError(f"unknown in a subport: {', '.join(sorted(shown(key) for key in unknown))}")
    return dict(value)


SUB_PORTS = Type(_sub_ports, None)


def create(call: Call, values: Item) -> Item:
    """Make a trunk of a port that nobody uses in another, with its first subports."""
    wanted = values.pop("sub_ports")
    parent = rows.get(call, port.resource, values["port_id"], lock=True)
    _refuse_used(call, parent["id"], ParentPortInUse)
    if parent[port.HOST]:
        raise ParentPortInUse(port_id=parent["id"])
    row = rows.create(call, resource, values)
    _attach(call, row, parent, wanted)
    return row


def delete_trunk(call: Call, row: Item) -> None:
    """Delete a trunk whose parent is on no host; its subports are plain ports again."""
    _refuse_disabled(row)
    if rows.get(call, port.resource, row["port_id"], lock=True)[port.HOST]:
        raise TrunkInUse(trunk_id=row["id"])
    _detach(call, row["id"], [one.port_id for one in _of_trunk(call, row["id"])])
    rows.remove(call, resource, row["id"])


def add_subports(call: Call, trunk_id: str, body: Any) -> Item:
    """Add subports; return the trunk."""
    wanted = _named(body)
    row = rows.get(call, resource, trunk_id, lock=True)
    _refuse_disabled(row)
    _attach(call, row, rows.get(call, port.resource, row["port_id"], lock=True), wanted)
    return _changed(call, row)


def remove_subports(call: Call, trunk_id: str, body: Any) -> Item:
    """Take subports out; return the trunk."""
    wanted = _named(body)
    row = rows.get(call, resource, trunk_id, lock=True)
    _refuse_disabled(row)
    there = {one.port_id for one in _of_trunk(call, trunk_id)}
    for one in wanted:
        if one["port_id"] not in there:
            raise SubPortNotFound(port_id=one["port_id"], trunk_id=trunk_id)
    _detach(call, trunk_id, [one["port_id"] for one in wanted])
    return _changed(call, row)


def list_subports(call: Call, trunk_id: str) -> list[Item]:
    """Return a trunk's subports."""
    return [_shown(one) for one in _of_trunk(call, trunk_id)]


def _named(body: Any) -> list[Item]:
    if not isinstance(body, Mapping) or "sub_ports" not in body:
        raise HTTPBadRequest(msg="Unable to find 'sub_ports' in request body")
    try:
        return _sub_ports(body["sub_ports"])
    except ValueError as error:
        raise InvalidInput(error_message=str(error)) from None


def _changed(call: Call, row: Item) -> Item:
    new = [rows.change(call, resource, row, {})]
    present(call, new)
    return {**new[0], "tenant_id": new[0]["project_id"]}


def _refuse_disabled(row: Item) -> None:
    if not row["admin_state_up"]:
        raise TrunkDisabled(trunk_id=row["id"])


def _attach(call: Call, trunk: Item, parent: Item, wanted: Sequence[Item]) -> None:
    """Make ports subports of a trunk: free ones, tags of their own, no larger frames than the parent's."""
    largest = _mtu(call, parent)
    for one in wanted:
        _refuse_incomplete(one)
    for one in wanted:
        child = access.get(call, port.resource, one["port_id"], lock=True)
        if child["id"] == parent["id"]:
            raise ParentPortInUse(port_id=child["id"])
        _refuse_used(call, child["id"], ParentPortInUse)
        if child["device_id"]:
            raise PortInUse(net_id=child["network_id"], port_id=child["id"], device_id=child["device_id"])
        if (mtu := _mtu(call, child)) > largest:
            raise SubPortMtuGreaterThanTrunkPortMtu(
                port_mtu=mtu, port_id=child["id"], trunk_mtu=largest, trunk_id=trunk["id"]
            )
        _insert(call, trunk["id"], child, _tag(call, child, one))
        _bind(call, child, parent[port.HOST])


def _mtu(call: Call, row: Item) -> int:
    mtu: int = rows.get(call, network.resource, row["network_id"])["mtu"]
    return mtu


def _refuse_incomplete(wanted: Item) -> None:
    """Raise InvalidInput unless it says by which tag a subport is told, or that its network says so."""
    if wanted.get("segmentation_type") == INHERIT:
        return
    if wanted.get("segmentation_type") is None or wanted.get("segmentation_id") is None:
        raise InvalidInput(
            error_message=f"Invalid subport details '{shown(wanted)}': missing segmentation information. "
            "Must specify both segmentation_id and segmentation_type"
        )


def _tag(call: Call, child: Item, wanted: Item) -> int:
    """Return the VLAN ID of a subport. Raises InvalidInput."""
    kind, number = wanted.get("segmentation_type"), wanted.get("segmentation_id")
    if kind == INHERIT:
        home = rows.get(call, network.resource, child["network_id"])
        kind, number = home[network.TYPE], home[network.SEGMENT]
    if kind != VLAN:
        raise InvalidInput(error_message=f"Unknown segmentation_type '{shown(kind)}'")
    try:
        vlan: int = _VLAN_ID.convert(number)
    except ValueError as error:
        raise InvalidInput(error_message=f"segmentation_id: {error}") from None
    return vlan


def _insert(call: Call, trunk_id: str, child: Item, tag: int) -> None:
    taken = select(subport.c.port_id).where(
        subport.c.trunk_id == trunk_id, subport.c.segmentation_type == VLAN, subport.c.segmentation_id == tag
    )
    if call.tx.execute(taken).first() is not None:
        raise DuplicateSubPort(segmentation_type=VLAN, segmentation_id=tag, trunk_id=trunk_id)
    values = {
        "port_id": child["id"],
        "trunk_id": trunk_id,
        "segmentation_type": VLAN,
        "segmentation_id": tag,
    }
    call.tx.execute(insert(subport), values)


def _detach(call: Call, trunk_id: str, port_ids: Sequence[str]) -> None:
    gone = (subport.c.trunk_id == trunk_id, subport.c.port_id.in_(port_ids))
    call.tx.execute(delete(subport).where(*gone))
    for id_ in port_ids:
        _bind(call, rows.get(call, port.resource, id_, lock=True), "")


def _bind(call: Call, child: Item, host: str) -> None:
    """Put a subport where its parent is."""
    owner = SUBPORT if host else ""
    if child[port.HOST] != host or child["device_owner"] != owner:
        port.update(call, child, {port.HOST: host, "device_owner": owner})
    call.tx.changed(port.resource.name, child["id"], "update")  # who carries it is part of the plan


def _refuse_used(call: Call, port_id: str, parent: type[InUse]) -> None:
    """Raise unless a port is in no trunk: `parent` where it is the parent of one."""
    if call.tx.execute(select(subport.c.port_id).where(subport.c.port_id == port_id)).first() is not None:
        raise TrunkPortInUse(port_id=port_id)
    if rows.where(call, resource, resource.table.c.port_id == port_id):
        raise parent(port_id=port_id)


def _of_trunk(call: Call, trunk_id: str) -> list[Any]:
    ordered = select(subport).where(subport.c.trunk_id == trunk_id).order_by(subport.c.segmentation_id)
    return list(call.tx.execute(ordered))


def _of_trunks(call: Call, trunk_ids: Iterable[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for some in rows.chunks(trunk_ids):
        ordered = select(subport).where(subport.c.trunk_id.in_(some)).order_by(subport.c.segmentation_id)
        for one in call.tx.execute(ordered):
            found.setdefault(one.trunk_id, []).append(one)
    return found


def _shown(one: Any) -> Item:
    return {
        "port_id": one.port_id,
        "segmentation_type": one.segmentation_type,
        "segmentation_id": one.segmentation_id,
    }


def present(call: Call, items: list[Item]) -> None:
    """Fill in subports, and the state that follows from that of the ports."""
    children = _of_trunks(call, [item["id"] for item in items])
    ids = {item["port_id"] for item in items}
    ids |= {one.port_id for of_trunk in children.values() for one in of_trunk}
    states = _port_states(call, ids)
    for item in items:
        mine = children.get(item["id"], [])
        item["sub_ports"] = [_shown(one) for one in mine]
        item["status"] = _status(states[item["port_id"]], [states[one.port_id] for one in mine])


def _port_states(call: Call, ids: Iterable[str]) -> dict[str, str]:
    table, found = port.resource.table, {}
    for some in rows.chunks(ids):
        for one in call.tx.execute(select(table.c.id, table.c.status).where(table.c.id.in_(some))):
            found[one.id] = one.status
    return found


def _status(parent: str, children: Sequence[str]) -> str:
    if parent != "ACTIVE":
        return "DOWN"
    return "ACTIVE" if all(state == "ACTIVE" for state in children) else "DEGRADED"


def _with_status(call: Call, wanted: list[str]) -> ColumnElement[bool]:
    trunks = rows.where(call, resource)
    present(call, trunks)
    return resource.table.c.id.in_([one["id"] for one in trunks if one["status"] in wanted])


def follow(call: Call, parent_id: str, host: str) -> None:
    """Put the subports of a port, if it has any, where it goes."""
    for id_ in carried(call, parent_id):
        _bind(call, rows.get(call, port.resource, id_, lock=True), host)


def carried(call: Call, parent_id: str) -> list[str]:
    """Return the subports of a port."""
    trunks = rows.where(call, resource, resource.table.c.port_id == parent_id)
    return [one.port_id for trunk in trunks for one in _of_trunk(call, trunk["id"])]


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    if changes.get(port.HOST, row[port.HOST]) != row[port.HOST]:
        follow(call, row["id"], changes[port.HOST])


def _deleting_port(call: Call, row: Item) -> None:
    """A port in a trunk stays."""
    child = call.tx.execute(select(subport.c.trunk_id).where(subport.c.port_id == row["id"])).first()
    if child is not None:
        raise PortInUseAsSubPort(port_id=row["id"], trunk_id=child.trunk_id)
    for trunk in rows.where(call, resource, resource.table.c.port_id == row["id"]):
        raise PortInUseAsTrunkParent(port_id=row["id"], trunk_id=trunk["id"])


def _present_ports(call: Call, items: list[Item]) -> None:
    """Say of a parent what its trunk is; other ports have no such attribute."""
    table, by_port = resource.table, {}
    for some in rows.chunks([item["id"] for item in items]):
        for one in rows.where(call, resource, table.c.port_id.in_(some)):
            by_port[one["port_id"]] = one["id"]
    children = _of_trunks(call, by_port.values()) if by_port else {}
    macs = _macs(call, [one.port_id for of_trunk in children.values() for one in of_trunk])
    for item in items:
        if (trunk_id := by_port.get(item["id"])) is None:
            item.pop("trunk_details", None)
            continue
        mine = [{**_shown(one), "mac_address": macs[one.port_id]} for one in children.get(trunk_id, [])]
        item["trunk_details"] = {"trunk_id": trunk_id, "sub_ports": mine}


def _macs(call: Call, ids: Sequence[str]) -> dict[str, str]:
    table, found = port.resource.table, {}
    for some in rows.chunks(ids):
        for one in call.tx.execute(select(table.c.id, table.c.mac_address).where(table.c.id.in_(some))):
            found[one.id] = one.mac_address
    return found


resource = Resource(
    name="trunk",
    collection="trunks",
    not_found=TrunkNotFound,
    attributes={
        "admin_state_up": Attr(type=BOOLEAN, default=True, post=True, put=True),
        "port_id": Attr(type=UUID, post=True, references="port.id", unique=True),
        "sub_ports": Attr(type=SUB_PORTS, default=[], post=True, stored=False, filter=False, sort=False),
        "status": Attr(type=line(16), default="DOWN", stored=False, sort=False),
    },
    filters={"status": _with_status},
    create=create,
    delete=delete_trunk,
    present=present,
    actions={"add_subports": add_subports, "remove_subports": remove_subports},
    children={"get_subports": Child(collection="sub_ports", listing=list_subports, rule="subports")},
)

DECLARES = (
    resource,
    tag.on("trunk"),
    Extension(
        resource="port",
        name="trunk",
        attributes={
            "trunk_details": Attr(type=DERIVED, default=None, stored=False, filter=False, sort=False)
        },
        present=_present_ports,
        updating=_updating_port,
        deleting=_deleting_port,
    ),
    Alias(alias="trunk", name="Trunk Extension", description="Ports that carry others by VLAN tags"),
    Alias(alias="trunk-details", name="Trunk port details", description="trunk_details of ports"),
)
