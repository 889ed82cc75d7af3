"""On which hosts a distributed router has parts.

It has one on each host that carries such parts and holds a port of its networks that is not its own; and on
those from where another distributed router leads to it, by an extra route whose next hop it is: the address
of a next hop that is distributed is answered for on the host itself, or nowhere.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deuteron.plan.rows import Port
    from deuteron.plan.state import State


def hosts(state: "State", router: str) -> set[str]:
    """Return the hosts that are to carry a distributed part of a router."""
    if not _has_parts(state, router):
        return set()
    leading, left = {router}, [router]
    while left:
        for before in _leading_to(state, left.pop()):
            if before not in leading:
                leading.add(before)
                left.append(before)
    return {host for one in leading for host in _served(state, one)}


def beyond(state: "State", routers: Iterable[str]) -> set[str]:
    """Return distributed routers, and all those to which they lead."""
    found: set[str] = set()
    left = list(routers)
    while left:
        router = left.pop()
        if router not in found:
            found.add(router)
            left += _next(state, router)
    return found


def networks(state: "State", router: str) -> set[str]:
    """Return the networks between which a router routes."""
    return {port.network for port in _interfaces(state, router)}


def routers_on(state: "State", network: str) -> set[str]:
    """Return the distributed routers that route a network."""
    routers = {port.device_id for port in state.ports.by("routed", network)}
    return {router for router in routers if _has_parts(state, router)}


def _served(state: "State", router: str) -> Iterator[str]:
    """Yield the hosts that carry parts and hold a port of a router's networks that is not its own."""
    for network in networks(state, router):
        others = {port.device_id for port in state.ports.by("routers_on", network)} - {router}
        for owner in ("", *others):
            for host in state.served_at.hosts.get((network, owner), ()):
                row = state.hosts.get(host)
                if row is not None and row.carries_parts:
                    yield host


def _next(state: "State", router: str) -> Iterator[str]:
    """Yield the distributed routers that are next hops of one."""
    row = state.routers.get(router)
    if row is None or not row.has_parts or not row.routes:
        return
    hops = {hop for _, hop in row.routes}
    for network in networks(state, router):
        for port in state.ports.by("routed", network):
            if port.device_id != router and _has_parts(state, port.device_id) and _has_one(port, hops):
                yield port.device_id


def _leading_to(state: "State", router: str) -> Iterator[str]:
    """Yield the distributed routers of which one is a next hop."""
    for mine in _interfaces(state, router):
        for port in state.ports.by("routed", mine.network):
            row = state.routers.get(port.device_id)
            if row is None or row.id == router or not row.has_parts:
                continue
            if _has_one(mine, {hop for _, hop in row.routes}):
                yield row.id


def _has_one(port: "Port", addresses: set[str]) -> bool:
    return any(address in addresses for _, address in port.fixed_ips)


def _interfaces(state: "State", router: str) -> Iterator["Port"]:
    return (port for port in state.ports.by("router", router) if port.is_interface)


def _has_parts(state: "State", router: str) -> bool:
    row = state.routers.get(router)
    return row is not None and row.has_parts
