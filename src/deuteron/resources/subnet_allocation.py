"""The range of a subnet that is taken from a pool."""

from collections.abc import Sequence

from sqlalchemy import select

from deuteron.resources import access, prefixes, rows, subnetpool
from deuteron.resources.addresses import Network, parse_network
from deuteron.resources.attribute import UNSET
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest
from deuteron.resources.resource import Item
from deuteron.resources.subnetpool_errors import (
    MaxPrefixSubnetAllocationError,
    MinPrefixSubnetAllocationError,
    NetworkAddressScopeAffinityError,
    NetworkSubnetPoolAffinityError,
    SubnetAllocationError,
    SubnetPoolQuotaExceeded,
)
from deuteron.store import metadata

_QUOTA_UNIT = {4: 32, 6: 64}
"""A pool's quota counts prefixes of this length."""


def pool_of(call: Call, values: Item) -> Item | None:
    """Return the pool that a new subnet names, its row locked; None if it names none. Raises BadRequest."""
    wanted = values["subnetpool_id"]
    if wanted is not None and values["use_default_subnetpool"]:
        raise _bad("subnetpool_id and use_default_subnetpool cannot both be specified")
    if wanted is None and values["use_default_subnetpool"]:
        wanted = _default(call, values["ip_version"])
    if wanted is None:
        if values["cidr"] is UNSET:
            raise _bad("a subnetpool must be specified in the absence of a cidr")
        return None
    if values["cidr"] is UNSET and values["allocation_pools"] is not UNSET:
        raise _bad("allocation_pools allowed only for specific subnet requests.")
    pool = access.get(call, subnetpool.resource, wanted, lock=True)
    if values["ip_version"] != pool["ip_version"]:
        raise _bad(
            f"Cannot allocate IPv{values['ip_version']} subnet from IPv{pool['ip_version']} subnet pool"
        )
    return pool


def _default(call: Call, version: int) -> str:
    pool = subnetpool.of_default(call, version)
    if pool is None:
        raise _bad(f"No default subnetpool found for IPv{version}")
    return str(pool["id"])


def _bad(message: str) -> BadRequest:
    return BadRequest(resource="subnets", msg=message)


def check_affinity(call: Call, pool: Item | None, version: int, siblings: Sequence[Item]) -> None:
    """Raise unless a subnet from this pool may be beside the network's others of its family."""
    others = {one["subnetpool_id"] for one in siblings if one["ip_version"] == version}
    if not others:
        return
    table = subnetpool.resource.table
    known = rows.where(call, subnetpool.resource, table.c.id.in_(sorted(filter(None, others))))
    scopes = {one["address_scope_id"] for one in known} - {None}
    if scopes and pool is not None:
        if scopes != {pool["address_scope_id"]}:
            raise NetworkAddressScopeAffinityError
    elif others != {pool["id"] if pool else None}:
        raise NetworkSubnetPoolAffinityError


def take(call: Call, pool: Item, values: Item) -> Network:
    """Return the range that a subnet gets: the one that it names, or any of its length."""
    named = None if values["cidr"] is UNSET else parse_network(values["cidr"])
    length = named.prefixlen if named else values["prefixlen"]
    length = pool["default_prefixlen"] if length is None else length
    if length > pool["max_prefixlen"]:
        raise MaxPrefixSubnetAllocationError(prefixlen=length, max_prefixlen=pool["max_prefixlen"])
    if length < pool["min_prefixlen"]:
        raise MinPrefixSubnetAllocationError(prefixlen=length, min_prefixlen=pool["min_prefixlen"])
    _check_quota(call, pool, values["project_id"], length)
    whole = prefixes.ranges(map(parse_network, pool["prefixes"]))
    used = prefixes.ranges(subnetpool.taken(call, pool["id"]))
    if named is None:
        found = prefixes.free(pool["ip_version"], whole, used, length)
        if found is None:
            raise SubnetAllocationError(reason=f"Insufficient prefix space to allocate subnet size /{length}")
        return found
    mine = prefixes.ranges([named])
    if named.version != pool["ip_version"] or prefixes.without(mine, prefixes.without(whole, used)):
        raise SubnetAllocationError(
            reason="Cannot allocate requested subnet from the available set of prefixes"
        )
    return named


def _check_quota(call: Call, pool: Item, project_id: str, length: int) -> None:
    if not pool["default_quota"]:
        return
    subnets, unit = metadata.tables["subnet"], _QUOTA_UNIT[pool["ip_version"]]
    mine = select(subnets.c.cidr).where(
        subnets.c.subnetpool_id == pool["id"], subnets.c.project_id == project_id
    )
    lengths = [parse_network(cidr).prefixlen for cidr in call.tx.execute(mine).scalars()]
    used: float = sum(2.0 ** (unit - one) for one in [*lengths, length])
    if used > pool["default_quota"]:
        raise SubnetPoolQuotaExceeded
