"""Routers: their central part, with interfaces on networks and a gateway to an external one.

What is in here: the resource itself and its routes. Interfaces are in router_interface, the
gateway in router_gateway; both are ports.
"""

from collections.abc import Mapping, Sequence

from deuteron.resources import (
    addresses,
    conversion,
    numbers,
    owners,
    port,
    router_flavor,
    router_gateway,
    router_mode,
    rows,
    snat_ports,
    subnet,
)
from deuteron.resources.address_types import ROUTES
from deuteron.resources.addresses import parse_address, parse_network
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.distribution import Rung
from deuteron.resources.l3_errors import InvalidRoutes, RouterInUse, RouterNotFound, RoutesExhausted
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import BOOLEAN, DERIVED, STRINGS, UUID, empty_if_null, integer, line

MAX_NUMBER = 2**31 - 1
_WHETHER = empty_if_null(BOOLEAN, UNSET)
"""Null says nothing."""


def create(call: Call, values: Item) -> Item:
    """Create a router, with its gateway if one is asked for."""
    gateway = values.pop("external_gateway_info")
    router_flavor.settle(call, values)
    values["ha"] = call.settings.l3_ha if values["ha"] is UNSET else values["ha"]
    if values["distributed"] is UNSET:
        values["distributed"] = call.settings.router_distributed
    if values["distributed"]:
        router_mode.refuse_without_hosts(call, central=bool(gateway))
        values["rung"] = int(Rung.DISTRIBUTED)
    values["enable_snat"] = call.settings.enable_snat_by_default
    row = _insert(call, values)
    if gateway:
        row = router_gateway.change(call, resource, row, gateway)
    return row


def _insert(call: Call, values: Item) -> Item:
    while True:
        number = numbers.lowest_free(call.tx, resource.table.c.number, [(1, MAX_NUMBER)])
        row = rows.insert(call, resource, {**values, "number": number})
        if row is not None:
            return row


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a router."""
    said = {name: changes.pop(name, UNSET) for name in ("ha", "distributed")}
    ha, distributed = (row[name] if one is UNSET else one for name, one in said.items())
    if (ha, distributed) != (row["ha"], row["distributed"]):
        up = changes.get("admin_state_up", row["admin_state_up"])
        row = router_mode.change(call, resource, row, ha=ha, distributed=distributed, up=bool(up))
    if "external_gateway_info" in changes:
        row = router_gateway.change(call, resource, row, changes.pop("external_gateway_info"))
        snat_ports.settle(call, row)
    if "routes" in changes:
        _check_routes(call, row, changes["routes"])
    return rows.change(call, resource, row, changes) if changes else row


def delete(call: Call, row: Item) -> None:
    """Delete a router without interfaces; its gateway goes with it."""
    interfaces = port.of_device(call, row["id"], tuple(owners.ROUTER_INTERFACES))
    if interfaces:
        listed = ", ".join(one["id"] for one in interfaces)
        raise RouterInUse(router_id=row["id"], reason=f"has ports still attached: {listed}")
    row = router_gateway.take_away(call, resource, row)
    snat_ports.settle(call, row)
    rows.remove(call, resource, row["id"])
    conversion.forget(call.tx, row["id"])
    numbers.freed(call.tx, resource.table.c.number, row["number"])


def _check_routes(call: Call, row: Item, routes: Sequence[Mapping[str, str]]) -> None:
    if len(routes) > call.settings.max_routes:
        raise RoutesExhausted(router_id=row["id"], quota=call.settings.max_routes)
    ports = port.of_device(call, row["id"], tuple(owners.ROUTER_PORTS))
    fixed = [one for each in ports for one in each["fixed_ips"]]
    subnet_ids = sorted({one["subnet_id"] for one in fixed})
    found = rows.where(call, subnet.resource, subnet.resource.table.c.id.in_(subnet_ids))
    connected = [parse_network(one["cidr"]) for one in found]
    own = {one["ip_address"] for one in fixed}
    for route in routes:
        check_route(route, routes, connected, own)


def check_route(
    route: Mapping[str, str],
    routes: Sequence[Mapping[str, str]],
    connected: Sequence[addresses.Network],
    own: set[str],
) -> None:
    """Raise InvalidRoutes unless the next hop is a neighbour of the router."""
    hop = parse_address(route["nexthop"])
    if parse_network(route["destination"]).version != hop.version:
        raise InvalidRoutes(routes=routes, reason="the nexthop is of another family than the destination")
    if not any(hop.version == network.version and hop in network for network in connected):
        raise InvalidRoutes(routes=routes, reason="the nexthop is not connected with router")
    if route["nexthop"] in own:
        raise InvalidRoutes(routes=routes, reason="the nexthop is used by router")


def present(call: Call, items: list[Item]) -> None:
    """Fill in the gateways."""
    router_gateway.present(call, items)


resource = Resource(
    name="router",
    collection="routers",
    not_found=RouterNotFound,
    attributes={
        "admin_state_up": Attr(type=BOOLEAN, default=True, post=True, put=True),
        "status": Attr(type=line(16), default="ACTIVE"),
        "ha": Attr(type=_WHETHER, default=UNSET, post=True, put=True),
        "distributed": Attr(type=_WHETHER, default=UNSET, post=True, put=True),
        "external_gateway_info": Attr(
            type=router_gateway.GATEWAY_INFO,
            default=None,
            post=True,
            put=True,
            nullable=True,
            stored=False,
            filter=False,
            sort=False,
        ),
        "external_gateways": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False),
        "routes": Attr(type=ROUTES, default=[], post=False, put=True, filter=False, sort=False),
        "availability_zone_hints": Attr(type=STRINGS, default=[], post=True, filter=False, sort=False),
        "gw_port_id": Attr(
            type=UUID,
            default=None,
            nullable=True,
            visible=False,
            references="port.id",
            on_delete="SET NULL",
            index=True,
        ),
        "enable_snat": Attr(type=BOOLEAN, default=True, visible=False),
        "number": Attr(type=integer(1, MAX_NUMBER), default=UNSET, visible=False, unique=True),
        "rung": Attr(type=integer(Rung.CENTRAL, Rung.DISTRIBUTED), default=int(Rung.CENTRAL), visible=False),
        "rung_host": Attr(type=line(255), default="", visible=False),
    },
    create=create,
    update=update,
    delete=delete,
    present=present,
)

DECLARES = (
    resource,
    Alias(alias="router", name="Neutron L3 Router", description="Routers, gateways, floating IPs"),
    Alias(
        alias="ext-gw-mode", name="Neutron L3 Configurable external gateway mode", description="enable_snat"
    ),
    Alias(alias="extraroute", name="Neutron Extra Route", description="Static routes of a router"),
    Alias(
        alias="ecmp_routes",
        name="Equal Cost Multipath Routing",
        description="Static routes with several next hops to one destination",
    ),
    Alias(alias="dvr", name="Distributed Virtual Router", description="Distributed routers"),
    Alias(alias="l3-ha", name="HA Router extension", description="Redundant routers"),
    Alias(
        alias="router-admin-state-down-before-update",
        name="Enforce Router's Admin State Down Before Update Extension",
        description="A router must be administratively down when it becomes redundant or distributed",
        setting="strict_router_mode_change",
    ),
    Alias(
        alias="router_availability_zone",
        name="Router Availability Zone",
        description="Zones in which a router's hosts should be",
    ),
)
