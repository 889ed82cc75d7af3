"""Subnet pools and address scopes are lent to other projects, and have tags."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from deuteron.resources import rbac, tag
from deuteron.resources.access import EVERYBODY, SHARED
from deuteron.resources.call import Call
from deuteron.resources.resource import Alias, Extension, Item
from deuteron.resources.subnetpool_errors import AddressScopeUpdateError


def _updating(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """A scope that all may use stays so: pools of others are in it."""
    grants = rbac.resource.table.c
    shared = select(grants.id).where(
        grants.object_id == row["id"], grants.action == SHARED, grants.target_tenant == EVERYBODY
    )
    if changes.get("shared") is False and call.tx.execute(shared).first() is not None:
        raise AddressScopeUpdateError(id=row["id"], reason="Shared address scope can't be unshared")


DECLARES = (
    # Before what rbac does of its own with a change.
    Extension(resource="address_scope", name="sharing", updating=_updating),
    rbac.lent("address_scope", post=True, put=True),
    rbac.lent("subnetpool", post=True, put=False),
    tag.on("subnetpool"),
    Alias(
        alias="rbac-address-scope",
        name="Add address_scope type to RBAC",
        description="Address scopes of a project lent to others",
    ),
    Alias(
        alias="rbac-subnetpool",
        name="Add subnetpool type to RBAC",
        description="Subnet pools of a project lent to others",
    ),
)
