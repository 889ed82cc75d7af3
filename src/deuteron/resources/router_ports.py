"""What a router is attached to, and what needs it there: questions that its modules share."""

from collections.abc import Sequence

from sqlalchemy import select

from deuteron.resources import owners, port, rows, subnet
from deuteron.resources.addresses import parse_network
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.resource import Item
from deuteron.store import metadata


def refuse_overlap(call: Call, router_id: str, new: Sequence[Item], beside: str = "") -> None:
    """Raise BadRequest if the router is attached to one of these subnets, or to one that overlaps.

    Its gateways on the network `beside` do not count: there may be several on one.
    """
    others = [
        one
        for one in port.of_device(call, router_id, tuple(owners.ROUTER_PORTS))
        if not (one["device_owner"] == owners.ROUTER_GATEWAY and one["network_id"] == beside)
    ]
    attached = {fixed["subnet_id"] for one in others for fixed in one["fixed_ips"]}
    external = [one["network_id"] for one in others if one["device_owner"] == owners.ROUTER_GATEWAY]
    for one in new:
        if one["id"] in attached:
            raise BadRequest(resource="router", msg=f"Router already has a port on subnet {one['id']}")
    table = subnet.resource.table
    near = rows.where(
        call, subnet.resource, table.c.id.in_(sorted(attached)) | table.c.network_id.in_(external)
    )
    for one in new:
        for other in near:
            if parse_network(one["cidr"]).overlaps(parse_network(other["cidr"])):
                raise BadRequest(
                    resource="router",
                    msg=f"Cidr {one['cidr']} of subnet {one['id']} overlaps with cidr {other['cidr']} "
                    f"of subnet {other['id']}",
                )


def proxied_on(call: Call, router_id: str, subnet_id: str) -> bool:
    """Whether a router answers on its external network for addresses of a subnet."""
    proxy = metadata.tables["ndp_proxy"]
    used = (
        select(proxy.c.id)
        .join(fixed_ip, fixed_ip.c.port_id == proxy.c.port_id)
        .where(
            proxy.c.router_id == router_id,
            fixed_ip.c.subnet_id == subnet_id,
            fixed_ip.c.ip_address == proxy.c.ip_address,
        )
        .limit(1)
    )
    return call.tx.execute(used).first() is not None


def has_floating_ips(call: Call, router_id: str, network_id: str) -> bool:
    """Whether floating IPs of an external network go through a router."""
    floating = metadata.tables["floatingip"].c  # its module imports the router's
    used = select(floating.id).where(
        floating.router_id == router_id, floating.floating_network_id == network_id
    )
    return call.tx.execute(used.limit(1)).first() is not None


def floating_ips_into(call: Call, router_id: str, subnet_id: str) -> bool:
    """Whether floating IPs, or ports of them, go through a router to fixed IPs of a subnet."""
    floating, forwarding = metadata.tables["floatingip"], metadata.tables["floatingip_port_forwarding"]
    used = (
        select(floating.c.id)
        .join(fixed_ip, fixed_ip.c.port_id == floating.c.port_id)
        .where(
            floating.c.router_id == router_id,
            fixed_ip.c.subnet_id == subnet_id,
            fixed_ip.c.ip_address == floating.c.fixed_ip_address,
        )
        .limit(1)
    )
    forwarded = (
        select(forwarding.c.id)
        .join(floating, floating.c.id == forwarding.c.floatingip_id)
        .join(fixed_ip, fixed_ip.c.port_id == forwarding.c.internal_port_id)
        .where(
            floating.c.router_id == router_id,
            fixed_ip.c.subnet_id == subnet_id,
            fixed_ip.c.ip_address == forwarding.c.internal_ip_address,
        )
        .limit(1)
    )
    return any(call.tx.execute(one).first() is not None for one in (used, forwarded))
