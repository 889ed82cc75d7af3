"""Bindings of a port: the active one, which is the port's own, and those that wait on other hosts.

A live migration makes one on the target and activates it when the instance is there. A host where a binding
waits is prepared for the instance; where it is, and whether its port is up, is the active one's alone.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, ForeignKey, String, Table, delete, insert, select, union, update

from deuteron.resources import port, rows, trunk
from deuteron.resources.attribute import Type
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, HTTPBadRequest, NotFound
from deuteron.resources.resource import Alias, Child, Extension, Item
from deuteron.resources.types import DICTIONARY, line, one_of, or_null, shown
from deuteron.store import ID_LENGTH, Json, Tx, metadata

ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
_OWNERS = ("compute:", "manila:")
"""Devices that can be on several hosts for a while."""
_TYPES: Mapping[str, Type] = {
    "host": line(),
    "vnic_type": one_of(*port.VNIC_TYPES),
    "profile": or_null(DICTIONARY),
}

waiting = Table(
    "port_binding",
    metadata,
    Column("port_id", String(ID_LENGTH), ForeignKey("port.id", ondelete="CASCADE"), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("vnic_type", String(64), nullable=False),
    Column("profile", Json(), nullable=False),
)


class PortBindingNotFound(NotFound):
    """`port_id`, `host`."""

    message = "Binding for port {port_id} for host {host} could not be found."


class PortBindingAlreadyActive(Conflict):
    """`port_id`, `host`."""

    message = "Binding for port {port_id} on host {host} is already active."


class PortBindingAlreadyExists(Conflict):
    """`port_id`, `host`."""

    message = "Binding for port {port_id} on host {host} already exists."


def waiting_hosts(tx: Tx, ids: Collection[str] | None) -> Mapping[str, list[str]]:
    """Return where bindings of ports wait (None: of all); those of subports do where their parent's do."""
    carried, trunks = trunk.subport.c, trunk.resource.table.c
    with_parent = select(carried.port_id, trunks.port_id.label("bound")).where(trunks.id == carried.trunk_id)
    parents = with_parent.subquery().c
    own = select(waiting.c.port_id, waiting.c.host)
    children = select(parents.port_id, waiting.c.host).where(waiting.c.port_id == parents.bound)
    if ids is not None:
        own, children = own.where(waiting.c.port_id.in_(ids)), children.where(parents.port_id.in_(ids))
    found: dict[str, list[str]] = defaultdict(list)
    for row in tx.execute(union(own, children)):
        found[row.port_id].append(row.host)
    return found


def listing(call: Call, id_: str) -> list[Item]:
    """Return a port's bindings, the active one first."""
    row = _port(call, id_)
    return [one for one in [_active(row)] if one["host"]] + _inactive(call, row)


def show(call: Call, id_: str, host: str) -> Item:
    """Return the binding on a host."""
    return {"binding": _find(call, _port(call, id_), host)}


def add(call: Call, id_: str, body: Any) -> Item:
    """Bind a port to one more host: it is active if there is no other."""
    row, given = _port(call, id_, lock=True), _given(body)
    host = given.get("host")
    if not host:
        raise HTTPBadRequest(msg="Failed to parse request. Required attribute 'host' not specified")
    if any(one["host"] == host for one in listing(call, id_)):
        raise PortBindingAlreadyExists(port_id=id_, host=host)
    given = {"vnic_type": "normal", **given, "profile": given.get("profile") or {}}
    if not row[port.HOST]:
        return {"binding": _active(_bind(call, row, given))}
    call.tx.execute(insert(waiting), {"port_id": id_, **given})
    _changed(call, id_)
    return {"binding": _shown(call, given)}


def change(call: Call, id_: str, host: str, body: Any) -> Item:
    """Change what a binding says besides its host."""
    row, given = _port(call, id_, lock=True), _given(body)
    present = _find(call, row, host)
    if given.pop("host", host) != host:
        raise HTTPBadRequest(msg="A binding's host cannot be changed; make another one there")
    if "profile" in given:
        given["profile"] = given["profile"] or {}
    if present["status"] == ACTIVE:
        return {"binding": _active(_bind(call, row, given))}
    if given:
        mine = (waiting.c.port_id == id_, waiting.c.host == host)
        call.tx.execute(update(waiting).where(*mine).values(given))
    return {"binding": _find(call, row, host)}


