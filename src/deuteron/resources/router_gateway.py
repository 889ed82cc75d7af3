"""The gateway of a router: a port on an external network."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from deuteron.resources import (
    access,
    network,
    owners,
    port,
    qos_bindings,
    router_ports,
    rows,
    subnet,
    subnet_segment,
)
from deuteron.resources.address_types import FIXED_IPS
from deuteron.resources.attribute import UNSET, Type
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, NotBuiltYet
from deuteron.resources.l2_errors import ExternalNetworkInUse
from deuteron.resources.l3_errors import RouterExternalGatewayInUseByFloatingIp
from deuteron.resources.resource import Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, UUID, is_uuid, known_keys, or_null, shown
from deuteron.store import metadata


def _gateway_info(value: Any) -> Item | None:
    if value is None or value == {}:
        return None
    given = known_keys(value, ("network_id",), ("enable_snat", "external_fixed_ips", "qos_policy_id"))
    if not is_uuid(given["network_id"]):
        raise ValueError(f"'{shown(given['network_id'])}' is not a valid UUID")
    info: Item = {"network_id": given["network_id"]}
    if qos_bindings.POLICY in given:
        info[qos_bindings.POLICY] = or_null(UUID).convert(given[qos_bindings.POLICY])
    if given.get("enable_snat") is not None:
        info["enable_snat"] = BOOLEAN.convert(given["enable_snat"])
    if given.get("external_fixed_ips") is not None:
        info["external_fixed_ips"] = FIXED_IPS.convert(given["external_fixed_ips"])
    return info


GATEWAY_INFO = Type(_gateway_info, None)


def change(call: Call, router: Resource, row: Item, info: Item | None) -> Item:
    """Give a router this gateway, none, or another, as its first; return the router's new row."""
    return hold_to(call, router, _change(call, router, row, info), info)


def take_away(call: Call, router: Resource, row: Item) -> Item:
    """Take the gateway of a router away that is deleted, whatever limits it; return the router's row."""
    return _change(call, router, row, None)


def hold_to(call: Call, router: Resource, row: Item, info: Item | None) -> Item:
    """Hold a router's gateways to the policy of QoS that is asked for; return the router's row."""
    return qos_bindings.of_gateway(call, router, row, info)


def _change(call: Call, router: Resource, row: Item, info: Item | None) -> Item:
    present_port = port.get(call, row["gw_port_id"], lock=True) if row["gw_port_id"] else None
    if info is None:
        default = call.settings.enable_snat_by_default
        return _clear(call, router, row, present_port, default) if present_port else row
    snat = bool(info["enable_snat"] if "enable_snat" in info else row["enable_snat"])
    if present_port and present_port["network_id"] == info["network_id"]:
        adjust(call, present_port, info)
        return rows.change(call, router, row, {"enable_snat": snat})
    _external_subnets(call, info["network_id"], info.get("external_fixed_ips") or [])
    others: list[Item] = []
    if present_port:
        row, others = _take(call, router, row, present_port, snat)
    gateway = make(call, row["id"], info)
    if present_port:
        refuse_lost(call, row["id"], {present_port["network_id"]} - {one["network_id"] for one in others})
    return rows.change(call, router, row, {"gw_port_id": gateway["id"], "enable_snat": snat})


def _clear(call: Call, router: Resource, row: Item, gateway: Item, snat: bool) -> Item:
    """Take a router's first gateway away; the next one is the first then."""
    row, others = _take(call, router, row, gateway, snat)
    refuse_lost(call, row["id"], {gateway["network_id"]} - {one["network_id"] for one in others})
    return rows.change(call, router, row, {"gw_port_id": others[0]["id"]}) if others else row


def _take(call: Call, router: Resource, row: Item, gateway: Item, snat: bool) -> tuple[Item, list[Item]]:
    row = rows.change(call, router, row, {"gw_port_id": None, "enable_snat": snat})
    port.remove(call, gateway)
    return row, of(call, row["id"])


def of(call: Call, router_id: str) -> list[Item]:
    """Return the ports that are a router's gateways, oldest first."""
    return port.of_device(call, router_id, (owners.ROUTER_GATEWAY,))


def ports_of(call: Call, row: Item) -> list[Item]:
    """Return the ports that are a router's gateways, the first one first."""
    return sorted(of(call, row["id"]), key=lambda one: one["id"] != row["gw_port_id"])


def make(call: Call, router_id: str, info: Item) -> Item:
    """Give a router one more gateway; return its port."""
    wanted = info.get("external_fixed_ips") or []
    subnets = _external_subnets(call, info["network_id"], wanted)
    router_ports.refuse_overlap(call, router_id, subnets, beside=info["network_id"])
    if subnet_segment.is_routed(subnets):
        _check_segment(call, router_id, info["network_id"], wanted)
    values = {
        "project_id": "",
        "network_id": info["network_id"],
        "fixed_ips": wanted or UNSET,
        "device_id": router_id,
        "device_owner": owners.ROUTER_GATEWAY,
    }
    return port.add(call, values)


