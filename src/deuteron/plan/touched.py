"""Which units read a row: where to look again when it changes.

`touched(state, row, other)` is called with the state before a change (the old row, and the new one as
`other`) and with the state after it (the other way round). It may name too much, never too little: what did
not change is found out by computing it. What it must not do is to look at things that have nothing to do with
the row, so that the cost of a change does not grow with the cloud.
"""

from collections.abc import Iterable, Iterator

from deuteron.plan import instances, qos, reach
from deuteron.plan.rows import (
    AddressGroup,
    Candidate,
    DhcpServer,
    Election,
    FloatingIP,
    Host,
    Instance,
    LocalIP,
    MeteringLabel,
    Network,
    PacketLog,
    Port,
    QosPolicy,
    Router,
    Row,
    SecurityGroup,
    Subnet,
)
from deuteron.plan.state import State
from deuteron.resources.owners import DHCP, HEARTBEAT

Place = tuple[str, str]
"""(host, key of a unit)"""


def touched(state: State, row: Row, other: Row | None) -> Iterator[Place]:
    """Yield every unit that reads a row, `other` being what it was or will be (None: not there)."""
    match row:
        case Network():
            yield from _network(state, row)
        case Subnet():
            yield from _subnet(state, row)
        case Port():
            yield from _port(state, row)
        case SecurityGroup() | AddressGroup() | QosPolicy():
            yield from _rules(state, row, other)
        case Router() | MeteringLabel():
            yield from _routers(state, row)
        case FloatingIP():
            yield from _floats(state, row)
            yield from _instances_of(state, row)
        case Host():
            yield from _host(state, row)
        case DhcpServer():
            yield from _dhcp_server(state, row)
        case Candidate():
            yield from _candidate(state, row, moved=other is None)
        case Election():
            yield from _election(state, row, other)
        case Instance() | PacketLog() | LocalIP():
            yield from _of_instances(state, row)


def presence(state: State, network: str, host: str) -> Iterator[Place]:
    """Yield what changes when a host gets the first port of a network or loses the last one."""
    for name in (host, *state.presence.get(network, ())):
        yield name, f"network/{network}"
    for port in state.ports.by("network", network):
        yield host, f"remote/{port.id}"


def parts(state: State, router: str, host: str) -> Iterator[Place]:
    """Yield what changes when a host gets a distributed part of a router, or loses it."""
    yield host, f"distributedrouter/{router}"
    yield from ((host, f"remote/{port.id}") for port in state.ports.by("router", router))
    for network in reach.networks(state, router):
        yield from ((host, f"neighbour/{port.id}") for port in state.ports.by("network", network))
    for floating_ip in state.floating_ips.by("router", router):
        yield from _floats(state, floating_ip)


def _distribution(state: State, router: str) -> Iterator[Place]:
    """Yield what reads how far a router is distributed, but for where its parts are."""
    row = state.routers.get(router)
    if row is None or not row.has_parts:
        return
    yield from _parts(state, router)
    yield from _remotes(state, state.ports.by("router", router))
    for floating_ip in state.floating_ips.by("router", router):
        yield from _floats(state, floating_ip)


def _parts(state: State, router: str) -> Iterator[Place]:
    return _at(state.parts_at.hosts.get(router, ()), f"distributedrouter/{router}")


def secured(state: State, group_id: str, host: str) -> Iterator[Place]:
    """Yield what changes when a host gets the first filtered port with a security group or loses the last."""
    yield host, f"securitygroup/{group_id}"
    group = state.security_groups.get(group_id)
    if group is not None:
        yield from _named(state, [host], group.remote_groups, group.address_groups)


def _rules(state: State, row: SecurityGroup | AddressGroup | QosPolicy, other: Row | None) -> Iterator[Place]:
    """Yield what holds traffic to rules."""
    if not isinstance(row, QosPolicy):
        yield from _group(state, row, other)
        return
    for port in qos.ports_with(state, row):
        yield from _at(qos.hosts(state, port), f"qos/{port.id}")
    for floating_ip in state.floating_ips.by("qos", row.id):
        yield from _floats(state, floating_ip)
    for router in state.routers.by("qos", row.id):
        yield from _router(state, router.id)


