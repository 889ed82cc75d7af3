"""Distributed routers on one host: their parts, whom these reach, and the floating IPs that they serve."""

import ipaddress
from collections.abc import Iterator

from deuteron.plan import floating, reach
from deuteron.plan import units as u
from deuteron.plan.ports import interface, mtu
from deuteron.plan.rows import FloatingIP, Port, Router, Subnet
from deuteron.plan.state import State
from deuteron.resources.distribution import floats_at_hosts, is_central_inside, is_open

_Net = ipaddress.IPv4Network | ipaddress.IPv6Network


def keys(state: State, host: str) -> Iterator[str]:
    """Yield the keys of units that a host's distributed parts may need."""
    routers = state.parts_at.things.get(host, ())
    yield from (f"distributedrouter/{id_}" for id_ in routers)
    for network in {network for id_ in routers for network in reach.networks(state, id_)}:
        yield from (f"neighbour/{port.id}" for port in state.ports.by("network", network))
    yield from (f"floatinggateway/{port.network}" for port in state.ports.by("agent_gateway", host))


def router(state: State, host: str, id_: str) -> u.DistributedRouter | None:
    """Return the distributed part of a router on this host."""
    row, here = state.routers.get(id_), state.hosts.get(host)
    if row is None or here is None or host not in state.parts_at.hosts.get(id_, ()):
        return None
    ports = sorted(state.ports.by("router", id_), key=lambda port: port.id)
    interfaces = [port for port in ports if port.is_interface and port.admin_state_up]
    ways = _ways(port for port in ports if port.is_snat and port.admin_state_up)
    external = _external(state, host, id_)
    return u.DistributedRouter(
        id=id_,
        mac=here.dvr_mac,
        interfaces=tuple(interface(state, port) for port in interfaces),
        open=row.admin_state_up and is_open(row.rung, row.rung_host, host),
        central=tuple(way for port in interfaces for way in _central(port, ways)),
        routes=tuple(sorted(_routes(state, row, interfaces, ways))),
        external=external,
        outer_routes=tuple(sorted(_outer_routes(state, row, interfaces))) if external else (),
    )


def _ways(snat_ports: Iterator[Port]) -> dict[str, str]:
    """Return the addresses of the central part by subnet."""
    return {subnet: address for port in snat_ports for subnet, address in port.fixed_ips}


