"""NDP proxies: a router answers on its external network for IPv6 addresses of instances.

A router that has them switched on (`enable_ndp_proxy`) lets nothing else in from there to its IPv6 subnets.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import UniqueConstraint, select

from deuteron.resources import access, operations, owners, port, router, rows, subnet
from deuteron.resources.address_types import IP
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, NotFound
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, UUID
from deuteron.store import metadata

ENABLED = "enable_ndp_proxy"


class NDPProxyNotFound(NotFound):
    """`id`."""

    message = "Ndp proxy {id} could not be found."


class RouterGatewayInUseByNDPProxy(Conflict):
    """`router_id`."""

    message = (
        "Unable to unset external gateway of router {router_id}, There are one or more ndp proxies still in "
        "use on the router."
    )


class RouterGatewayNotValid(Conflict):
    """`router_id`, `reason`."""

    message = "Can not enable ndp proxy on router {router_id}, {reason}."


class RouterNDPProxyNotEnable(Conflict):
    """`router_id`."""

    message = (
        "The enable_ndp_proxy parameter of router {router_id} must be set as True while create ndp proxy "
        "entry on it."
    )


class RouterIPv6GatewayInUse(Conflict):
    """`router_id`."""

    message = (
        "Can't remove the IPv6 subnet from external gateway of router {router_id}, the IPv6 subnet in use by "
        "the router's ndp proxy."
    )


class PortUnreachableRouter(Conflict):
    """`port_id`, `router_id`."""

    message = "The port {port_id} cannot reach the router {router_id} by IPv6 subnet."


class AddressScopeConflict(Conflict):
    """`ext_address_scope`, `internal_address_scope`."""

    message = (
        "The IPv6 address scope {ext_address_scope} of external network conflict with internal network's "
        "IPv6 address scope {internal_address_scope}."
    )


class InvalidAddress(BadRequest):
    """`address`, `reason`."""

    message = "The address {address} is invalid, reason: {reason}."


def create(call: Call, values: Item) -> Item:
    """Have a router answer for an address of a port; for its first one on a network of the router's."""
    owner = operations.get(call, router.resource, values["router_id"], lock=True)
    inner = port.get(call, access.get(call, port.resource, values["port_id"])["id"], lock=True)
    insides = [
        one
        for one in port.of_device(call, owner["id"], tuple(owners.ROUTER_INTERFACES))
        if one["network_id"] == inner["network_id"]
    ]
    if not insides:
        raise PortUnreachableRouter(port_id=inner["id"], router_id=owner["id"])
    if not (owner[ENABLED] and owner["gw_port_id"]):
        raise RouterNDPProxyNotEnable(router_id=owner["id"])
    near = {fixed["subnet_id"] for one in insides for fixed in _ipv6(one)}
    values["ip_address"] = _address(inner, owner["id"], near, values["ip_address"])
    outside = rows.get(call, port.resource, owner["gw_port_id"])["network_id"]
    scopes = [scope(call, network_id) for network_id in (outside, inner["network_id"])]
    if scopes[0] != scopes[1]:
        raise AddressScopeConflict(ext_address_scope=scopes[0], internal_address_scope=scopes[1])
    row = rows.create(call, resource, values)
    _changed(call, owner["id"])
    return row


def _address(inner: Item, router_id: str, near: set[str], wanted: str | None) -> str:
    own = _ipv6(inner)
    if not own:
        raise BadRequest(
            resource="ndp_proxy", msg=f"Requested port {inner['id']} must allocate one IPv6 address at least"
        )
    reachable = [one["ip_address"] for one in own if one["subnet_id"] in near]
    if wanted is None and not reachable:
        raise PortUnreachableRouter(port_id=inner["id"], router_id=router_id)
    if wanted is not None and wanted not in [one["ip_address"] for one in own]:
        raise InvalidAddress(address=wanted, reason=f"This address not belong to the port {inner['id']}")
    if wanted is not None and wanted not in reachable:
        raise InvalidAddress(address=wanted, reason=f"This address cannot reach the router {router_id}")
    return str(wanted or reachable[0])


def _ipv6(one: Item) -> list[dict[str, str]]:
    return [fixed for fixed in one["fixed_ips"] if ":" in fixed["ip_address"]]


def delete(call: Call, row: Item) -> None:
    """Have a router not answer for it any more."""
    rows.remove(call, resource, row["id"])
    _changed(call, row["router_id"])


def _changed(call: Call, router_id: str) -> None:
    rows.change(call, router.resource, rows.get(call, router.resource, router_id, lock=True), {})