def _group(state: State, row: SecurityGroup | AddressGroup, other: Row | None) -> Iterator[Place]:
    """Yield the group itself, and whom its rules name if the other version of them does not."""
    if isinstance(row, AddressGroup):
        for user in state.security_groups.by("addresses", row.id):
            yield from _at(state.groups_at.hosts.get(user.id, ()), f"addressgroup/{row.id}")
        return
    hosts = tuple(state.groups_at.hosts.get(row.id, ()))
    yield from _at(hosts, f"securitygroup/{row.id}")
    remotes, addresses = row.remote_groups, row.address_groups
    if isinstance(other, SecurityGroup):
        remotes, addresses = remotes - other.remote_groups, addresses - other.address_groups
    yield from _named(state, hosts, remotes, addresses)


def _named(
    state: State, hosts: Iterable[str], remotes: Iterable[str], addresses: Iterable[str]
) -> Iterator[Place]:
    for host in hosts:
        for id_ in remotes:
            yield from ((host, f"member/{port.id}") for port in state.ports.by("group", id_))
        yield from ((host, f"addressgroup/{id_}") for id_ in addresses)


def _network(state: State, row: Network) -> Iterator[Place]:
    for host in state.presence.get(row.id, ()):
        yield host, f"network/{row.id}"
    for port in state.ports.by("network", row.id):
        yield from _own(state, port)
    yield from _dhcp_of(state, row.id)
    for election in state.elections.by("network", row.id):
        yield from _at(election.candidates, f"election/{election.id}")
    yield from _floating_gateways(state, row.id)


def _subnet(state: State, row: Subnet) -> Iterator[Place]:
    yield from _dhcp_of(state, row.network)
    yield from _floating_gateways(state, row.network)
    for port in state.ports.by("subnet", row.id):
        yield from _own(state, port)
    if any(port.device_owner == HEARTBEAT for port in state.ports.by("subnet", row.id)):
        for election in state.elections.by("network", row.network):
            yield from _at(election.candidates, f"election/{election.id}")


def _port(state: State, row: Port) -> Iterator[Place]:
    yield from _own(state, row)
    for id_ in row.security_groups if row.is_filtered else ():
        for group in state.security_groups.by("remote", id_):
            yield from _at(state.groups_at.hosts.get(group.id, ()), f"member/{row.id}")
    if row.device_owner == HEARTBEAT:
        for election in state.elections.by("host", row.host):
            yield from _at(election.candidates, f"election/{election.id}")


def _own(state: State, row: Port) -> Iterator[Place]:
    """Yield the units that one port makes."""
    yield from _remotes(state, [row])
    yield from _neighbours(state, row)
    yield from _at(qos.hosts(state, row), f"qos/{row.id}")
    for local_ip in state.local_ips.by("port", row.id):
        yield from _of_instances(state, local_ip)
    if row.is_instance:
        for host in row.guest_hosts:
            yield host, f"port/{row.id}"
            yield host, f"logged/{row.id}"
            yield host, f"instance/{row.id}"
        for server in state.dhcp_servers.by("network", row.network):
            yield server.host, f"lease/{row.id}"
        for floating_ip in state.floating_ips.by("port", row.id):
            yield from _floats(state, floating_ip)
    elif row.is_routers:
        yield from _router(state, row.device_id)
        yield from _router_port(state, row)
    elif row.device_owner == DHCP:
        yield from _dhcp_of(state, row.network)
    elif row.is_agent_gateway:
        yield row.host, f"floatinggateway/{row.network}"
        yield from _floats_at(state, row.host)


def _of_instances(state: State, row: Instance | PacketLog | LocalIP) -> Iterator[Place]:
    """Yield what ports of instances have besides; a log may be of a router."""
    if isinstance(row, Instance):
        yield from _instance(state, row)
    elif isinstance(row, LocalIP):
        if (led_to := state.ports.get(row.port)) is not None:
            yield from _at(led_to.guest_hosts, f"localip/{row.id}")
    else:
        yield from _router(state, row.router)
        for port in instances.ports_of(state, row):
            yield from _at(port.guest_hosts, f"logged/{port.id}")


def _neighbours(state: State, row: Port) -> Iterator[Place]:
    """Yield whom distributed parts know by a port, and those parts that send to its addresses by routes."""
    addresses = {address for _, address in row.fixed_ips}
    paired = bool(row.pairs or state.ports.by("paired", row.network))
    for id_ in reach.routers_on(state, row.network):
        yield from _at(state.parts_at.hosts.get(id_, ()), f"neighbour/{row.id}")
        router = state.routers.get(id_)
        if paired or (router and any(hop in addresses for _, hop in router.routes)):
            yield from _parts(state, id_)


