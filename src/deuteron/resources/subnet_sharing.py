"""What a subnet has from its network: that it is lent to others, or external."""

from sqlalchemy import ColumnElement, select

from deuteron.resources import network, rbac, rows, subnet
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import InvalidInput
from deuteron.resources.resource import Alias, Extension, Item
from deuteron.resources.types import BOOLEAN, DERIVED


def _present(call: Call, items: list[Item]) -> None:
    table, external = network.resource.table, set()
    for part in rows.chunks(sorted({item["network_id"] for item in items})):
        found = select(table.c.id).where(table.c.id.in_(part), table.c.router_external)
        external |= set(call.tx.execute(found).scalars())
    for item in items:
        item[network.EXTERNAL] = item["network_id"] in external


def _filter_shared(call: Call, texts: list[str]) -> ColumnElement[bool]:
    return rbac.is_lent(call, subnet.resource.table.c.network_id, texts)


def _filter_external(call: Call, texts: list[str]) -> ColumnElement[bool]:  # noqa: ARG001
    try:
        wanted = {bool(BOOLEAN.convert(text)) for text in texts}
    except ValueError as error:
        raise InvalidInput(error_message=f"{network.EXTERNAL}: {error}") from None
    table = network.resource.table
    return subnet.resource.table.c.network_id.in_(
        select(table.c.id).where(table.c.router_external.in_(sorted(wanted)))
    )


DECLARES = (
    Extension(
        resource="subnet",
        name="sharing",
        attributes={
            network.EXTERNAL: Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)
        },
        present=_present,
        filters={"shared": _filter_shared, network.EXTERNAL: _filter_external},
    ),
    Alias(
        alias="subnet-external-network",
        name="Subnet belongs to an external network",
        description="router:external of subnets",
    ),
)
