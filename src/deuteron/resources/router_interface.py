"""Interfaces of routers: ports on the networks between which a router routes.

PUT /routers/ID/add_router_interface and remove_router_interface, each by subnet or by port.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from deuteron.resources import access, owners, port, router, router_ports, rows, snat_ports, subnet
from deuteron.resources.addresses import parse_address, parse_network
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, HTTPBadRequest
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.l2_errors import GatewayIpInUse, PortInUse, ServicePortInUse, SubnetMismatchForPort
from deuteron.resources.l3_errors import (
    RouterInterfaceInUseByFloatingIP,
    RouterInterfaceInUseByNDPProxy,
    RouterInterfaceInUseByRoute,
    RouterInterfaceNotFound,
    RouterInterfaceNotFoundForSubnet,
)
from deuteron.resources.resource import Extension, Item
from deuteron.resources.types import is_uuid, shown


def add(call: Call, router_id: str, body: Any) -> Item:
    """Attach a router to a subnet (a new port with the gateway's address) or to a port."""
    port_id, subnet_id = _named(body)
    if port_id and subnet_id:
        raise BadRequest(resource="router", msg="Cannot specify both subnet-id and port-id")
    row = rows.get(call, router.resource, router_id, lock=True)
    owner = owners.of_interface(ha=row["ha"], distributed=row["distributed"])
    if port_id:
        interface, subnets = _add_port(call, row, port_id, owner)
    else:
        interface, subnets = _add_subnet(call, row, subnet_id, owner)
    snat_ports.settle(call, row)
    rows.change(call, router.resource, row, {})
    return _info(router_id, interface, [one["id"] for one in subnets], last=True)


def remove(call: Call, router_id: str, body: Any) -> Item:
    """Detach a router from a subnet or a port; the port goes unless it has other subnets' addresses."""
    port_id, subnet_id = _named(body)
    row = rows.get(call, router.resource, router_id, lock=True)
    interfaces = port.of_device(call, router_id, tuple(owners.ROUTER_INTERFACES))
    if port_id:
        interface, subnet_ids = _remove_port(call, row, interfaces, port_id, subnet_id)
    else:
        interface, subnet_ids = _remove_subnet(call, row, interfaces, subnet_id)
    snat_ports.settle(call, row)
    rows.change(call, router.resource, row, {})
    return _info(router_id, interface, subnet_ids, last=False)


def _named(body: Any) -> tuple[str, str]:
    if not isinstance(body, dict) or not ("port_id" in body or "subnet_id" in body):
        raise BadRequest(resource="router", msg="Either subnet_id or port_id must be specified")
    unknown = [shown(key) for key in body if key not in ("port_id", "subnet_id")]
    if unknown:
        raise HTTPBadRequest(msg=f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    for key in ("port_id", "subnet_id"):
        if key in body and not is_uuid(body[key]):
            raise BadRequest(resource="router", msg=f"'{shown(body[key])}' is not a valid UUID")
    return body.get("port_id", ""), body.get("subnet_id", "")


def _add_subnet(call: Call, row: Item, subnet_id: str, owner: str) -> tuple[Item, list[Item]]:
    home = access.get(call, subnet.resource, subnet_id)
    if not home["gateway_ip"]:
        raise BadRequest(resource="router", msg="Subnet for router interface must have a gateway IP")
    _check_ra(home)
    router_ports.refuse_overlap(call, row["id"], [home])
    fixed = {"subnet_id": subnet_id, "ip_address": home["gateway_ip"]}
    if home["ip_version"] == 6:
        # All IPv6 prefixes of a network are on one port.
        for one in port.of_device(call, row["id"], tuple(owners.ROUTER_INTERFACES)):
            if one["network_id"] == home["network_id"] and _has_ipv6(one):
                return port.update(call, one, {"fixed_ips": [*one["fixed_ips"], fixed]}), [home]
    values = {
        "project_id": row["project_id"],
        "network_id": home["network_id"],
        "fixed_ips": [fixed],
        "device_id": row["id"],
        "device_owner": owner,
    }
    return port.add(call, values), [home]


def _add_port(call: Call, row: Item, port_id: str, owner: str) -> tuple[Item, list[Item]]:
    access.get(call, port.resource, port_id)
    interface = port.get(call, port_id, lock=True)
    if interface["device_id"]:
        raise PortInUse(net_id=interface["network_id"], port_id=port_id, device_id=interface["device_id"])
    if not interface["fixed_ips"]:
        raise BadRequest(resource="router", msg="Router port must have at least one fixed IP")
    subnets = [rows.get(call, subnet.resource, one["subnet_id"]) for one in interface["fixed_ips"]]
    for one in subnets:
        _check_ra(one)
    if len([one for one in subnets if one["ip_version"] == 4]) > 1:
        raise BadRequest(resource="router", msg="Cannot have multiple IPv4 subnets on router port")
    if _has_ipv6(interface):
        _check_one_ipv6_port(call, row, interface)
    router_ports.refuse_overlap(call, row["id"], subnets)
    changes = {"device_id": row["id"], "device_owner": owner}
    return {**interface, **rows.change(call, port.resource, _stored(interface), changes)}, subnets


def _stored(item: Item) -> Item:
    return {name: item[name] for name in port.resource.stored}


def _check_ra(home: Item) -> None:
    if home["ipv6_address_mode"] and not home["ipv6_ra_mode"]:
        mode = home["ipv6_address_mode"]
        raise BadRequest(
            resource="router",
            msg=f"IPv6 subnet {home['id']} configured to receive RAs from an external router cannot be "
            f"added to Neutron Router. Its ipv6_address_mode is {mode}",
        )


def _check_one_ipv6_port(call: Call, row: Item, interface: Item) -> None:
    for one in port.of_device(call, row["id"], tuple(owners.ROUTER_INTERFACES)):
        if one["network_id"] == interface["network_id"] and _has_ipv6(one):
            raise BadRequest(
                resource="router",
                msg=f"Router already contains IPv6 port {one['id']} belonging to network id "
                f"{one['network_id']}. Only one IPv6 port from the same network subnet can be connected "
                "to a router.",
            )


def _has_ipv6(one: Item) -> bool:
    return any(":" in fixed["ip_address"] for fixed in one["fixed_ips"])


def _remove_port(
    call: Call, row: Item, interfaces: Sequence[Item], port_id: str, subnet_id: str
) -> tuple[Item, list[str]]:
    interface = next((one for one in interfaces if one["id"] == port_id), None)
    if interface is None:
        raise RouterInterfaceNotFound(router_id=row["id"], port_id=port_id)
    subnet_ids = [fixed["subnet_id"] for fixed in interface["fixed_ips"]]
    if subnet_id and subnet_id not in subnet_ids:
        raise SubnetMismatchForPort(port_id=port_id, subnet_id=subnet_id)
    for one in subnet_ids:
        _refuse_if_needed(call, row, one)
    port.remove(call, interface)
    return interface, subnet_ids


def _remove_subnet(
    call: Call, row: Item, interfaces: Sequence[Item], subnet_id: str
) -> tuple[Item, list[str]]:
    rows.get(call, subnet.resource, subnet_id)
    for interface in interfaces:
        rest = [fixed for fixed in interface["fixed_ips"] if fixed["subnet_id"] != subnet_id]
        if len(rest) == len(interface["fixed_ips"]):
            continue
        _refuse_if_needed(call, row, subnet_id)
        if rest:
            port.update(call, interface, {"fixed_ips": rest})
        else:
            port.remove(call, interface)
        return interface, [subnet_id]
    raise RouterInterfaceNotFoundForSubnet(router_id=row["id"], subnet_id=subnet_id)


def _refuse_if_needed(call: Call, row: Item, subnet_id: str) -> None:
    """Raise if a floating IP, an NDP proxy or a route needs the router on this subnet."""
    if router_ports.floating_ips_into(call, row["id"], subnet_id):
        raise RouterInterfaceInUseByFloatingIP(router_id=row["id"], subnet_id=subnet_id)
    if router_ports.proxied_on(call, row["id"], subnet_id):
        raise RouterInterfaceInUseByNDPProxy(router_id=row["id"], subnet_id=subnet_id)
    cidr = parse_network(rows.get(call, subnet.resource, subnet_id)["cidr"])
    for route in row["routes"]:
        hop = parse_address(route["nexthop"])
        if hop.version == cidr.version and hop in cidr:
            raise RouterInterfaceInUseByRoute(router_id=row["id"], subnet_id=subnet_id)


def _info(router_id: str, interface: Item, subnet_ids: list[str], last: bool) -> Item:
    return {
        "id": router_id,
        "tenant_id": interface["project_id"],
        "project_id": interface["project_id"],
        "port_id": interface["id"],
        "network_id": interface["network_id"],
        "subnet_id": subnet_ids[-1 if last else 0],
        "subnet_ids": subnet_ids,
    }


def _deleting_port(call: Call, row: Item) -> None:
    """What routers and floating IPs own goes by their own calls only, as long as these exist."""
    owner, device = row["device_owner"], row["device_id"]
    if owner in owners.ROUTER_PORTS | owners.ROUTER_INSIDE and rows.find(call, router.resource, device):
        raise ServicePortInUse(port_id=row["id"], reason=f"has device owner {owner}")


def _updated_port(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """On the subnets that an interface has now, distributed parts reach the central one, too."""
    if "fixed_ips" in changes and row["device_owner"] in owners.ROUTER_INTERFACES:
        found = rows.find(call, router.resource, row["device_id"], lock=True)
        if found is not None:
            snat_ports.settle(call, found)


def _updating_subnet(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    """A gateway address that a router has stays."""
    if "gateway_ip" not in changes or changes["gateway_ip"] == row["gateway_ip"]:
        return
    table = port.resource.table
    holder = call.tx.execute(
        select(table.c.id)
        .join(fixed_ip, fixed_ip.c.port_id == table.c.id)
        .where(
            fixed_ip.c.subnet_id == row["id"],
            fixed_ip.c.ip_address == row["gateway_ip"],
            table.c.device_owner.in_(owners.ROUTER_INTERFACES),
        )
    ).first()
    if holder is not None:
        raise GatewayIpInUse(ip_address=row["gateway_ip"], port_id=holder.id)


DECLARES = (
    Extension(
        resource="router",
        name="interfaces",
        actions={"add_router_interface": add, "remove_router_interface": remove},
    ),
    Extension(resource="port", name="router_ports", updated=_updated_port, deleting=_deleting_port),
    Extension(resource="subnet", name="router_gateways", updating=_updating_subnet),
)