def _router_port(state: State, row: Port) -> Iterator[Place]:
    """Yield what a port of a distributed router makes on the hosts that carry parts of it."""
    if row.is_gateway:
        yield from _distribution(state, row.device_id)
    else:
        yield from _parts(state, row.device_id)
    if row.is_interface:
        for host in state.parts_at.hosts.get(row.device_id, ()):
            yield from ((host, f"neighbour/{port.id}") for port in state.ports.by("network", row.network))
        for floating_ip in state.floating_ips.by("router", row.device_id):
            yield from _floats(state, floating_ip)


def _floating_gateways(state: State, network: str) -> Iterator[Place]:
    found = state.ports.by("agent_gateway", network)
    return ((port.host, f"floatinggateway/{network}") for port in found if port.network == network)


def _floats(state: State, row: FloatingIP) -> Iterator[Place]:
    """Yield where a floating IP may be served."""
    yield from ((c.host, f"floatingip/{row.id}") for c in state.candidates.by("router", row.router or ""))
    if (port := state.ports.get(row.port)) is not None:
        yield from _at(port.guest_hosts, f"floatingip/{row.id}")
        yield from _at(port.guest_hosts, f"distributedrouter/{row.router}")


def _floats_at(state: State, host: str) -> Iterator[Place]:
    """Yield the places of the floating IPs of a host's ports."""
    for port in state.ports.by("host", host):
        for floating_ip in state.floating_ips.by("port", port.id):
            yield from _floats(state, floating_ip)


def _instances_of(state: State, row: FloatingIP) -> Iterator[Place]:
    if (port := state.ports.get(row.port)) is not None:
        yield from _at(port.guest_hosts, f"instance/{port.id}")


def _instance(state: State, row: Instance) -> Iterator[Place]:
    for port in state.ports.by("device", row.id):
        yield from _at(port.guest_hosts, f"instance/{port.id}")


def _host(state: State, row: Host) -> Iterator[Place]:
    for network in state.present.get(row.id, ()):
        hosts = state.presence[network]
        yield from _at(hosts, f"network/{network}")
        for port in hosts[row.id]:
            yield from _at(hosts, f"remote/{port}")
        if (home := state.networks.get(network)) is not None and home.several:
            yield from ((row.id, f"remote/{port.id}") for port in state.ports.by("network", network))
    for election in state.elections.by("host", row.id):
        yield from _at(election.candidates, f"election/{election.id}")
    for candidate in state.candidates.by("host", row.id):
        yield from _router(state, candidate.router)
    yield from ((row.id, f"distributedrouter/{id_}") for id_ in state.parts_at.things.get(row.id, ()))
    yield from _floats_at(state, row.id)


def _dhcp_server(state: State, row: DhcpServer) -> Iterator[Place]:
    ports = state.ports.by("network", row.network)
    yield row.host, f"dhcp/{row.network}"
    yield from _dhcp_of(state, row.network)
    yield from ((row.host, f"lease/{port.id}") for port in ports)
    yield from _at(state.presence.get(row.network, ()), f"remote/{row.port}")


def _candidate(state: State, row: Candidate, *, moved: bool) -> Iterator[Place]:
    yield from _router(state, row.router)
    ports = state.ports.by("router", row.router)
    yield from _remotes(state, ports)
    yield from ((row.host, f"qos/{port.id}") for port in ports)
    if moved:
        yield from ((row.host, f"floatingip/{f.id}") for f in state.floating_ips.by("router", row.router))


def _election(state: State, row: Election, other: Row | None) -> Iterator[Place]:
    yield from _at(row.candidates, f"election/{row.id}")
    if isinstance(other, Election) and other.active == row.active:
        return
    for candidate in state.candidates.by("election", row.id):
        yield from _remotes(state, state.ports.by("router", candidate.router))


def _routers(state: State, row: Router | MeteringLabel) -> Iterator[Place]:
    if isinstance(row, Router):
        yield from _router(state, row.id)
        yield from _distribution(state, row.id)
        return
    everywhere = row.project is None
    routers = state.routers.rows.values() if everywhere else state.routers.by("project", row.project)
    for router in routers:
        yield from _router(state, router.id)


def _router(state: State, router: str) -> Iterator[Place]:
    return ((c.host, f"router/{router}") for c in state.candidates.by("router", router))


def _dhcp_of(state: State, network: str) -> Iterator[Place]:
    return ((server.host, f"dhcp/{network}") for server in state.dhcp_servers.by("network", network))


def _remotes(state: State, ports: Iterable[Port]) -> Iterator[Place]:
    for port in ports:
        yield from _at(state.presence.get(port.network, ()), f"remote/{port.id}")


def _at(hosts: Iterable[str], key: str) -> Iterator[Place]:
    return ((host, key) for host in hosts)
