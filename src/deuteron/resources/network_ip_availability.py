"""How many addresses of each network and subnet there are, and how many are used."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from deuteron.resources import addresses, network, subnet
from deuteron.resources.address_types import IP_VERSION
from deuteron.resources.addresses import Network, parse_address, parse_network
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.l2_errors import NetworkNotFound
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import DERIVED, UUID, line

_DETAILS = "ip_availability_details"
_DETAIL_NAMES = (
    "total_ips_in_subnet",
    "total_ips_in_allocation_pool",
    "used_ips_in_subnet",
    "used_ips_in_allocation_pool",
)


def listing(call: Call) -> list[Item]:
    """Return what all networks have."""
    of_networks: dict[str, list[Item]] = {}
    for one in _subnets(call):
        of_networks.setdefault(one.pop("network_id"), []).append(one)
    table = network.resource.table
    homes = call.tx.execute(select(table.c.id, table.c.name, table.c.project_id).order_by(table.c.id))
    return [
        {
            "id": home.id,
            "network_id": home.id,
            "network_name": home.name,
            "project_id": home.project_id,
            **_summed(of_networks.get(home.id, [])),
        }
        for home in homes
    ]


def _subnets(call: Call) -> list[Item]:
    used: dict[str, list[str]] = defaultdict(list)
    for row in call.tx.execute(select(fixed_ip.c.subnet_id, fixed_ip.c.ip_address)):
        used[row.subnet_id].append(row.ip_address)
    table = subnet.resource.table
    wanted = (table.c.id, table.c.name, table.c.network_id, table.c.cidr, table.c.allocation_pools)
    return [
        {
            "network_id": row.network_id,
            "subnet_id": row.id,
            "subnet_name": row.name,
            "cidr": row.cidr,
            **_counted(parse_network(row.cidr), row.allocation_pools, used.get(row.id, ())),
        }
        for row in call.tx.execute(select(*wanted).order_by(table.c.position))
    ]


def _counted(cidr: Network, pools: Sequence[Mapping[str, str]], used: Collection[str]) -> Item:
    ranges = subnet.pool_ranges({"allocation_pools": pools})
    inside = sum(last - first + 1 for first, last in ranges)
    return {
        "ip_version": cidr.version,
        "total_ips": inside if pools else cidr.num_addresses,
        "used_ips": len(used),
        _DETAILS: {
            "total_ips_in_subnet": _size(cidr),
            "total_ips_in_allocation_pool": inside,
            "used_ips_in_subnet": len(used),
            "used_ips_in_allocation_pool": sum(
                1 for one in used if addresses.contains(ranges, parse_address(one))
            ),
        },
    }


def _size(cidr: Network) -> int:
    """Return how many addresses there are but those of an IPv4 network and of all its hosts."""
    if cidr.version == 6:
        return cidr.num_addresses
    first, last = addresses.usable(cidr)
    return last - first + 1


def _summed(subnets: list[Item]) -> Item:
    return {
        "subnet_ip_availability": subnets,
        "total_ips": sum(one["total_ips"] for one in subnets),
        "used_ips": sum(one["used_ips"] for one in subnets),
        _DETAILS: {name: sum(one[_DETAILS][name] for one in subnets) for name in _DETAIL_NAMES},
    }


def _of_family(items: list[Item], versions: Sequence[Any]) -> list[Item]:
    """Return those that have subnets of these families, and nothing of their others."""
    narrowed = []
    for item in items:
        subnets = [one for one in item["subnet_ip_availability"] if one["ip_version"] in versions]
        if subnets:
            narrowed.append({**item, **_summed(subnets)})
    return narrowed


_NUMBER = Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)

resource = Resource(
    name="network_ip_availability",
    collection="network_ip_availabilities",
    path="network-ip-availabilities",
    not_found=NetworkNotFound,
    rows=listing,
    narrowing={"ip_version": _of_family},
    creatable=False,
    updatable=False,
    deletable=False,
    attributes={
        "id": Attr(type=UUID, default=UNSET, stored=False, visible=False),
        "network_id": Attr(type=UUID, default=UNSET, stored=False),
        "network_name": Attr(type=line(), default=UNSET, stored=False, sort=False),
        "project_id": Attr(type=line(), default=UNSET, stored=False, sort=False),
        "ip_version": Attr(type=IP_VERSION, default=UNSET, stored=False, visible=False),
        "total_ips": _NUMBER,
        "used_ips": _NUMBER,
        "subnet_ip_availability": _NUMBER,
        _DETAILS: _NUMBER,
    },
)

DECLARES = (
    resource,
    Alias(
        alias="network-ip-availability",
        name="Network IP Availability",
        description="How many addresses there are, and how many are used",
    ),
    Alias(
        alias="network-ip-availability-details",
        name="Network IP Availability Details Extension",
        description="The same of whole subnets and of their allocation pools",
    ),
)
