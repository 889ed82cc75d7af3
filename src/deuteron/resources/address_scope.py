"""Address scopes: within one, no two subnet pools have an address in common."""

from sqlalchemy import select

from deuteron.resources import rows
from deuteron.resources.address_types import IP_VERSION
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.subnetpool_errors import AddressScopeInUse, AddressScopeNotFound
from deuteron.resources.types import integer, line
from deuteron.store import metadata


def delete(call: Call, row: Item) -> None:
    """Delete a scope that no pool is in. Its row is locked, as it is when a pool comes in."""
    pools = metadata.tables["subnetpool"]  # its module imports this one
    used = select(pools.c.id).where(pools.c.address_scope_id == row["id"]).limit(1)
    if call.tx.execute(used).first() is not None:
        raise AddressScopeInUse(id=row["id"])
    rows.remove(call, resource, row["id"])


_HIDDEN = Attr(type=line(20), default=UNSET, visible=False)

resource = Resource(
    name="address_scope",
    collection="address_scopes",
    path="address-scopes",
    not_found=AddressScopeNotFound,
    attributes={
        "description": Attr(type=line(), default="", stored=False, visible=False),
        "created_at": _HIDDEN,
        "updated_at": _HIDDEN,
        "revision_number": Attr(type=integer(0, 2**63 - 1), default=UNSET, visible=False),
        "ip_version": Attr(type=IP_VERSION, post=True),
    },
    delete=delete,
)

DECLARES = (
    resource,
    Alias(alias="address-scope", name="Address scope", description="Where addresses are unique"),
)