def _central(port: Port, ways: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the central part's addresses on the network of an interface, at most one a family."""
    families = set()
    for subnet, _ in port.fixed_ips:
        address = ways.get(subnet)
        if address is not None and (":" in address) not in families:
            families.add(":" in address)
            yield port.id, address


def _routes(
    state: State, row: Router, interfaces: list[Port], ways: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the extra routes by neighbours, and those to addresses that no port has for its own.

    Whoever has such an address is asked for by the central part: what a distributed part asks is not heard.
    """
    said = set()
    for destination, hop in row.routes:
        subnet = _subnet_of(state, interfaces, hop)
        if subnet is not None:
            said.add(destination)
            yield destination, hop if _is_known(state, subnet, hop) else ways.get(subnet.id, hop)
    for port in interfaces:
        for subnet in _subnets(state, port):
            way = ways.get(subnet.id)
            if way is not None:
                for prefix in _pairs_in(state, subnet) - said:
                    yield prefix, way


def _outer_routes(state: State, row: Router, interfaces: list[Port]) -> Iterator[tuple[str, str]]:
    """Yield the IPv4 extra routes whose next hop is on none of the router's networks inside."""
    for destination, hop in row.routes:
        if ":" not in hop and _subnet_of(state, interfaces, hop) is None:
            yield destination, hop


def _pairs_in(state: State, subnet: Subnet) -> set[str]:
    """Return the prefixes, parts of a subnet, that ports may have besides their own addresses."""
    whole, found = _net(subnet.cidr), set()
    for port in state.ports.by("paired", subnet.network):
        for _, address in port.pairs:
            net = _net(address)
            if net.version != whole.version or net == whole or not _is_in(net, whole):
                continue
            alone = net.prefixlen == net.max_prefixlen
            if not (alone and _is_known(state, subnet, str(net.network_address))):
                found.add(str(net))
    return found


def _is_known(state: State, subnet: Subnet, address: str) -> bool:
    """Whether a port of a subnet's network has an address for its own."""
    found = state.ports.by("address", (subnet.id, address))
    return any(port.network == subnet.network for port in found)


def _subnet_of(state: State, interfaces: list[Port], address: str) -> Subnet | None:
    found = (subnet for port in interfaces for subnet in _subnets(state, port))
    wanted = _net(address)
    return next((subnet for subnet in found if _is_in(wanted, _net(subnet.cidr))), None)


def _subnets(state: State, port: Port) -> Iterator[Subnet]:
    for id_, _ in port.fixed_ips:
        subnet = state.subnets.get(id_)
        if subnet is not None and subnet.network == port.network:
            yield subnet


def _net(text: str) -> _Net:
    return ipaddress.ip_network(text, strict=False)


def _is_in(net: _Net, whole: _Net) -> bool:
    return net.version == whole.version and net.prefixlen >= whole.prefixlen and net.network_address in whole


def _external(state: State, host: str, router_id: str) -> str | None:
    """Return the external network of a router if its part here serves floating IPs, or is to do so soon."""
    for row in state.floating_ips.by("router", router_id):
        if floats_on(state, row) == host or floats_soon(state, row, host):
            return gateway_network(state, router_id)
    return None


def gateway_network(state: State, router_id: str) -> str | None:
    """Return the network of a router's gateway."""
    gateways = (port for port in state.ports.by("router", router_id) if port.is_gateway)
    return min((port.network for port in gateways), default=None)


def floats_on(state: State, row: FloatingIP) -> str | None:
    """Return the host on which the distributed part of its router serves a floating IP; None: none does."""
    port = state.ports.get(row.port)
    return _floats_if_at(state, row, port, port.host) if port is not None else None


def floats_soon(state: State, row: FloatingIP, host: str) -> bool:
    """Whether a floating IP is served on a host as soon as its guest, which may appear there, has come."""
    port = state.ports.get(row.port)
    return port is not None and host in port.waiting and bool(_floats_if_at(state, row, port, host))


def floats_centrally_soon(state: State, row: FloatingIP) -> bool:
    """Whether a floating IP is served centrally as soon as its guest is on a host where it may appear."""
    port = state.ports.get(row.port)
    return port is not None and any(_floats_if_at(state, row, port, name) is None for name in port.waiting)


def _floats_if_at(state: State, row: FloatingIP, port: Port, name: str) -> str | None:
    """Return where a floating IP is served if its port is on the host of this name."""
    router_row = state.routers.get(row.router)
    external = gateway_network(state, row.router) if row.router else None
    if router_row is None or external is None or not port.is_instance:
        return None
    host, network = state.hosts.get(name), state.networks.get(external)
    facts = floating.Facts(
        distributed=floats_at_hosts(router_row.rung),
        bound=name,
        own=any(address == row.fixed_ip for _, address in port.fixed_ips),
        near=_is_near(state, router_row.id, port, row.fixed_ip),
        carries=name in state.parts_at.hosts.get(router_row.id, ()),
        agent_mode=host.agent_mode if host else "legacy",
        physical_network=network.physical_network if network else "",
        physical_networks=host.physical_networks if host else (),
        prepared=any(one.network == external for one in state.ports.by("agent_gateway", name)),
    )
    return floating.locate(facts).host


def _is_near(state: State, router_id: str, port: Port, address: str | None) -> bool:
    homes = {subnet for subnet, own in port.fixed_ips if own == address}
    interfaces = (one for one in state.ports.by("router", router_id) if one.is_interface)
    return any(subnet in homes for one in interfaces for subnet, _ in one.fixed_ips)


def is_answered_here(state: State, host: str, router_id: str) -> bool:
    """Whether a router's addresses on its networks are answered for on this host, or not at all."""
    row = state.routers.get(router_id)
    if row is None or not row.has_parts:
        return False
    if not is_central_inside(row.rung):
        return True
    here = host in state.parts_at.hosts.get(router_id, ())
    return here and is_open(row.rung, row.rung_host, host)


def neighbour(state: State, host: str, id_: str) -> u.Neighbour | None:
    """Return a port on a network of a distributed router of this host that is no interface of it."""
    row = state.ports.get(id_)
    if row is None or not row.has_place or not row.fixed_ips:
        return None
    own = row.device_id if row.is_interface else None
    routers = reach.routers_on(state, row.network) - {own}
    if not any(host in state.parts_at.hosts.get(router_id, ()) for router_id in routers):
        return None
    addresses = tuple(sorted(address for _, address in row.fixed_ips))
    return u.Neighbour(id=id_, network=row.network, mac=row.mac, addresses=addresses)


def floating_gateway(state: State, host: str, id_: str) -> u.FloatingGateway | None:
    """Return by which floating IPs of an external network are reached on this host."""
    mine = (
        port for port in state.ports.by("agent_gateway", host) if port.network == id_ and port.host == host
    )
    row = min(mine, key=lambda port: port.id, default=None)
    if row is None:
        return None
    subnets = sorted(state.subnets.by("network", id_), key=lambda subnet: subnet.id)
    old = [subnet for subnet in subnets if ":" not in subnet.cidr]
    return u.FloatingGateway(
        id=id_,
        port=row.id,
        mac=row.mac,
        mtu=mtu(state, id_),
        subnets=tuple(sorted(subnet.cidr for subnet in old)),
        nexthop=next((subnet.gateway_ip for subnet in old if subnet.gateway_ip), None),
    )
