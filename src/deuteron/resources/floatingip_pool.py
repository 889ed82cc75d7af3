"""Pools of floating IPs: the IPv4 subnets of external networks that a project sees."""

from sqlalchemy import select

from deuteron.resources import access, network, rows, subnet
from deuteron.resources.address_types import CIDR
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import UUID, line


def listing(call: Call) -> list[Item]:
    """Return the pools; each is the caller's."""
    external = rows.where(call, network.resource, network.resource.column(network.EXTERNAL).is_(True))
    seen = [one["id"] for one in external if access.sees(call, network.resource, one)]
    subnets = subnet.resource.table
    found = select(subnets.c.id, subnets.c.name, subnets.c.network_id, subnets.c.cidr).where(
        subnets.c.network_id.in_(seen), subnets.c.ip_version == 4
    )
    return [
        {
            "id": one.id,
            "subnet_id": one.id,
            "subnet_name": one.name,
            "network_id": one.network_id,
            "cidr": one.cidr,
            "project_id": call.project_id,
        }
        for one in call.tx.execute(found.order_by(subnets.c.position))
    ]


resource = Resource(
    name="floatingip_pool",
    collection="floatingip_pools",
    path="floatingip-pools",
    rows=listing,
    creatable=False,
    updatable=False,
    deletable=False,
    attributes={
        "id": Attr(type=UUID, default=UNSET, stored=False, visible=False),
        "subnet_id": Attr(type=UUID, default=UNSET, stored=False),
        "subnet_name": Attr(type=line(), default=UNSET, stored=False),
        "network_id": Attr(type=UUID, default=UNSET, stored=False),
        "cidr": Attr(type=CIDR, default=UNSET, stored=False),
        "project_id": Attr(type=line(), default=UNSET, stored=False),
    },
)

DECLARES = (
    resource,
    Alias(
        alias="floatingip-pools",
        name="Floating IP Pools Extension",
        description="The subnets that floating IPs can come from",
    ),
)