def scope(call: Call, network_id: str) -> str | None:
    """Return the address scope in which a network's IPv6 subnets are."""
    subnets, pools = metadata.tables["subnet"], metadata.tables["subnetpool"]
    found = call.tx.execute(
        select(pools.c.address_scope_id)
        .join(subnets, pools.c.id == subnets.c.subnetpool_id)
        .where(
            subnets.c.network_id == network_id,
            pools.c.ip_version == 6,
            pools.c.address_scope_id.is_not(None),
        )
    ).first()
    return None if found is None else str(found.address_scope_id)


def _refuse_network(call: Call, router_id: str, network_id: str | None) -> None:
    """Raise RouterGatewayNotValid unless routers can proxy on an external network."""
    if network_id is None:
        raise RouterGatewayNotValid(router_id=router_id, reason="The router has no external gateway")
    versions = {one["ip_version"] for one in subnet.of_network(call, network_id)}
    if 6 not in versions or scope(call, network_id) is None:
        raise RouterGatewayNotValid(
            router_id=router_id,
            reason=f"The external network {network_id} don't support IPv6 ndp proxy, the network has no IPv6 "
            "subnets or has no IPv6 address scope",
        )


def _created_router(call: Call, row: Item, values: Mapping[str, Any]) -> None:
    # Without a gateway it waits for one: clients make the router first, and give it its gateways then.
    if values[ENABLED] and row["gw_port_id"]:
        _refuse_network(call, row["id"], _gateway_network(call, row))


def _updating_router(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    enabled = changes.get(ENABLED, row[ENABLED])
    if "external_gateway_info" not in changes:
        if changes.get(ENABLED):
            _refuse_network(call, row["id"], _gateway_network(call, row))
        return
    info = changes["external_gateway_info"]
    if info is None:
        if _of_router(call, row["id"]):
            raise RouterGatewayInUseByNDPProxy(router_id=row["id"])
        if changes.get(ENABLED):
            raise RouterGatewayNotValid(
                router_id=row["id"], reason="The router's external gateway will be unset"
            )
        operations.store_extensions(call, router.resource, row["id"], {ENABLED: False})
    elif enabled:
        _refuse_network(call, row["id"], info["network_id"])
        wanted = info.get("external_fixed_ips")
        if wanted and not any(_is_ipv6(call, one) for one in wanted):
            raise RouterIPv6GatewayInUse(router_id=row["id"])


def _is_ipv6(call: Call, fixed: Mapping[str, str]) -> bool:
    if "ip_address" in fixed:
        return ":" in fixed["ip_address"]
    return bool(rows.get(call, subnet.resource, fixed["subnet_id"])["ip_version"] == 6)


def _gateway_network(call: Call, row: Item) -> str | None:
    owner = rows.get(call, router.resource, row["id"])
    if owner["gw_port_id"] is None:
        return None
    return str(rows.get(call, port.resource, owner["gw_port_id"])["network_id"])


def _of_router(call: Call, router_id: str) -> list[Item]:
    return rows.where(call, resource, resource.table.c.router_id == router_id)


def _present_routers(call: Call, items: list[Item]) -> None:  # noqa: ARG001
    for item in items:
        item[ENABLED] = bool(item[ENABLED] and item["gw_port_id"])


def _deleting_port(call: Call, row: Item) -> None:
    for one in rows.where(call, resource, resource.table.c.port_id == row["id"]):
        delete(call, one)


def _updating_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """Proxies of addresses that a port loses go with them."""
    if "fixed_ips" not in changes:
        return
    kept = {one.get("ip_address") for one in changes["fixed_ips"]}
    for one in rows.where(call, resource, resource.table.c.port_id == row["id"]):
        if one["ip_address"] not in kept:
            delete(call, one)


resource = Resource(
    name="ndp_proxy",
    collection="ndp_proxies",
    not_found=NDPProxyNotFound,
    attributes={
        "router_id": Attr(type=UUID, post=True, references="router.id", on_delete="CASCADE", index=True),
        "port_id": Attr(type=UUID, post=True, references="port.id", on_delete="CASCADE", index=True),
        "ip_address": Attr(type=IP, default=None, post=True, nullable=True),
    },
    constraints=[UniqueConstraint("router_id", "ip_address")],
    create=create,
    delete=delete,
)

DECLARES = (
    resource,
    Extension(
        resource="router",
        name="ndp_proxy",
        attributes={ENABLED: Attr(type=BOOLEAN, default=False, post=True, put=True, nullable=True)},
        created=_created_router,
        updating=_updating_router,
        present=_present_routers,
    ),
    Extension(resource="port", name="ndp_proxies", updating=_updating_port, deleting=_deleting_port),
    Alias(
        alias="l3-ndp-proxy",
        name="L3 NDP Proxy",
        description="Routers answer on their external network for IPv6 addresses of instances",
    ),
    Alias(
        alias="l3-ext-ndp-proxy",
        name="Router support to enable NDP proxy",
        description="Whether a router does so",
    ),
)
