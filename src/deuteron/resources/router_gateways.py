"""Several gateways of one router, each a port on an external network.

PUT /routers/ID/add_external_gateways, update_external_gateways and remove_external_gateways. The first of
them is also `external_gateway_info`, by which alone clients see it that know of one gateway only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deuteron.resources import access, operations, port, router, router_gateway, rows, snat_ports
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest
from deuteron.resources.l3_errors import RouterHasOneGateway, UnableToMatchGateways
from deuteron.resources.resource import Alias, Extension, Item
from deuteron.resources.router_gateway import GATEWAY_INFO
from deuteron.resources.types import BOOLEAN, empty_if_null, shown

INFO, LIST = "external_gateway_info", "external_gateways"

Wanted = tuple[Item | None, Item | None]
"""The port of a gateway that is there, and what is asked of it; None: it is to be made, it stays as it is."""


def add(call: Call, id_: str, body: Any) -> Item:
    """Give a router these gateways besides those that it has."""
    row, infos = _begin(call, id_, body, "add_external_gateways")
    if infos:
        present = router_gateway.ports_of(call, row)
        _become(call, row, [*((one, None) for one in present), *((None, info) for info in infos)])
    return {"router": operations.show(call, router.resource, id_)}


def update(call: Call, id_: str, body: Any) -> Item:
    """Give a router these gateways and no others; what it has on these networks stays as far as it fits."""
    row, infos = _begin(call, id_, body, "update_external_gateways")
    if infos is not None:
        found = matched(router_gateway.ports_of(call, row), infos)
        _become(call, row, list(zip(found, infos, strict=True)))
    return {"router": operations.show(call, router.resource, id_)}


def remove(call: Call, id_: str, body: Any) -> Item:
    """Take gateways from a router, named by network and, where there are several on it, by an address."""
    row, infos = _begin(call, id_, body, "remove_external_gateways")
    if infos:
        present = router_gateway.ports_of(call, row)
        gone = {_one(row, present, info)["id"] for info in infos}
        _become(call, row, [(one, None) for one in present if one["id"] not in gone])
    return {"router": operations.show(call, router.resource, id_)}


def _begin(call: Call, id_: str, body: Any, rule: str) -> tuple[Item, list[Item] | None]:
    """Return the router, locked, and the gateways that a request names; None where it names no list."""
    inner = body.get("router") if isinstance(body, Mapping) else None
    if not isinstance(inner, Mapping):
        raise HTTPBadRequest(msg=f"Expected a router with {LIST}, not '{shown(body)}'")
    infos = _given(inner.get(LIST) or []) if LIST in inner else None
    row = operations.get(call, router.resource, id_, lock=True)
    access.check_action(call, router.resource, rule, row, {LIST: infos or []})
    return row, infos


def _given(value: Any) -> list[Item]:
    if not isinstance(value, list):
        raise HTTPBadRequest(msg=f"Invalid input for {LIST}. Reason: '{shown(value)}' is not a list.")
    infos = []
    for one in value:
        try:
            info = GATEWAY_INFO.convert(one)
        except ValueError as error:
            raise HTTPBadRequest(msg=f"Invalid input for {LIST}. Reason: {error}.") from None
        if info is None:
            raise HTTPBadRequest(msg=f"Invalid input for {LIST}. Reason: a gateway has a network_id.")
        infos.append(info)
    return infos


def matched(present: Sequence[Item], infos: Sequence[Item]) -> list[Item | None]:
    """Return which gateway each of these is: one with an address of it, or else any left on its network."""
    found: dict[int, Item] = {}
    for by_address in (True, False):
        for place, info in enumerate(infos):
            left = [one for one in present if all(one is not other for other in found.values())]
            fits = (one for one in left if one["network_id"] == info["network_id"])
            if place not in found and (match := next((p for p in fits if _fits(p, info, by_address)), None)):
                found[place] = match
    return [found.get(place) for place in range(len(infos))]


def _fits(gateway: Item, info: Item, by_address: bool) -> bool:
    wanted = {one["ip_address"] for one in info.get("external_fixed_ips", ()) if "ip_address" in one}
    if by_address:
        return bool(wanted & {one["ip_address"] for one in gateway["fixed_ips"]})
    return not wanted


def _one(row: Item, present: Sequence[Item], info: Item) -> Item:
    """Return the gateway that is meant. Raises UnableToMatchGateways."""
    there = [one for one in present if one["network_id"] == info["network_id"]]
    if any("ip_address" in one for one in info.get("external_fixed_ips", ())):
        there = [one for one in there if _fits(one, info, by_address=True)]
    if len(there) != 1:
        reason = "several of its gateways are" if there else "none of its gateways is"
        raise UnableToMatchGateways(router_id=row["id"], reason=f"{reason} what '{shown(info)}' says")
    return there[0]


def _become(call: Call, row: Item, wanted: Sequence[Wanted]) -> None:
    """Give a router these gateways, the first of them first."""
    if len(wanted) > 1 and row["distributed"]:
        raise RouterHasOneGateway(router_id=row["id"])
    present = router_gateway.ports_of(call, row)
    kept = {one["id"] for one, _ in wanted if one}
    _tell(call, row, wanted)
    if row["gw_port_id"] not in kept:
        row = {**row, **rows.change(call, router.resource, _stored(row), {"gw_port_id": None})}
    for one in present:
        if one["id"] not in kept:
            port.remove(call, one)
    ids = [_settled(call, row, one, info) for one, info in wanted]
    networks = {one["network_id"] for one in router_gateway.of(call, row["id"])}
    router_gateway.refuse_lost(call, row["id"], {one["network_id"] for one in present} - networks)
    _finish(call, row, ids, [info for _, info in wanted if info])


def _tell(call: Call, row: Item, wanted: Sequence[Wanted]) -> None:
    """Have other modules object where the first gateway is another one from now on."""
    first, info = wanted[0] if wanted else (None, None)
    if first and first["id"] == row["gw_port_id"] and info is None:
        return
    if first and info is None:
        info = {"network_id": first["network_id"], "external_fixed_ips": first["fixed_ips"]}
    for extension in router.resource.extensions:
        if extension.updating:
            extension.updating(call, row, {INFO: info})


def _settled(call: Call, row: Item, present: Item | None, info: Item | None) -> str:
    """Have a gateway as it is asked for; return its port."""
    if info is None:
        assert present is not None
        return str(present["id"])
    if present is None:
        return str(router_gateway.make(call, row["id"], info)["id"])
    router_gateway.adjust(call, present, info)
    return str(present["id"])


def _finish(call: Call, row: Item, ids: Sequence[str], infos: Sequence[Item]) -> None:
    snat = [info["enable_snat"] for info in infos if "enable_snat" in info]
    if not ids:
        snat = [call.settings.enable_snat_by_default]
    changes: Item = {"gw_port_id": ids[0] if ids else None}
    changes |= {"enable_snat": snat[0]} if snat else {}
    policies = [info for info in infos if "qos_policy_id" in info]
    row = {**row, **rows.change(call, router.resource, _stored(row), changes)}
    if policies or not ids:
        router_gateway.hold_to(call, router.resource, row, policies[0] if policies else None)
    snat_ports.settle(call, row)


def _stored(row: Item) -> Item:
    return {name: row[name] for name in router.resource.stored}


def _deleting_router(call: Call, row: Item) -> None:
    """All gateways but the first go here, and the first one with the router."""
    for one in router_gateway.ports_of(call, row)[1:]:
        port.remove(call, one)


def _default_route(names: Iterable[str]) -> Mapping[str, Attr]:
    type_ = empty_if_null(BOOLEAN, False)
    return {name: Attr(type=type_, default=False, post=True, put=True) for name in names}


DECLARES = (
    Extension(
        resource="router",
        name="default_routes",
        attributes=_default_route(("enable_default_route_ecmp", "enable_default_route_bfd")),
        deleting=_deleting_router,
        actions={
            "add_external_gateways": add,
            "update_external_gateways": update,
            "remove_external_gateways": remove,
        },
    ),
    Alias(
        alias="external-gateway-multihoming",
        name="Neutron L3 External Gateway Multihoming",
        description="Several external gateways of a router",
    ),
    Alias(
        alias="enable-default-route-ecmp",
        name="Enable Default Route ECMP",
        description="Whether connections are spread over the gateways of a router",
    ),
    Alias(
        alias="enable-default-route-bfd",
        name="Enable Default Route BFD",
        description="Whether next hops that do not answer are left out",
    ),
)
