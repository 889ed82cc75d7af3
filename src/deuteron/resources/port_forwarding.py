"""Port forwardings: ports of a floating IP that lead to ports of fixed IPs, each to one.

A range of external ports leads to as many internal ones in the same order, or all of it to one. The floating
IP then has a router, and no port of its own. What may not overlap is looked at with the floating IP and the
internal port locked: nobody else makes a forwarding of either meanwhile.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement

from deuteron.resources import floatingip, port, router, rows
from deuteron.resources.address_types import IP
from deuteron.resources.attribute import UNSET, Attr, Type
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest
from deuteron.resources.l3_errors import (
    ExternalGatewayForFloatingIPNotFound,
    FipInUseByPortForwarding,
    FloatingIPPortAlreadyAssociated,
    PortForwardingNotFound,
    PortHasBindingFloatingIP,
    PortHasPortForwarding,
)
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import DERIVED, UUID, integer, line, one_of, or_null, text

PROTOCOLS = ("tcp", "udp", "sctp", "dccp")
"""Those that have ports."""
SIDES = ("external", "internal")
_PORT = integer(1, 65535)
_NOWHERE = {"router_id": None, "status": "DOWN"}


def _range(value: Any) -> str:
    """Return FIRST:LAST; a single port is a range of one."""
    parts = str(value).split(":") if isinstance(value, str | int) and not isinstance(value, bool) else []
    if len(parts) not in (1, 2):
        raise ValueError("Port range must be two integers separated by a colon")
    first, last = _PORT.convert(parts[0]), _PORT.convert(parts[-1])
    if first > last:
        raise ValueError("First port in a port range must be lower than the second port")
    return f"{first}:{last}"


RANGE = Type(_range, line(11).column, lambda text_: _range(text_) if text_ else text_)


def ports(range_: str) -> tuple[int, int]:
    """Return the first and the last port of a range."""
    first, _, last = range_.partition(":")
    return int(first), int(last)


def create(call: Call, values: Item) -> Item:
    """Create a forwarding; with the first one, the floating IP gets its router."""
    for side in SIDES:
        values.update(_one_range(values, side))
    fip = rows.get(call, floatingip.resource, values["floatingip_id"], lock=True)
    if fip["port_id"]:
        raise FloatingIPPortAlreadyAssociated(
            floating_ip_address=fip["floating_ip_address"],
            fip_id=fip["id"],
            port_id=values["internal_port_id"],
            fixed_ip=values["internal_ip_address"],
            net_id=fip["floating_network_id"],
        )
    router_id = _checked(call, fip, values)
    row = rows.create(call, resource, values)
    rows.change(call, floatingip.resource, fip, {"router_id": router_id, "status": "ACTIVE"})
    return row


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a forwarding; connections that there are go on as they began."""
    for side in SIDES:
        if f"{side}_port" in changes or f"{side}_port_range" in changes:
            changes.update(_one_range(changes, side))
    fip = rows.get(call, floatingip.resource, row["floatingip_id"], lock=True)
    _checked(call, fip, {**row, **changes})
    row = rows.change(call, resource, row, changes)
    rows.change(call, floatingip.resource, fip, {})
    return row


def delete(call: Call, row: Item) -> None:
    """Delete a forwarding; with the last one, the floating IP leaves its router."""
    fip = rows.get(call, floatingip.resource, row["floatingip_id"], lock=True)
    rows.remove(call, resource, row["id"])
    rows.change(call, floatingip.resource, fip, {} if _of(call, fip["id"]) else _NOWHERE)


def _one_range(given: Mapping[str, Any], side: str) -> Item:
    """Return a side's port and its range, of which either may be given. Raises BadRequest."""
    number, range_ = given.get(f"{side}_port"), given.get(f"{side}_port_range")
    if number is None and range_ is None:
        raise _bad(f"one of {side}_port and {side}_port_range is needed")
    if number is not None and range_ not in (None, f"{number}:{number}"):
        raise _bad(f"{side}_port and {side}_port_range cannot be specified together")
    range_ = range_ or f"{number}:{number}"
    first, _, last = range_.partition(":")
    return {f"{side}_port": int(first) if first == last else None, f"{side}_port_range": range_}


