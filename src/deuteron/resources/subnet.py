"""Subnets: an address range of a network, with its gateway, pools and what DHCP says in it."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, select

from deuteron.resources import (
    addresses,
    network,
    peer_routes,
    rows,
    service_types,
    subnet_allocation,
    subnet_segment,
)
from deuteron.resources.address_types import CIDR, IP, IP_VERSION, NAMESERVERS, POOLS, ROUTES
from deuteron.resources.addresses import Network, Range, parse_address, parse_network
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, InvalidInput
from deuteron.resources.l2_errors import (
    DNSNameServersExhausted,
    GatewayConflictWithAllocationPools,
    HostRoutesExhausted,
    InvalidAllocationPool,
    NetworkMTUSubnetConflict,
    OutOfBoundsAllocationPool,
    OverlappingAllocationPools,
    SubnetNotFound,
)
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, DERIVED, UUID, integer, one_of

IPV6_MODES = ("dhcpv6-stateful", "dhcpv6-stateless", "slaac")


def create(call: Call, values: Item) -> Item:
    """Create a subnet. The network's row is locked: two creations cannot overlap unseen."""
    if values["cidr"] is not UNSET and values["prefixlen"] is not None:
        raise BadRequest(resource="subnets", msg="cidr and prefixlen must not be supplied together")
    pool = subnet_allocation.pool_of(call, values)
    owner = rows.get(call, network.resource, values["network_id"], lock=True)
    cidr = _range(call, pool, values)
    subnet_segment.check_new(call, values, of_network(call, owner["id"]))
    _check_cidr(cidr, values)
    _check_mtu(owner, values["ip_version"])
    _check_ipv6_modes(cidr, values)
    _refuse_overlap(call, cidr, owner["id"])
    if values["gateway_ip"] is UNSET:
        values["gateway_ip"] = addresses.default_gateway(cidr)
    _check_gateway(cidr, values["gateway_ip"])
    pools = _pools(cidr, values["gateway_ip"], values["allocation_pools"])
    values["allocation_pools"] = shown_pools(cidr, pools)
    _check_lists(call, "new subnet", cidr.version, values)
    values["host_routes"] = peer_routes.completed(
        values["host_routes"], values, of_network(call, owner["id"])
    )
    values["position"] = rows.change(call, network.resource, owner, {})["revision_number"]
    made = rows.create(call, resource, values)
    _lead_to_peers(call, made)
    return made


def _lead_to_peers(call: Call, changed: Item, gone: bool = False) -> None:
    """Give a network's other subnets the host routes that they need when one came, or is gone."""
    if changed["segment_id"] is not None:
        subnets = of_network(call, changed["network_id"])
        for one, routes in peer_routes.after(subnets, changed if gone else None):
            rows.change(call, resource, dict(one), {"host_routes": routes})


def _range(call: Call, pool: Item | None, values: Item) -> Network:
    """Return the range of a new subnet, as it is given or from a pool; complete the values with it."""
    version = values["ip_version"]
    if values["cidr"] is not UNSET:
        _check_family(version, parse_network(values["cidr"]).version, values["cidr"], "cidr")
    subnet_allocation.check_affinity(call, pool, version, of_network(call, values["network_id"]))
    cidr = subnet_allocation.take(call, pool, values) if pool else parse_network(values["cidr"])
    values.update(cidr=str(cidr), subnetpool_id=pool["id"] if pool else None)
    return cidr


def update(call: Call, row: Item, changes: Item) -> Item:
    """Change a subnet. Whether its gateway is in use, the router's module checks."""
    cidr = parse_network(row["cidr"])
    gateway = changes.get("gateway_ip", row["gateway_ip"])
    _check_gateway(cidr, gateway)
    if "allocation_pools" in changes or gateway != row["gateway_ip"]:
        pools = _pools(cidr, gateway, changes.get("allocation_pools", row["allocation_pools"]))
        changes = {**changes, "allocation_pools": shown_pools(cidr, pools)}
    if changes.get("enable_dhcp") and not row["enable_dhcp"]:
        _check_dhcp(cidr)
    if changes.get("enable_dhcp") is False and (row["ipv6_ra_mode"] or row["ipv6_address_mode"]):
        raise InvalidInput(error_message="Cannot disable enable_dhcp with ipv6 attributes set")
    _touch_network(call, row["network_id"])
    subnets = of_network(call, row["network_id"])
    if changes.get("segment_id", row["segment_id"]) != row["segment_id"]:
        subnet_segment.check_change(call, row, changes["segment_id"], subnets)
    new = {**row, **changes}
    new["host_routes"] = peer_routes.without(new["host_routes"], row, subnets)
    _check_lists(call, row["id"], cidr.version, {name: new[name] for name in changes})
    changes = {**changes, "host_routes": peer_routes.completed(new["host_routes"], new, subnets)}
    return rows.change(call, resource, row, changes)


def delete(call: Call, row: Item) -> None:
    """Delete a subnet of which nobody has an address."""
    rows.remove(call, resource, row["id"])
    _touch_network(call, row["network_id"])
    _lead_to_peers(call, row, gone=True)


