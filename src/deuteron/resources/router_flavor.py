"""What a router's flavour says of it: whether it is redundant, and whether it is distributed."""

from sqlalchemy import select

from deuteron.resources import flavor
from deuteron.resources.attribute import UNSET
from deuteron.resources.call import Call
from deuteron.resources.errors import InvalidInput
from deuteron.resources.resource import Item
from deuteron.resources.service_provider import KINDS
from deuteron.store import metadata


def settle(call: Call, values: Item) -> None:
    """Make of a new router what its flavour says, if that says anything.

    Raises InvalidInput where the request says otherwise, FlavorNotFound and ServiceProfileDisabled.
    """
    kind = flavor.kind_of(call, values["flavor_id"])
    if kind is None:
        return
    for name, wanted in KINDS[kind].items():
        if values[name] is not UNSET and values[name] != wanted:
            raise InvalidInput(error_message=f"Provider {kind} does not support {name}={values[name]}")
        values[name] = wanted


def refuse_change(call: Call, router_id: str) -> None:
    """Raise InvalidInput if a router's flavour says whether it is redundant and distributed."""
    table = metadata.tables["router_flavor"]
    wanted = select(table.c.flavor_id).where(table.c.id == router_id)
    flavor_id = call.tx.execute(wanted).scalar()
    if flavor_id is not None and flavor.drivers_of(call, flavor_id):
        raise InvalidInput(
            error_message="Changing the 'ha' and 'distributed' attributes on a router associated with a "
            f"flavor is not supported: flavor {flavor_id} says what router {router_id} is"
        )