def _checked(call: Call, fip: Item, values: Item) -> str:
    """Return the router that leads to the internal address. Raises if the forwarding cannot be."""
    if _length(values, "internal") > 1 and _length(values, "internal") != _length(values, "external"):
        raise _bad(
            "Invalid ranges of internal and/or external ports. The relation between internal and external "
            "ports must be N-N or 1-N"
        )
    inner = port.get(call, values["internal_port_id"], lock=True)
    _refuse_floating_ip(call, inner, values)
    fixed = next(
        (one for one in inner["fixed_ips"] if one["ip_address"] == values["internal_ip_address"]), None
    )
    if fixed is None or ":" in fixed["ip_address"]:
        raise _bad(
            f"Requested internal IP address {values['internal_ip_address']} is not suitable for internal "
            f"neutron port {inner['id']}, as its fixed_ips are {inner['fixed_ips']}"
        )
    _refuse_collisions(call, values)
    try:
        router_id = floatingip.router_to(call, inner, fixed["subnet_id"], fip)
    except ExternalGatewayForFloatingIPNotFound:
        raise _bad(
            f"External network {fip['floating_network_id']} is not reachable from subnet "
            f"{fixed['subnet_id']}. Cannot set Port forwarding for port {inner['id']} with Floating IP "
            f"{fip['id']}"
        ) from None
    if fip["router_id"] not in (None, router_id):
        raise _bad(
            f"The Floating IP {fip['id']} had been set on router {fip['router_id']}, the internal Neutron "
            f"port {inner['id']} can not reach it"
        )
    return router_id


def _length(values: Mapping[str, Any], side: str) -> int:
    first, last = ports(values[f"{side}_port_range"])
    return last - first + 1


def _refuse_floating_ip(call: Call, inner: Item, values: Item) -> None:
    if inner["device_owner"].startswith("network:"):
        raise _bad(f"Port {inner['id']} is unable to be assigned a port forwarding")
    table = floatingip.resource.table
    for fip in rows.where(call, floatingip.resource, table.c.port_id == inner["id"])[:1]:
        raise PortHasBindingFloatingIP(
            floating_ip_address=fip["floating_ip_address"],
            fip_id=fip["id"],
            port_id=inner["id"],
            fixed_ip=values["internal_ip_address"],
        )


def _refuse_collisions(call: Call, values: Item) -> None:
    c = resource.table.c
    beside: Mapping[str, Sequence[ColumnElement[bool]]] = {
        "internal": [
            c.internal_port_id == values["internal_port_id"],
            c.internal_ip_address == values["internal_ip_address"],
        ],
        "external": [c.floatingip_id == values["floatingip_id"]],
    }
    for side, conditions in beside.items():
        first, last = ports(values[f"{side}_port_range"])
        for other in rows.where(call, resource, *conditions, c.protocol == values["protocol"]):
            begin, end = ports(other[f"{side}_port_range"])
            if other["id"] != values.get("id") and begin <= last and first <= end:
                raise _bad(
                    f"There is a port collision with the {side}_port_range. The following ranges collide: "
                    f"{other[f'{side}_port_range']} and {values[f'{side}_port_range']}"
                )


def _bad(message: str) -> BadRequest:
    return BadRequest(resource="port_forwarding", msg=message)


def _of(call: Call, floatingip_id: str) -> list[Item]:
    return rows.where(call, resource, resource.table.c.floatingip_id == floatingip_id)