def _touch_network(call: Call, id_: str) -> None:
    """A network's revision counts its subnets' changes, too."""
    rows.change(call, network.resource, rows.get(call, network.resource, id_, lock=True), {})


def is_auto_address(subnet: Mapping[str, Any]) -> bool:
    """Whether hosts make their addresses of their MACs."""
    return subnet["ipv6_address_mode"] in addresses.AUTO_ADDRESS_MODES


def pool_ranges(subnet: Mapping[str, Any]) -> list[Range]:
    """Return the pools of a subnet as ranges of numbers."""
    return [
        (int(parse_address(pool["start"])), int(parse_address(pool["end"])))
        for pool in subnet["allocation_pools"]
    ]


def shown_pools(cidr: Network, pools: Sequence[Range]) -> list[dict[str, str]]:
    """Return ranges as the API shows them."""
    return [
        {
            "start": str(addresses.from_int(cidr, first)),
            "end": str(addresses.from_int(cidr, last)),
        }
        for first, last in pools
    ]


def of_network(call: Call, network_id: str) -> list[Item]:
    """Return the subnets of a network in the order of their creation."""
    found = call.tx.execute(_of_network(), {"owner": network_id}).all()
    return [dict(zip(resource.stored, row, strict=True)) for row in found]


@cache
def _of_network() -> Select[Any]:
    table = resource.table
    mine = rows.columns(resource).where(table.c.network_id == bindparam("owner"))
    return mine.order_by(table.c.position)


def _check_family(version: int, given: int, value: str, name: str) -> None:
    if given != version:
        raise InvalidInput(error_message=f"{name} '{value}' does not match the ip_version '{version}'")


def _check_cidr(cidr: Network, values: Item) -> None:
    if cidr.prefixlen == 0:
        raise InvalidInput(error_message="0 is not allowed as CIDR prefix length")
    if cidr.version == 6 and int(cidr.network_address) == 0:
        raise InvalidInput(error_message="IPv6 subnet '::' is not supported")
    if values["enable_dhcp"]:
        _check_dhcp(cidr)


def _check_dhcp(cidr: Network) -> None:
    if cidr.prefixlen > (30 if cidr.version == 4 else 126):
        raise InvalidInput(
            error_message="Subnet has a prefix length that is incompatible with DHCP service enabled"
        )
    if cidr.is_multicast:
        raise InvalidInput(error_message="Multicast IP subnet is not supported if enable_dhcp is True")
    if cidr.is_loopback:
        raise InvalidInput(error_message="Loopback IP subnet is not supported if enable_dhcp is True")
    if cidr.version == 4 and int(cidr.network_address) == 0:
        raise InvalidInput(
            error_message="First IP '0.0.0.0' of network is not supported if enable_dhcp is True."
        )


def _check_mtu(owner: Item, version: int) -> None:
    least = network.IPV4_MIN_MTU if version == 4 else network.IPV6_MIN_MTU
    if owner["mtu"] < least:
        raise NetworkMTUSubnetConflict(net_id=owner["id"], mtu=least)


def _check_ipv6_modes(cidr: Network, values: Item) -> None:
    ra, address = values["ipv6_ra_mode"], values["ipv6_address_mode"]
    for name in ("ipv6_ra_mode", "ipv6_address_mode"):
        if cidr.version == 4 and values[name]:
            raise InvalidInput(error_message=f"{name} is not valid when ip_version is 4")
    if (ra or address) and not values["enable_dhcp"]:
        raise InvalidInput(
            error_message="ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False"
        )
    if ra and address and ra != address:
        raise InvalidInput(
            error_message=f"ipv6_ra_mode set to '{ra}' with ipv6_address_mode set to '{address}' "
            "is not valid. If both attributes are set, they must be the same value"
        )
    if address in addresses.AUTO_ADDRESS_MODES and cidr.prefixlen != 64:
        raise InvalidInput(
            error_message=f"Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address "
            "format, which requires the prefix to be /64"
        )


def _refuse_overlap(call: Call, cidr: Network, network_id: str) -> None:
    table = resource.table
    for (other,) in call.tx.execute(select(table.c.cidr).where(table.c.network_id == network_id)):
        if cidr.overlaps(parse_network(other)):
            raise InvalidInput(
                error_message=f"Requested subnet with cidr: {cidr} for network: {network_id} "
                "overlaps with another subnet"
            )


def _check_gateway(cidr: Network, gateway: str | None) -> None:
    if gateway is None:
        return
    address = parse_address(gateway)
    _check_family(cidr.version, address.version, gateway, "gateway_ip")
    if addresses.gateway_is_impossible(cidr, address):
        raise InvalidInput(error_message="Gateway is not valid on subnet")
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        raise InvalidInput(error_message="Gateway is not valid on subnet")