def remove(call: Call, id_: str, host: str) -> None:
    """Take a port from a host. What is not there is gone already."""
    row = _port(call, id_, lock=True)
    if row[port.HOST] and row[port.HOST] == host:
        _bind(call, row, {"host": "", "vnic_type": "normal", "profile": {}})
    _forget(call, id_, host)


def activate(call: Call, id_: str, host: str, body: Any) -> Item:  # noqa: ARG001
    """Make a waiting binding the active one, and let the active one wait, at once."""
    row = _port(call, id_, lock=True)
    if row[port.HOST] == host:
        raise PortBindingAlreadyActive(port_id=id_, host=host)
    wanted = _find(call, row, host)
    before = _active(row)
    _forget(call, id_, host)
    if before["host"]:
        stored = {name: before[name] for name in _TYPES}
        call.tx.execute(insert(waiting), {"port_id": id_, **stored})
    return _active(_bind(call, row, {name: wanted[name] for name in _TYPES}))


def _port(call: Call, id_: str, lock: bool = False) -> Item:
    row = rows.get(call, port.resource, id_, lock)
    if not row["device_owner"].startswith(_OWNERS):
        raise BadRequest(
            resource="port",
            msg=f"Invalid port {id_}. Operation only valid on compute and shared filesystem ports",
        )
    return row


def _bind(call: Call, row: Item, given: Mapping[str, Any]) -> Item:
    if given.get("host", row[port.HOST]) != row[port.HOST]:
        trunk.follow(call, row["id"], given["host"])
    return port.update(call, row, {f"binding:{_COLUMN.get(name, name)}": given[name] for name in given})


_COLUMN = {"host": "host_id"}


def _find(call: Call, row: Item, host: str) -> Item:
    if row[port.HOST] and row[port.HOST] == host:
        return _active(row)
    for one in _inactive(call, row):
        if one["host"] == host:
            return one
    raise PortBindingNotFound(port_id=row["id"], host=shown(host))


def _active(row: Item) -> Item:
    named = {name: row[f"binding:{_COLUMN.get(name, name)}"] for name in _TYPES}
    details = {name: row[f"binding:{name}"] for name in ("vif_type", "vif_details")}
    return {**named, **details, "status": ACTIVE}


def _inactive(call: Call, row: Item) -> list[Item]:
    mine = select(waiting).where(waiting.c.port_id == row["id"]).order_by(waiting.c.host)
    return [_shown(call, dict(one._mapping)) for one in call.tx.execute(mine)]


def _shown(call: Call, stored: Mapping[str, Any]) -> Item:
    details = port.vif(call, stored["host"], stored["vnic_type"])
    return {
        **{name: stored[name] for name in _TYPES},
        "vif_type": details["binding:vif_type"],
        "vif_details": details["binding:vif_details"],
        "status": INACTIVE,
    }


def _forget(call: Call, id_: str, host: str) -> None:
    mine = (waiting.c.port_id == id_, waiting.c.host == host)
    if call.tx.execute(delete(waiting).where(*mine)).rowcount:
        _changed(call, id_)


def _changed(call: Call, id_: str) -> None:
    for changed in (id_, *trunk.carried(call, id_)):
        call.tx.changed("port", changed, "update")


def _given(body: Any) -> Item:
    inner = body.get("binding") if isinstance(body, Mapping) else None
    if not isinstance(inner, Mapping):
        raise HTTPBadRequest(msg="Unable to find 'binding' in request body")
    given = {name: value for name, value in inner.items() if name not in ("project_id", "tenant_id")}
    if unknown := [shown(name) for name in given if name not in _TYPES]:
        raise HTTPBadRequest(msg=f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    found = {}
    for name, value in given.items():
        try:
            found[name] = _TYPES[name].convert(value)
        except ValueError as error:
            raise HTTPBadRequest(msg=f"Invalid input for {name}. Reason: {error}.") from None
    return found


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """A port that is bound to a host in the usual way does not wait there besides."""
    if changes.get(port.HOST):
        _forget(call, row["id"], changes[port.HOST])


DECLARES = (
    Extension(
        resource="port",
        name="bindings",
        updating=_updating_port,
        children={
            "bindings": Child(
                collection="bindings",
                listing=listing,
                add=add,
                show=show,
                change=change,
                remove=remove,
                actions={"activate": activate},
                rule="port_binding",
            )
        },
    ),
    Alias(
        alias="binding-extended",
        name="Port Bindings Extended",
        description="Several bindings of a port, one of them active",
    ),
)
