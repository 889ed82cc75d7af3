"""Where a floating IP is served just now, and why there."""

import ipaddress
from typing import Literal

import msgspec
from sqlalchemy import select

from deuteron.placement import floating, moves
from deuteron.plan.floating import locate
from deuteron.resources import floatingip, port, port_forwarding, router, rows
from deuteron.resources.agent import is_alive
from deuteron.resources.call import Call
from deuteron.resources.distribution import floats_at_hosts, has_parts
from deuteron.resources.hosts import host, router_candidate
from deuteron.resources.resource import Item
from deuteron.resources.types import shown


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a floating IP is served."""

    id: str
    floating_ip_address: str
    fixed_ip_address: str | None
    port_id: str | None
    router_id: str | None
    router_name: str
    served: Literal["distributed", "central", "nowhere"]
    """By the router's part on the host of the instance, by its central part, or not at all."""
    host: str | None
    standby: list[str]
    """The other hosts that carry the central part, if that serves it."""
    namespace: str
    """On the host: that in which its address is translated."""
    reason: str
    forwarded: list[str]
    """Ports of it that lead to ports of fixed IPs."""
    allowed_on: list[str]
    """If the fixed IP's port is bound to no host: where ports are that may have the address, too."""


def of_floating_ip(call: Call, id_: str) -> Location:
    """Return where a floating IP is served. Raises FloatingIPNotFound."""
    row = rows.get(call, floatingip.resource, shown(id_))
    found = rows.find(call, router.resource, row["router_id"]) if row["router_id"] else None
    described = {
        "id": row["id"],
        "floating_ip_address": row["floating_ip_address"],
        "fixed_ip_address": row["fixed_ip_address"],
        "port_id": row["port_id"],
        "router_id": row["router_id"],
        "router_name": found["name"] if found else "",
        "forwarded": _forwarded(call, row["id"]),
        "allowed_on": _allowed_on(call, row),
    }
    if found is None:
        return Location(
            **described, served="nowhere", host=None, standby=[], namespace="", reason="it leads to no port"
        )
    known = floating.known(call.tx, floatingip.resource.table.c.id == row["id"])
    place = locate(known[0].facts) if known else None
    reason = place.reason if place else _why_forwarded_centrally(found)
    if place is not None and place.host is not None:
        reason += _silence(call, place.host)
        namespace = f"qrouter-{found['id']}"
        return Location(
            **described, served="distributed", host=place.host, standby=[], namespace=namespace, reason=reason
        )
    active = moves.active_host(call.tx, found["id"])
    candidates = select(router_candidate.c.host).where(router_candidate.c.router_id == found["id"])
    others = call.tx.execute(candidates.order_by(router_candidate.c.position)).scalars()
    reason += _silence(call, active) if active else "; no host carries its central part"
    return Location(
        **described,
        served="central" if active else "nowhere",
        host=active,
        standby=[name for name in others if name != active],
        namespace=f"{'snat' if has_parts(found['rung']) else 'qrouter'}-{found['id']}",
        reason=reason,
    )


def _why_forwarded_centrally(found: Item) -> str:
    if floats_at_hosts(found["rung"]):
        return "it has forwarded ports, which may lead to several hosts, so they are the central part's"
    return "its router is not distributed"


def _forwarded(call: Call, id_: str) -> list[str]:
    """Return the forwarded ports in words."""
    table = port_forwarding.resource.table
    return sorted(
        f"{one['protocol']} {one['external_port'] or one['external_port_range']}"
        f" to {one['internal_ip_address']}:{one['internal_port'] or one['internal_port_range']}"
        for one in rows.where(call, port_forwarding.resource, table.c.floatingip_id == id_)
    )


def _allowed_on(call: Call, row: Item) -> list[str]:
    """Return the hosts with ports that may have the fixed IP of another port, which is bound nowhere."""
    inner = rows.find(call, port.resource, row["port_id"]) if row["port_id"] else None
    if inner is None or inner[port.HOST]:
        return []
    c, address = port.resource.table.c, ipaddress.ip_address(row["fixed_ip_address"])
    bound = select(c.binding_host_id, c.allowed_address_pairs).where(
        c.network_id == inner["network_id"], c.binding_host_id != "", c.id != inner["id"]
    )
    found = set()
    for one in call.tx.execute(bound):
        pairs = (ipaddress.ip_network(pair["ip_address"]) for pair in one.allowed_address_pairs)
        if any(address in pair and pair.num_addresses == 1 for pair in pairs):
            found.add(one.binding_host_id)
    return sorted(found)


def _silence(call: Call, name: str) -> str:
    row = call.tx.execute(select(host).where(host.c.name == name)).first()
    if row is not None and is_alive(row, call.settings.agent_down_time):
        return ""
    return f", which is silent: nothing is known of {name} now"