def _pools(cidr: Network, gateway: str | None, wanted: Any) -> list[Range]:
    address = None if gateway is None else parse_address(gateway)
    if wanted is UNSET:
        return addresses.default_pools(cidr, address)
    first_usable, last_usable = addresses.usable(cidr)
    pools = []
    for pool in wanted:
        shown = f"{pool['start']}-{pool['end']}"
        start, end = parse_address(pool["start"]), parse_address(pool["end"])
        if start.version != cidr.version or end.version != cidr.version or int(start) > int(end):
            raise InvalidAllocationPool(pool=shown)
        if int(start) < first_usable or int(end) > last_usable:
            raise OutOfBoundsAllocationPool(pool=shown, subnet_cidr=cidr)
        pools.append((int(start), int(end)))
    if clash := addresses.overlapping(pools):
        one, other = (f"{p['start']}-{p['end']}" for p in shown_pools(cidr, clash))
        raise OverlappingAllocationPools(pool_1=one, pool_2=other, subnet_cidr=cidr)
    if address is not None and address.version == cidr.version:
        holder = addresses.contains(pools, address)
        if holder is not None:
            pool = shown_pools(cidr, [holder])[0]
            raise GatewayConflictWithAllocationPools(
                ip_address=gateway, pool=f"{pool['start']}-{pool['end']}"
            )
    return pools


def _check_lists(call: Call, id_: str, version: int, values: Mapping[str, Any]) -> None:
    nameservers, routes = values.get("dns_nameservers") or [], values.get("host_routes") or []
    if len(nameservers) > call.settings.max_dns_nameservers:
        raise DNSNameServersExhausted(subnet_id=id_, quota=call.settings.max_dns_nameservers)
    if len(routes) > call.settings.max_subnet_host_routes:
        raise HostRoutesExhausted(subnet_id=id_, quota=call.settings.max_subnet_host_routes)
    for server in nameservers:
        _check_family(version, parse_address(server).version, server, "dns_nameserver")
    for route in routes:
        _check_family(version, parse_address(route["nexthop"]).version, route["nexthop"], "nexthop")
        destination = parse_network(route["destination"])
        _check_family(version, destination.version, route["destination"], "destination")


def _updating_network(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    if "mtu" in changes and 0 < changes["mtu"] < network.IPV6_MIN_MTU:
        for one in of_network(call, row["id"]):
            _check_mtu({**row, "mtu": changes["mtu"]}, one["ip_version"])


def _present_in_networks(call: Call, items: list[Item]) -> None:
    found: dict[str, list[str]] = {item["id"]: [] for item in items}
    routed = set()
    table = resource.table
    for part in rows.chunks(found):
        columns = (table.c.network_id, table.c.id, table.c.segment_id)
        statement = select(*columns).where(table.c.network_id.in_(part))
        for row in call.tx.execute(statement.order_by(table.c.position)):
            found[row.network_id].append(row.id)
            if row.segment_id is not None:
                routed.add(row.network_id)
    for item in items:
        item["subnets"] = found[item["id"]]
        item["l2_adjacency"] = item["id"] not in routed


resource = Resource(
    name="subnet",
    collection="subnets",
    not_found=SubnetNotFound,
    attributes={
        "network_id": Attr(type=UUID, post=True, references="network.id", index=True),
        "ip_version": Attr(type=IP_VERSION, post=True),
        "cidr": Attr(type=CIDR, default=UNSET, post=True),
        "gateway_ip": Attr(type=IP, default=UNSET, post=True, put=True, nullable=True),
        "allocation_pools": Attr(type=POOLS, default=UNSET, post=True, put=True, filter=False, sort=False),
        "dns_nameservers": Attr(type=NAMESERVERS, default=[], post=True, put=True, filter=False, sort=False),
        "host_routes": Attr(type=ROUTES, default=[], post=True, put=True, filter=False, sort=False),
        "enable_dhcp": Attr(type=BOOLEAN, default=True, post=True, put=True),
        "ipv6_ra_mode": Attr(type=one_of(*IPV6_MODES), default=None, post=True, nullable=True),
        "ipv6_address_mode": Attr(type=one_of(*IPV6_MODES), default=None, post=True, nullable=True),
        "subnetpool_id": Attr(type=UUID, default=None, post=True, nullable=True, index=True),
        "segment_id": Attr(type=UUID, default=None, post=True, put=True, nullable=True, index=True),
        "service_types": Attr(
            type=service_types.TYPES, default=[], post=True, put=True, filter=False, sort=False
        ),
        # The order of a network's subnets: times are too coarse.
        "position": Attr(type=integer(0, 2**63 - 1), default=UNSET, visible=False),
        "use_default_subnetpool": Attr(type=BOOLEAN, default=False, post=True, stored=False, visible=False),
        "prefixlen": Attr(
            type=integer(0, 128), default=None, post=True, nullable=True, stored=False, visible=False
        ),
    },
    create=create,
    update=update,
    delete=delete,
)

_SHOWN = Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)

DECLARES = (
    resource,
    Extension(
        resource="network",
        name="subnets",
        attributes=dict.fromkeys(("subnets", "l2_adjacency"), _SHOWN),
        present=_present_in_networks,
        updating=_updating_network,
    ),
    Alias(
        alias="l2_adjacency",
        name="L2 Adjacency",
        description="Whether all of a network's ports are neighbours: not so where subnets have segments",
    ),
    Alias(alias="subnet", name="Neutron L3 Subnet", description="Layer 3 subnet abstraction"),
)
