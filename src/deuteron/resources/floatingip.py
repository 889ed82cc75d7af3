"""Floating IPs: an address of an external network that a router translates to a fixed IP."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import UniqueConstraint, select

from deuteron.resources import (
    fixed_ips,
    network,
    owners,
    port,
    router,
    router_gateway,
    rows,
    subnet,
    subnet_segment,
)
from deuteron.resources.address_types import IP
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.l2_errors import ServicePortInUse
from deuteron.resources.l3_errors import (
    ExternalGatewayForFloatingIPNotFound,
    ExternalIpAddressExhausted,
    FloatingIPNotFound,
    FloatingIPPortAlreadyAssociated,
    FloatingIPRouterHasNoGateway,
)
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import DERIVED, DNS_DOMAIN, DNS_NAME, UUID, line

_UNASSOCIATED = {"port_id": None, "fixed_ip_address": None, "router_id": None, "status": "DOWN"}
_ASSOCIATION = ("port_id", "fixed_ip_address", "router_id")
"""What a request may say of it."""
_TOGETHER = (("dns_name", "dns_domain"), ("dns_domain", "dns_name"))


def create(call: Call, values: Item) -> Item:
    """Create a floating IP with a port of its own on the external network; associate it if asked."""
    network_id = values["floating_network_id"]
    for one, other in _TOGETHER:
        if values[one] and not values[other]:
            raise _bad(f"{one} cannot be specified without a {other}")
    home = rows.get(call, network.resource, network_id)
    if not home[network.EXTERNAL]:
        raise _bad(f"Network {network_id} is not a valid external network")
    if not any(one["ip_version"] == 4 for one in subnet.of_network(call, network_id)):
        raise _bad(f"Network {network_id} does not contain any IPv4 subnet")
    own = _own_port(call, values)
    address = next((one["ip_address"] for one in own["fixed_ips"] if "." in one["ip_address"]), None)
    if address is None and own["ip_allocation"] == fixed_ips.DEFERRED:
        raise _bad(f"Network {network_id} is routed: name a subnet or an address of it")
    if address is None:
        raise ExternalIpAddressExhausted(net_id=network_id)
    values = {**values, "floating_ip_address": address, "floating_port_id": own["id"]}
    values.update(_association(call, values, values))
    row = rows.create(call, resource, values)
    rows.change(call, port.resource, own, {"device_id": row["id"]})
    return row


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a floating IP: associate it, or with port_id null dissociate it."""
    said = {name: value for name, value in changes.items() if name in _ASSOCIATION}
    if said:
        wanted = {"port_id": row["port_id"], **said}
        changes = {name: value for name, value in changes.items() if name not in said}
        if row["port_id"] or any(wanted.values()):
            changes.update(_association(call, row, wanted))
    return rows.change(call, resource, row, changes)


def delete(call: Call, row: Item) -> None:
    """Delete a floating IP and its own port."""
    rows.remove(call, resource, row["id"])
    port.remove(call, {"id": row["floating_port_id"]})


def _own_port(call: Call, values: Item) -> Item:
    fixed = {}
    if values["subnet_id"] is not None:
        fixed["subnet_id"] = values["subnet_id"]
    if values["floating_ip_address"] is not None:
        fixed["ip_address"] = values["floating_ip_address"]
    return port.add(
        call,
        {
            "project_id": "",
            "network_id": values["floating_network_id"],
            "device_owner": owners.FLOATING_IP,
            "device_id": "PENDING",
            "status": "N/A",
            "fixed_ips": [fixed] if fixed else UNSET,
        },
    )


def _association(call: Call, floating: Item, wanted: Mapping[str, Any]) -> Item:
    """Return what to store for this association: the fixed IP and the router that leads to it."""
    port_id, address, named = wanted.get("port_id"), wanted.get("fixed_ip_address"), wanted.get("router_id")
    if port_id is None:
        if address is not None:
            raise _bad("fixed_ip_address cannot be specified without a port_id")
        if named is not None:
            raise _bad("router_id cannot be specified without a port_id")
        return dict(_UNASSOCIATED)
    inner = port.get(call, port_id, lock=True)
    if inner["device_owner"].startswith("network:") or inner["device_owner"].startswith("neutron:"):
        raise _bad(f"Port {port_id} is unable to be assigned a floating IP")
    if inner["project_id"] != floating["project_id"] and not call.admin:
        raise _bad(
            f"Cannot process floating IP association with Port {port_id}, since that port is owned by a "
            "different project"
        )
    fixed = _fixed_ip(inner, address)
    _refuse_second(call, floating, inner, fixed["ip_address"])
    return {
        "port_id": port_id,
        "fixed_ip_address": fixed["ip_address"],
        "router_id": _with_gateway(call, named, floating)
        if named
        else router_to(call, inner, fixed["subnet_id"], floating),
        "status": "ACTIVE",
    }


