"""Where a floating IP is served, and why there."""

import msgspec


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of a floating IP that leads to a port."""

    distributed: bool
    """Whether its router serves floating IPs where the instances are."""
    bound: str = ""
    """The host that its port is bound to, "" for none."""
    own: bool = True
    """Whether its fixed IP is the port's."""
    near: bool = True
    """Whether its router has an interface on the subnet of that fixed IP."""
    carries: bool = False
    """Whether that host carries a distributed part of the router."""
    agent_mode: str = "legacy"
    """Of that host; "" if no agent with the role l3 is there."""
    physical_network: str | None = None
    """Of the external network; None if it is an overlay."""
    physical_networks: tuple[str, ...] = ()
    """Of that host."""
    prepared: bool = False
    """Whether that host has a port for floating IPs of the external network."""


class Place(msgspec.Struct, frozen=True):
    """Where it is served: on a host by the distributed part of its router, or centrally (None)."""

    host: str | None
    reason: str


def locate(facts: Facts) -> Place:
    """Return where a floating IP is served."""
    place = suitable(facts)
    if place.host is not None and not facts.prepared:
        return Place(None, f"{place.host} is being prepared for it")
    return place


def suitable(facts: Facts) -> Place:
    """Return where a floating IP would be served if the host was prepared for it."""
    host = facts.bound
    if not facts.distributed:
        return Place(None, "its router is not distributed")
    if not host:
        return Place(None, "its port is not bound to any host")
    if not facts.own:
        return Place(None, "its fixed IP is not the port's own")
    if not facts.near:
        return Place(None, "its router has no interface on the subnet of its fixed IP")
    if not facts.carries and not facts.agent_mode:
        return Place(None, f"{host} has no agent with the role l3: it carries no part of the router")
    if not facts.carries:
        return Place(None, f"{host} (agent_mode {facts.agent_mode}) carries no part of the router")
    if facts.agent_mode == "dvr_no_external":
        return Place(None, f"{host} has no external network (agent_mode dvr_no_external)")
    if facts.physical_network is not None and facts.physical_network not in facts.physical_networks:
        return Place(None, f"{host} is not attached to physical network {facts.physical_network}")
    return Place(host, f"its port is on {host}")
