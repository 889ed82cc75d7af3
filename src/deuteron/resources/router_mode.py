"""What a router is, redundant or not and distributed or not, and how it becomes something else while up.

Only the wish is written down here, and what must hold before: placement does the rest.
"""

import time
from typing import Any

from sqlalchemy import select

from deuteron.resources import attachments, conversion, hosts, owners, port, router_flavor, rows
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest
from deuteron.resources.hosts import dhcp_server, host
from deuteron.resources.l3_errors import NoHostForDistributedRouters, RouterCannotBeConverted
from deuteron.resources.resource import Item, Resource
from deuteron.store import Tx, metadata


def change(call: Call, router: Resource, row: Item, *, ha: bool, distributed: bool, up: bool) -> Item:
    """Say that a router is to be something else: placement carries it over, with no gap.

    Raises what `check` does, before anything has changed.
    """
    check(call, row, ha=ha, distributed=distributed, up=up)
    before = conversion.mode_of(ha=row["ha"], distributed=row["distributed"])
    conversion.begin(call.tx, row["id"], before, conversion.mode_of(ha=ha, distributed=distributed))
    return become(call, router, row, ha=ha, distributed=distributed)


def check(call: Call, row: Item, *, ha: bool, distributed: bool, up: bool) -> None:
    """Raise BadRequest where the settings want a router to be down (not `up`) meanwhile.

    And RouterCannotBeConverted where there are no hosts for what it is to become, InvalidInput where its
    flavour says what it is.
    """
    router_flavor.refuse_change(call, row["id"])
    if call.settings.strict_router_mode_change and up:
        what = "HA" if ha != row["ha"] else "distributed"
        raise BadRequest(
            resource="router",
            msg=f"Cannot change {what} attribute of active routers. Please set router admin_state_up to "
            "False prior to upgrade",
        )
    if distributed != row["distributed"] and (reason := objection(call, row, distributed=distributed)):
        mode = conversion.mode_of(ha=ha, distributed=distributed)
        raise RouterCannotBeConverted(id=row["id"], mode=mode, reason=reason)


def become(call: Call, router: Resource, row: Item, *, ha: bool, distributed: bool) -> Item:
    """Write down what a router is to be, and call its interfaces as such a router's are called."""
    if row["ha"] and not ha:
        # It has one place from now on: the one where it is active.
        hosts.forget_wishes(call.tx, "l3", row["id"], wanted=True)
    owner = owners.of_interface(ha=ha, distributed=distributed)
    for one in port.of_device(call, row["id"], tuple(owners.ROUTER_INTERFACES)):
        if one["device_owner"] != owner:
            stored = {name: one[name] for name in port.resource.stored}
            rows.change(call, port.resource, stored, {"device_owner": owner})
    return rows.change(call, router, row, {"ha": ha, "distributed": distributed})


def objection(call: Call, row: Item, *, distributed: bool) -> str | None:
    """Return why a router cannot become distributed, or central; None if it can."""
    needed = attachments.of_routers(call.tx, [row["id"]]).get(row["id"], frozenset())
    several = attachments.several(call.tx)
    there = [one for one in call.tx.execute(select(host)) if _alive(call, one) and "l3" in one.roles]
    modes = hosts.SNAT_MODES if distributed else hosts.CENTRAL_MODES
    if not any(
        one.agent_mode in modes and needed <= attachments.of_host(one.physical_networks, several)
        for one in there
    ):
        kind = " or ".join(sorted(modes))
        attached = f" that is attached to {', '.join(sorted(needed))}" if needed else ""
        return f"its central part needs a living host of agent_mode {kind}{attached}, and there is none"
    if not distributed:
        return None
    if on := sorted(name for name in needed if attachments.is_segment(name)):
        return (
            f"its gateway is on {', '.join(on)} of a network of several, and a distributed router's cannot be"
        )
    capable = {one.name for one in there if one.agent_mode in hosts.DVR_MODES}
    unable = sorted(serving(call.tx, row["id"]) - capable)
    if unable:
        which = f"{', '.join(unable[:5])}{' and others' if len(unable) > 5 else ''}"
        return f"ports of its networks are on {which}, where role l3 and an agent_mode like dvr are missing"
    if (count := len(port.of_device(call, row["id"], (owners.ROUTER_GATEWAY,)))) > 1:
        return f"it has {count} gateways, and a distributed router has one at most"
    if both := _forwarded_and_floating(call.tx, row["id"]):
        what = ", ".join(both)
        return f"ports with floating IP {what} have forwarded ports, too, whose answers would go another way"
    return None


def _forwarded_and_floating(tx: Tx, router_id: str) -> list[str]:
    """Return the floating IPs of ports to which ports of another floating IP lead, too."""
    c = metadata.tables["floatingip"].c
    forwarded = select(metadata.tables["floatingip_port_forwarding"].c.internal_port_id)
    mine = select(c.floating_ip_address).where(c.router_id == router_id, c.port_id.in_(forwarded))
    return sorted(tx.execute(mine).scalars())


def refuse_without_hosts(call: Call, *, central: bool) -> None:
    """Raise NoHostForDistributedRouters if no host could ever carry one, or its `central` part."""
    modes = hosts.SNAT_MODES if central else hosts.DVR_MODES
    for one in call.tx.execute(select(host.c.roles, host.c.agent_mode)):
        if "l3" in one.roles and one.agent_mode in modes:
            return
    raise NoHostForDistributedRouters(modes=" or ".join(sorted(modes)))


def serving(tx: Tx, router_id: str) -> set[str]:
    """Return the hosts that have ports of instances or DHCP servers on the networks of a router."""
    c, servers = port.resource.table.c, dhcp_server.c
    mine = (c.device_id == router_id, c.device_owner.in_(owners.ROUTER_INTERFACES))
    networks = set(tx.execute(select(c.network_id).where(*mine)).scalars())
    bound = select(c.binding_host_id).where(c.network_id.in_(networks), c.binding_host_id != "")
    found = set(tx.execute(bound.where(c.device_owner.not_like("network:%")).distinct()).scalars())
    found |= set(tx.execute(select(servers.host).where(servers.network_id.in_(networks))).scalars())
    return found


def _alive(call: Call, row: Any) -> bool:
    return bool(time.time() - row.last_seen <= call.settings.agent_down_time)