def _fixed_ip(inner: Item, address: str | None) -> Mapping[str, str]:
    if address is not None:
        if ":" in address:
            raise _bad(
                f"Cannot process floating IP association with {address}, since that is not an IPv4 address"
            )
        for one in inner["fixed_ips"]:
            if one["ip_address"] == address:
                found: Mapping[str, str] = one
                return found
        raise _bad(f"Port {inner['id']} does not have fixed ip {address}")
    candidates: Sequence[Mapping[str, str]] = [one for one in inner["fixed_ips"] if "." in one["ip_address"]]
    if not candidates:
        raise _bad(f"Cannot add floating IP to port {inner['id']} that has no fixed IPv4 addresses")
    if len(candidates) > 1:
        raise _bad(
            f"Port {inner['id']} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address "
            "when assigning a floating IP"
        )
    return candidates[0]


def _refuse_second(call: Call, floating: Item, inner: Item, address: str) -> None:
    table = resource.table
    other = select(table.c.id).where(
        table.c.port_id == inner["id"],
        table.c.fixed_ip_address == address,
        table.c.floating_network_id == floating["floating_network_id"],
        table.c.id != floating.get("id", ""),
    )
    if call.tx.execute(other).first() is not None:
        raise FloatingIPPortAlreadyAssociated(
            floating_ip_address=floating["floating_ip_address"],
            fip_id=floating.get("id", ""),
            port_id=inner["id"],
            fixed_ip=address,
            net_id=floating["floating_network_id"],
        )


def _with_gateway(call: Call, router_id: str, floating: Mapping[str, Any]) -> str:
    """Return a router that a caller names: how it gets to the fixed IP is the caller's business.

    Raises RouterNotFound, FloatingIPRouterHasNoGateway. The router's row is locked.
    """
    external_id = floating["floating_network_id"]
    row = rows.get(call, router.resource, router_id, lock=True)
    gateways = [one["id"] for one in router_gateway.of(call, router_id) if one["network_id"] == external_id]
    if not any(_is_near(call, floating, one) for one in gateways):
        raise FloatingIPRouterHasNoGateway(router_id=router_id, network_id=external_id)
    return str(row["id"])


def router_to(call: Call, inner: Item, subnet_id: str, floating: Mapping[str, Any]) -> str:
    """Return the router between a port's subnet and a floating IP: rather one that is the subnet's gateway.

    Raises ExternalGatewayForFloatingIPNotFound. The router's row is locked.
    """
    external_id = floating["floating_network_id"]
    inside, outside = port.resource.table.alias(), port.resource.table.alias()
    found = call.tx.execute(
        select(inside.c.device_id, fixed_ip.c.ip_address, outside.c.id)
        .select_from(inside)
        .join(fixed_ip, fixed_ip.c.port_id == inside.c.id)
        .join(outside, outside.c.device_id == inside.c.device_id)
        .where(
            inside.c.device_owner.in_(owners.ROUTER_INTERFACES),
            fixed_ip.c.subnet_id == subnet_id,
            outside.c.device_owner == owners.ROUTER_GATEWAY,
            outside.c.network_id == external_id,
        )
        .order_by(inside.c.created_at, inside.c.device_id)
    ).all()
    found = [one for one in found if _is_near(call, floating, one.id)]
    if not found:
        raise ExternalGatewayForFloatingIPNotFound(
            external_network_id=external_id, subnet_id=subnet_id, port_id=inner["id"]
        )
    gateway = rows.get(call, subnet.resource, subnet_id)["gateway_ip"]
    chosen = next((one for one in found if one.ip_address == gateway), found[0])
    # Its gateway cannot go between this and the end of the transaction.
    return str(rows.get(call, router.resource, chosen.device_id, lock=True)["id"])


def _is_near(call: Call, floating: Mapping[str, Any], gateway: str) -> bool:
    """Whether a gateway is where a floating IP is: on the same segment of their network, if it is routed."""
    segments = subnet_segment.segments_of(call, floating["floating_port_id"])
    return segments == {None} or segments <= subnet_segment.segments_of(call, gateway)


def _bad(message: str) -> BadRequest:
    return BadRequest(resource="floatingip", msg=message)


def _of_port(call: Call, port_id: str) -> list[Item]:
    return rows.where(call, resource, resource.table.c.port_id == port_id)