def _created_floating_ip(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    _refuse_forwarded_port(call, row["port_id"])


def _updating_floating_ip(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    if changes.get("port_id") and _of(call, row["id"]):
        raise FipInUseByPortForwarding(id=row["id"])
    _refuse_forwarded_port(call, changes.get("port_id"))


def _refuse_forwarded_port(call: Call, port_id: str | None) -> None:
    """Raise where answers would leave by another way than questions come.

    Of a distributed router, a floating IP is served on the port's host, and forwarded ports centrally.
    """
    if port_id is None:
        return
    for one in rows.where(call, resource, resource.table.c.internal_port_id == port_id)[:1]:
        leading = rows.get(call, floatingip.resource, one["floatingip_id"])["router_id"]
        through = rows.get(call, router.resource, leading)
        if through["distributed"] or through["rung"]:
            raise PortHasPortForwarding(port_id=port_id)


def _deleting_floating_ip(call: Call, row: Item) -> None:
    if _of(call, row["id"]):
        raise FipInUseByPortForwarding(id=row["id"])


def _deleting_port(call: Call, row: Item) -> None:
    for one in rows.where(call, resource, resource.table.c.internal_port_id == row["id"]):
        delete(call, one)


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """Forwardings to addresses that a port loses go with them."""
    if "fixed_ips" not in changes:
        return
    kept = {one.get("ip_address") for one in changes["fixed_ips"]}
    for one in rows.where(call, resource, resource.table.c.internal_port_id == row["id"]):
        if one["internal_ip_address"] not in kept:
            delete(call, one)


_SHOWN = ("id", "protocol", "internal_ip_address", "internal_port_id", "internal_port", "external_port")


def _present_floating_ips(call: Call, items: list[Item]) -> None:
    found: dict[str, list[Item]] = {item["id"]: [] for item in items}
    table = resource.table
    for part in rows.chunks(found):
        for row in rows.where(call, resource, table.c.floatingip_id.in_(part)):
            brief = {name: row[name] for name in _SHOWN if row[name] is not None}
            found[row["floatingip_id"]].append(brief)
    for item in items:
        item["port_forwardings"] = sorted(found[item["id"]], key=lambda one: str(one["id"]))


_NUMBER = Attr(type=_PORT, default=None, post=True, put=True, nullable=True)
_RANGE = Attr(type=or_null(RANGE), default=None, post=True, put=True)

resource = Resource(
    name="floatingip_port_forwarding",
    member="port_forwarding",
    collection="port_forwardings",
    parent="floatingip",
    not_found=PortForwardingNotFound,
    attributes={
        "protocol": Attr(type=one_of(*PROTOCOLS), post=True, put=True),
        "internal_port_id": Attr(
            type=UUID, post=True, put=True, references="port.id", on_delete="CASCADE", index=True
        ),
        "internal_ip_address": Attr(type=IP, post=True, put=True),
        "internal_port": _NUMBER,
        "internal_port_range": _RANGE,
        "external_port": _NUMBER,
        "external_port_range": _RANGE,
        "description": Attr(type=text(255), default="", post=True, put=True),
    },
    create=create,
    update=update,
    delete=delete,
)

DECLARES = (
    resource,
    Extension(
        resource="floatingip",
        name="port_forwardings",
        attributes={
            "port_forwardings": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)
        },
        present=_present_floating_ips,
        created=_created_floating_ip,
        updating=_updating_floating_ip,
        deleting=_deleting_floating_ip,
    ),
    Extension(resource="port", name="port_forwardings", updating=_updating_port, deleting=_deleting_port),
    Alias(
        alias="floating-ip-port-forwarding",
        name="Floating IP Port Forwarding",
        description="Ports of a floating IP lead to ports of several fixed IPs",
    ),
    Alias(
        alias="floating-ip-port-forwarding-port-ranges",
        name="Floating IP Port Forwarding support port ranges",
        description="Ranges of ports",
    ),
    Alias(
        alias="floating-ip-port-forwarding-description",
        name="Floating IP Port Forwarding new attribute description",
        description="A description of each forwarding",
    ),
    Alias(
        alias="floating-ip-port-forwarding-detail",
        name="Floating IP port forwarding detail",
        description="A floating IP shows the ids of its forwardings",
    ),
    Alias(
        alias="expose-port-forwarding-in-fip",
        name="Expose Floating IP port forwardings",
        description="A floating IP shows its forwardings",
    ),
)