def adjust(call: Call, gateway: Item, info: Item) -> None:
    """Give a gateway the addresses that are asked for, if any are."""
    wanted = info.get("external_fixed_ips") or []
    _external_subnets(call, info["network_id"], wanted)
    if wanted and not _same(gateway["fixed_ips"], wanted):
        before = subnet_segment.segments_of(call, gateway["id"])
        port.update(call, gateway, {"fixed_ips": wanted})
        if subnet_segment.segments_of(call, gateway["id"]) != before:
            refuse_lost(call, gateway["device_id"], {gateway["network_id"]})


def _check_segment(call: Call, router_id: str, network_id: str, wanted: Sequence[Any]) -> None:
    """Raise unless a gateway's address says on which segment of its network it is, if there are several."""
    home = rows.get(call, network.resource, network_id)
    if home["provider:network_type"]:
        return
    table = metadata.tables["router"]
    mode = call.tx.execute(select(table.c.distributed, table.c.rung).where(table.c.id == router_id)).one()
    if mode.distributed or mode.rung:
        raise NotBuiltYet(what=f"a distributed router on network {network_id}, which has several segments")
    if not wanted:
        msg = f"Network {network_id} is routed: external_fixed_ips must name a subnet or an address of it"
        raise BadRequest(resource="router", msg=msg)


def refuse_lost(call: Call, router_id: str, networks: Collection[str]) -> None:
    """Raise RouterExternalGatewayInUseByFloatingIp if floating IPs are reached by these networks."""
    for network_id in sorted(networks):
        if router_ports.has_floating_ips(call, router_id, network_id):
            raise RouterExternalGatewayInUseByFloatingIp(router_id=router_id, net_id=network_id)


def _external_subnets(call: Call, network_id: str, wanted: Sequence[Mapping[str, str]]) -> list[Item]:
    home = access.get(call, network.resource, network_id)
    if not home[network.EXTERNAL]:
        raise BadRequest(resource="router", msg=f"Network {network_id} is not an external network")
    subnets = subnet.of_network(call, network_id)
    gateways = {one["gateway_ip"] for one in subnets}
    for fixed in wanted:
        if fixed.get("ip_address") in gateways - {None}:
            raise BadRequest(
                resource="router", msg=f"External IP {fixed['ip_address']} is the same as the gateway IP"
            )
    return subnets


def _same(present_ips: Sequence[Mapping[str, str]], wanted: Sequence[Mapping[str, str]]) -> bool:
    """Whether all that is wanted is there, and nothing else."""
    subnets = {one["subnet_id"] for one in present_ips}
    addresses_ = {one["ip_address"] for one in present_ips}
    return (
        len(present_ips) == len(wanted)
        and all(one.get("subnet_id", next(iter(subnets))) in subnets for one in wanted)
        and all(one["ip_address"] in addresses_ for one in wanted if "ip_address" in one)
    )


def present(call: Call, routers: list[Item]) -> None:
    """Fill in `external_gateway_info` and `external_gateways`."""
    gateways: dict[str, list[Item]] = {}
    table = port.resource.table
    for part in rows.chunks(one["id"] for one in routers if one["gw_port_id"]):
        mine = (table.c.device_id.in_(part), table.c.device_owner == owners.ROUTER_GATEWAY)
        found = sorted(rows.where(call, port.resource, *mine), key=lambda one: (one["created_at"], one["id"]))
        port.present(call, found)
        for one in found:
            gateways.setdefault(one["device_id"], []).append(one)
    for router in routers:
        mine_ = sorted(gateways.get(router["id"], ()), key=lambda one: one["id"] != router["gw_port_id"])
        router["external_gateways"] = [_shown(one) for one in mine_]
        router["external_gateway_info"] = (
            {**_shown(mine_[0]), "enable_snat": router["enable_snat"]} if mine_ else None
        )


def _shown(gateway: Item) -> Item:
    return {"network_id": gateway["network_id"], "external_fixed_ips": gateway["fixed_ips"]}


def _updating_network(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    if not row[network.EXTERNAL] or changes.get(network.EXTERNAL, True):
        return
    table = port.resource.table
    used = select(table.c.id).where(
        table.c.network_id == row["id"],
        table.c.device_owner.in_((owners.ROUTER_GATEWAY, owners.FLOATING_IP)),
    )
    if call.tx.execute(used.limit(1)).first() is not None:
        raise ExternalNetworkInUse(net_id=row["id"])


DECLARES = (Extension(resource="network", name="gateways", updating=_updating_network),)
