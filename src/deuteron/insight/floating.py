"""Where a floating IP is served just now, and why there."""

from typing import Literal

import msgspec
from sqlalchemy import select

from deuteron.placement import floating, moves
from deuteron.plan.floating import locate
from deuteron.resources import floatingip, router, rows
from deuteron.resources.agent import is_alive
from deuteron.resources.call import Call
from deuteron.resources.distribution import has_parts
from deuteron.resources.hosts import host, router_candidate
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
    }
    if found is None:
        return Location(
            **described, served="nowhere", host=None, standby=[], namespace="", reason="it leads to no port"
        )
    known = floating.known(call.tx, floatingip.resource.table.c.id == row["id"])
    place = locate(known[0].facts) if known else None
    reason = place.reason if place else "only ports of it are forwarded: that is the central part's"
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


def _silence(call: Call, name: str) -> str:
    row = call.tx.execute(select(host).where(host.c.name == name)).first()
    if row is not None and is_alive(row, call.settings.agent_down_time):
        return ""
    return f", which is silent: nothing is known of {name} now"
