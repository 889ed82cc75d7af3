"""Routes added to a router, or taken from it, without naming those that it has besides.

PUT /routers/ID/add_extraroutes and remove_extraroutes. Two that add at once both find theirs in the end.
"""

from collections.abc import Mapping
from typing import Any

from deuteron.resources import operations, router, rows
from deuteron.resources.address_types import ROUTES
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest
from deuteron.resources.resource import Alias, Extension, Item
from deuteron.resources.types import shown


def add(call: Call, id_: str, body: Any) -> Item:
    """Add routes; one that is there already stays as it is."""
    given, row = _given(body), rows.get(call, router.resource, id_, lock=True)
    present = row["routes"]
    new = [one for one in given if one not in present]
    return _changed(call, row, [*present, *(one for place, one in enumerate(new) if one not in new[:place])])


def remove(call: Call, id_: str, body: Any) -> Item:
    """Take routes away; one that is not there is already gone."""
    given, row = _given(body), rows.get(call, router.resource, id_, lock=True)
    return _changed(call, row, [one for one in row["routes"] if one not in given])


def _changed(call: Call, row: Item, routes: list[dict[str, str]]) -> Item:
    if routes != row["routes"]:
        router.update(call, row, {"routes": routes})
    return {"router": operations.show(call, router.resource, row["id"])}


def _given(body: Any) -> list[dict[str, str]]:
    inner = body.get("router") if isinstance(body, Mapping) else None
    routes = inner.get("routes") if isinstance(inner, Mapping) else None
    if not isinstance(routes, list):
        raise HTTPBadRequest(msg=f"Expected a router with routes, not '{shown(body)}'")
    try:
        return [ROUTES.convert([one])[0] for one in routes]
    except ValueError as error:
        raise HTTPBadRequest(msg=f"Invalid input for routes. Reason: {error}.") from None


DECLARES = (
    Extension(
        resource="router",
        name="extra_routes",
        actions={"add_extraroutes": add, "remove_extraroutes": remove},
    ),
    Alias(
        alias="extraroute-atomic",
        name="Atomically add/remove extra routes",
        description="Routes added and taken away without naming the others",
    ),
)
