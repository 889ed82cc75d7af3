"""Subnets that are there already, taken into a pool; and the address scopes in which networks are."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from deuteron.resources import access, network, prefixes, rows, subnet, subnetpool
from deuteron.resources.addresses import parse_network
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import Forbidden, InvalidInput
from deuteron.resources.resource import Alias, Extension, Item
from deuteron.resources.subnetpool_errors import IllegalSubnetPoolUpdate
from deuteron.resources.types import DERIVED, is_uuid, shown

_SCOPES = {4: "ipv4_address_scope", 6: "ipv6_address_scope"}


def onboard(call: Call, id_: str, body: Any) -> list[Item]:
    """Take a network's subnets of a pool's family into it, with their prefixes."""
    network_id = body.get("network_id") if isinstance(body, Mapping) else None
    if network_id is None:
        raise InvalidInput(error_message="network_id must be specified.")
    if not is_uuid(network_id):
        raise InvalidInput(error_message=f"'{shown(network_id)}' is not a valid UUID")
    pool = rows.get(call, subnetpool.resource, id_, lock=True)
    home = access.get(call, network.resource, network_id, lock=True)
    if not call.admin and (call.who is None or home["project_id"] != call.who.project_id):
        raise Forbidden(reason=f"network {network_id} belongs to another project")
    family = [one for one in subnet.of_network(call, network_id) if one["ip_version"] == pool["ip_version"]]
    taken = prefixes.ranges(subnetpool.taken(call, id_))
    for one in family:
        if prefixes.common(prefixes.ranges([parse_network(one["cidr"])]), taken):
            raise IllegalSubnetPoolUpdate(
                reason=f"Onboarding subnet {one['id']}: {one['cidr']} conflicts with allocated prefixes in "
                f"subnet pool {id_}"
            )
    if family:
        # First the subnets: the pool's scope looks at what else their networks have.
        for one in family:
            rows.change(call, subnet.resource, one, {"subnetpool_id": id_})
        wanted = [*pool["prefixes"], *(one["cidr"] for one in family)]
        subnetpool.update(call, pool, {"prefixes": wanted})
    return [{"id": one["id"], "cidr": one["cidr"]} for one in family]


def _present(call: Call, items: list[Item]) -> None:
    """Fill in the scopes of the pools that networks' subnets are from."""
    subnets, pools = subnet.resource.table, subnetpool.resource.table
    found: dict[tuple[str, int], str] = {}
    for part in rows.chunks(item["id"] for item in items):
        scopes = (
            select(subnets.c.network_id, pools.c.ip_version, pools.c.address_scope_id)
            .join(pools, pools.c.id == subnets.c.subnetpool_id)
            .where(subnets.c.network_id.in_(part), pools.c.address_scope_id.is_not(None))
        )
        found.update(
            {(one.network_id, one.ip_version): one.address_scope_id for one in call.tx.execute(scopes)}
        )
    for item in items:
        item.update({name: found.get((item["id"], version)) for version, name in _SCOPES.items()})


DECLARES = (
    Extension(resource="subnetpool", name="subnets", actions={"onboard_network_subnets": onboard}),
    Extension(
        resource="network",
        name="address_scopes",
        attributes={
            name: Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)
            for name in _SCOPES.values()
        },
        present=_present,
    ),
    Alias(
        alias="subnet_onboard",
        name="Subnet Onboard",
        description="Subnets that are there already, taken into a pool",
    ),
    Alias(alias="subnet_allocation", name="Subnet Allocation", description="Subnets from pools"),
)