def _deleting_port(call: Call, row: Item) -> None:
    """Floating IPs of a port that goes are free again; a floating IP's own port goes only with it."""
    if row["device_owner"] == owners.FLOATING_IP and rows.find(call, resource, row["device_id"]):
        raise ServicePortInUse(port_id=row["id"], reason=f"has device owner {row['device_owner']}")
    for floating in _of_port(call, row["id"]):
        rows.change(call, resource, floating, _UNASSOCIATED)


def _deleting_network(call: Call, row: Item) -> None:
    """Floating IPs of a network that lead nowhere go with it, as far as they are the caller's."""
    table = resource.table
    mine = [table.c.floating_network_id == row["id"], table.c.port_id.is_(None)]
    if not call.admin and call.who:
        mine.append(table.c.project_id == call.who.project_id)
    for floating in rows.where(call, resource, *mine):
        delete(call, floating)


def _updating_network(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """Floating IPs that lead nowhere go when their network is not external any more."""
    if row[network.EXTERNAL] and not changes.get(network.EXTERNAL, True):
        unused = [resource.table.c.floating_network_id == row["id"], resource.table.c.router_id.is_(None)]
        for floating in rows.where(call, resource, *unused):
            delete(call, floating)


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """A fixed IP that a floating IP leads to stays."""
    if "fixed_ips" not in changes:
        return
    kept = {one.get("ip_address") for one in changes["fixed_ips"]}
    for floating in _of_port(call, row["id"]):
        if floating["fixed_ip_address"] not in kept:
            raise BadRequest(
                resource="port",
                msg=f"Cannot update the fixed_ips of the port {row['id']}, because its original fixed_ip "
                "has been associated to a floating ip",
            )


def present(call: Call, items: list[Item]) -> None:
    """Fill in what is known of the ports."""
    ids = {item["port_id"] for item in items if item["port_id"]}
    details: dict[str, Item] = {}
    for part in rows.chunks(sorted(ids)):
        for one in rows.where(call, port.resource, port.resource.table.c.id.in_(part)):
            details[one["id"]] = {name: one[name] for name in _DETAILS}
    for item in items:
        item["port_details"] = details.get(item["port_id"])


_DETAILS = (
    "name",
    "network_id",
    "mac_address",
    "admin_state_up",
    "status",
    "device_id",
    "device_owner",
)

resource = Resource(
    name="floatingip",
    collection="floatingips",
    not_found=FloatingIPNotFound,
    # As long as a floating IP had nothing but its association, this took it away.
    blank={"port_id": None},
    attributes={
        "name": Attr(type=line(), default="", stored=False, visible=False),
        "floating_network_id": Attr(type=UUID, post=True, references="network.id", index=True),
        "floating_ip_address": Attr(type=IP, default=None, post=True, nullable=True),
        "floating_port_id": Attr(type=UUID, default=UNSET, visible=False, references="port.id", unique=True),
        "subnet_id": Attr(type=UUID, default=None, post=True, nullable=True, stored=False, visible=False),
        "port_id": Attr(
            type=UUID,
            default=None,
            post=True,
            put=True,
            nullable=True,
            references="port.id",
            on_delete="SET NULL",
        ),
        "fixed_ip_address": Attr(type=IP, default=None, post=True, put=True, nullable=True),
        "router_id": Attr(
            type=UUID,
            default=None,
            post=True,
            put=True,
            nullable=True,
            references="router.id",
            index=True,
        ),
        "status": Attr(type=line(16), default="DOWN"),
        "dns_name": Attr(type=DNS_NAME, default="", post=True),
        "dns_domain": Attr(type=DNS_DOMAIN, default="", post=True),
        "port_details": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False),
    },
    constraints=[UniqueConstraint("port_id", "fixed_ip_address", "floating_network_id")],
    create=create,
    update=update,
    delete=delete,
    present=present,
)

DECLARES = (
    resource,
    Extension(
        resource="network", name="floating_ips", updating=_updating_network, deleting=_deleting_network
    ),
    Extension(resource="port", name="floating_ips", updating=_updating_port, deleting=_deleting_port),
    Alias(
        alias="floatingip-autodelete-internal",
        name="Autodelete floating IPs of internal networks",
        description="Floating IPs that lead nowhere go with router:external",
    ),
    Alias(
        alias="l3-port-ip-change-not-allowed",
        name="Prevent L3 router ports IP address change extension",
        description="A fixed IP that a floating IP leads to stays",
    ),
    Alias(
        alias="fip-port-details",
        name="Floating IP Port Details Extension",
        description="What is known of a floating IP's port",
    ),
    Alias(
        alias="floating-ip-router-writable",
        name="Floating IP Router (writable)",
        description="Which router translates a floating IP, where it leads to the fixed IP by others",
    ),
)
