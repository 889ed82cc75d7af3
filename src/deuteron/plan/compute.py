"""What one host must look like, as a pure function of the state.

`unit(state, host, key)` says what one unit is on one host, or that it is not there; `units(state, host)` is
the whole plan. Both read the same functions, so what is recomputed alone equals what is computed afresh.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping

from deuteron.plan import distributed, firewall, instances, qos, segments, services
from deuteron.plan import units as u
from deuteron.plan.ports import interface, mtu, silent, with_prefix
from deuteron.plan.rows import Candidate, Port, Subnet
from deuteron.plan.state import State
from deuteron.resources.distribution import (
    Rung,
    floats_centrally,
    is_answered_centrally,
    is_central_inside,
)
from deuteron.resources.owners import DHCP

_APART = 4
MAX_CANDIDATES = _APART + 99
"""Of an election: as many as can have different VRRP priorities."""


def units(state: State, host: str, dns_domain: str) -> dict[str, u.Unit]:
    """Return the plan of a host: its units by key."""
    found = ((key, unit(state, host, key, dns_domain)) for key in keys(state, host))
    return {key: value for key, value in found if value is not None}


def unit(state: State, host: str, key: str, dns_domain: str) -> u.Unit | None:
    """Return one unit of the plan of a host; None if it is not part of it."""
    kind, _, id_ = key.partition("/")
    if kind == "dhcp":
        return dhcp(state, host, id_, dns_domain)
    if kind not in _MADE_BY:
        raise ValueError(f"{key}: there is no such kind of unit")
    return _MADE_BY[kind](state, host, id_)


def keys(state: State, host: str) -> Iterator[str]:
    """Yield the keys that a host's plan may have; `unit` says of each whether it does."""
    routers = [c.router for c in state.candidates.by("host", host)]
    for id_ in state.present.get(host, ()):
        yield f"network/{id_}"
        yield from (f"remote/{p.id}" for p in state.ports.by("network", id_))
    for p in state.ports.by("host", host):
        yield f"port/{p.id}"
        yield f"instance/{p.id}"
        yield from (f"floatingip/{f.id}" for f in state.floating_ips.by("port", p.id))
    yield from firewall.keys(state, host)
    yield from qos.keys(state, host)
    yield from instances.keys(state, host)
    for id_ in {server.network for server in state.dhcp_servers.by("host", host)}:
        yield f"dhcp/{id_}"
        yield from (f"lease/{p.id}" for p in state.ports.by("network", id_))
    yield from distributed.keys(state, host)
    for id_ in routers:
        yield f"router/{id_}"
        yield from (f"floatingip/{f.id}" for f in state.floating_ips.by("router", id_))
    yield from (f"election/{e.id}" for e in state.elections.by("host", host))


def network(state: State, host: str, id_: str) -> u.Network | None:
    """Return a network of which this host holds a port."""
    row = state.networks.get(id_)
    present = state.presence.get(id_, {})
    segment = segments.here(state, id_, host)
    if row is None or host not in present or segment is None:
        return None
    vteps = {vtep for name in present if (vtep := segments.tunnel_to(state, id_, host, name))}
    return u.Network(
        id=id_,
        type=segment.type,
        mtu=row.mtu,
        vni=segment.number if segment.type == "vxlan" else None,
        physical_network=segment.physical_network,
        vlan=segment.number if segment.type == "vlan" else None,
        vteps=tuple(sorted(vteps)),
    )


def port(state: State, host: str, id_: str) -> u.Port | None:
    """Return an instance's port that is bound to this host, or waits here for a guest on its way."""
    row = state.ports.get(id_)
    if row is None or host not in row.guest_hosts:
        return None
    return u.Port(
        id=id_,
        network=row.network,
        mac=row.mac,
        mtu=mtu(state, row.network),
        admin_state_up=row.admin_state_up,
        filtered=row.is_filtered,
        addresses=tuple(address for _, address in row.fixed_ips) if row.is_filtered else (),
        pairs=row.pairs if row.is_filtered else (),
        security_groups=row.security_groups if row.is_filtered else (),
        waiting=row.host != host,
        parent=row.parent,
        vlan=row.vlan,
    )


def remote(state: State, host: str, id_: str) -> u.Remote | None:
    """Return a MAC address that this host reaches through another one."""
    row = state.ports.get(id_)
    if row is None or host not in state.presence.get(row.network, {}):
        return None
    if row.is_interface and distributed.is_answered_here(state, host, row.device_id):
        return None
    routers = row.is_routers
    place = active_host(state, row.device_id) if routers else _place(state, row)
    vtep = segments.tunnel_to(state, row.network, host, place)
    if vtep is None:
        return None
    moves = routers or bool(row.waiting)
    return u.Remote(id=id_, network=row.network, mac=row.mac, vtep=vtep, moves=moves)


def _place(state: State, row: Port) -> str | None:
    """Return the host on which a port is that is no router's."""
    return row.host if row.is_instance else next(iter(state.hosts_of(row)), None)


def active_host(state: State, router_id: str) -> str | None:
    """Return the host whose twin of a router forwards now; None if nobody said so yet.

    While a router moves, the twin that is leaving is the answer until it closes: it surely forwards, and when
    the other one opens, only that one's announcement knows. Whoever sent to it before would lose packets.
    """
    candidates = sorted(
        state.candidates.by("router", router_id), key=lambda c: (not c.draining, c.position, c.host)
    )
    return next((c.host for c in candidates if _is_open(state, c)), None)


def _is_open(state: State, candidate: Candidate) -> bool:
    if candidate.gate != "election":
        return candidate.gate == "open"
    election_row = state.elections.get(candidate.election)
    return election_row is not None and election_row.active == candidate.host


def dhcp(state: State, host: str, id_: str, dns_domain: str) -> u.Dhcp | None:
    """Return the DHCP server of a network on this host; one whose port is set down serves nobody.

    It serves the subnets that it has an address on: on a routed network those of its own segment.
    """
    row = next((port for server, port in _dhcp_servers(state, id_) if server == host), None)
    if row is None:
        return None
    reached = {subnet_id for subnet_id, _ in row.fixed_ips}
    ours = (s for s in state.subnets.by("network", id_) if s.enable_dhcp and s.id in reached)
    return u.Dhcp(
        id=id_,
        port=row.id,
        mac=row.mac,
        mtu=mtu(state, id_),
        addresses=with_prefix(state, row),
        subnets=tuple(
            u.DhcpSubnet(
                id=s.id,
                cidr=s.cidr,
                gateway_ip=s.gateway_ip,
                dns_nameservers=s.dns_nameservers or _resolvers(state, s),
                host_routes=s.host_routes,
                ipv6_ra_mode=s.ipv6_ra_mode,
                ipv6_address_mode=s.ipv6_address_mode,
            )
            for s in sorted(ours, key=lambda s: s.id)
        ),
        dns_domain=dns_domain,
    )


def _dhcp_servers(state: State, network: str) -> Iterator[tuple[str, Port]]:
    """Yield the hosts of a network's DHCP servers, with their ports there."""
    for server in state.dhcp_servers.by("network", network):
        row = state.ports.get(server.port)
        if row and row.device_owner == DHCP and row.network == network and row.admin_state_up:
            yield server.host, row


def _resolvers(state: State, subnet: Subnet) -> tuple[str, ...]:
    """Return the addresses that the DHCP servers of a network have on a subnet: they know its names."""
    own = [port for _, port in _dhcp_servers(state, subnet.network)]
    found = {address for port in own for subnet_id, address in port.fixed_ips if subnet_id == subnet.id}
    return tuple(sorted(found, key=lambda address: ipaddress.ip_address(address).packed))


def lease(state: State, host: str, id_: str) -> u.Lease | None:
    """Return what this host's DHCP server gives to a port."""
    row = state.ports.get(id_)
    if row is None or not row.is_instance:
        return None
    if all(server.host != host for server in state.dhcp_servers.by("network", row.network)):
        return None
    served = tuple((s, a) for s, a in row.fixed_ips if (net := state.subnets.get(s)) and net.enable_dhcp)
    if not served:
        return None
    return u.Lease(
        id=id_,
        network=row.network,
        mac=row.mac,
        addresses=served,
        hostname=hostname(row),
        options=row.dhcp_options,
    )


def router(state: State, host: str, id_: str) -> u.Router | None:
    """Return this host's twin of a router."""
    row = state.routers.get(id_)
    here = state.candidates.get(f"{id_}/{host}")
    if row is None or here is None:
        return None
    ports = sorted(state.ports.by("router", id_), key=lambda p: p.id)
    gateways = sorted((p for p in ports if p.is_gateway), key=lambda p: p.id != row.gateway)
    gateway = gateways[0] if gateways else None
    left = {p.id for p in ports if p.is_interface and not is_central_inside(row.rung)}
    left |= {p.id for p in ports if p.is_snat and not row.has_parts}
    inside = [p for p in ports if p.admin_state_up and p.id not in left]
    others = (state.hosts.get(c.host) for c in state.candidates.by("router", id_) if c.host != host)
    return u.Router(
        id=id_,
        number=row.number,
        interfaces=tuple(interface(state, p) for p in inside if p.is_interface),
        gateway=silent(state, gateway) if gateway else None,
        nexthops=_nexthops(state, gateway) if gateway else (),
        more_gateways=tuple(
            u.Gateway(port=silent(state, p), nexthops=_nexthops(state, p)) for p in gateways[1:]
        ),
        multipath=row.multipath and len(gateways) > 1,
        snat=row.enable_snat,
        limits=qos.bandwidth(state, row) if gateway else (),
        routes=row.routes,
        gate=here.gate if row.admin_state_up else "closed",
        election=here.election,
        twins=tuple(sorted(other.vtep for other in others if other and other.vtep)),
        draining=here.draining,
        renewed=here.version if here.gate == "open" else 0,
        distributed=row.has_parts,
        services=services.of_router(state, row),
        snat_ports=tuple(silent(state, p) for p in inside if p.is_snat),
    )


def _nexthops(state: State, row: Port) -> tuple[str, ...]:
    """Return the gateway of the external network, one a family: that of the first subnet that has one."""
    by_family: dict[int, str] = {}
    for subnet_id, _ in row.fixed_ips:
        subnet = state.subnets.get(subnet_id)
        if subnet and subnet.gateway_ip:
            by_family.setdefault(ipaddress.ip_address(subnet.gateway_ip).version, subnet.gateway_ip)
    return tuple(by_family[version] for version in sorted(by_family))


def floating_ip(state: State, host: str, id_: str) -> u.FloatingIP | None:
    """Return a floating IP that this host serves, by a distributed part of its router or by a twin."""
    row = state.floating_ips.get(id_)
    if row is None or row.router is None or not (row.fixed_ip or row.forwardings):
        return None
    router_row = state.routers.get(row.router)
    rung = router_row.rung if router_row else Rung.CENTRAL
    candidate = state.candidates.get(f"{row.router}/{host}") is not None
    at, waiting = distributed.floats_on(state, row), False
    # Who carries both parts serves it by one of them: by the one that answers.
    here = at == host and not (candidate and is_answered_centrally(rung))
    if not here and (not candidate or (at is not None and not floats_centrally(rung))):
        waiting = distributed.floats_soon(state, row, host)
        if not waiting and not (candidate and distributed.floats_centrally_soon(state, row)):
            return None
    return u.FloatingIP(
        id=id_,
        router=row.router,
        network=row.network,
        floating_ip=row.floating_ip,
        fixed_ip=row.fixed_ip or "",
        forwardings=row.forwardings,
        limits=qos.bandwidth(state, row),
        distributed=here or waiting,
        waiting=waiting,
        silent=at is not None and (here or waiting) == is_answered_centrally(rung),
    )


def election(state: State, host: str, id_: str) -> u.Election | None:
    """Return an election in which this host is a candidate.

    It begins at its first candidate alone, and the others join when that one is active. Otherwise who happens
    to start first would win, since nobody is ever preempted.
    """
    row = state.elections.get(id_)
    if row is None or host not in (row.candidates if row.joined else row.candidates[:1]):
        return None
    net = state.networks.get(row.ha_network)
    mine = _heartbeat(state, row.ha_network, host)
    addresses = with_prefix(state, mine) if mine else ()
    if net is None or net.vni is None or mine is None or not addresses:
        return None
    peers = (_peer(state, row.ha_network, name) for name in sorted(row.candidates) if name != host)
    since, yields_to = next(((since, to) for name, since, to in row.claims if name == host), (0.0, None))
    return u.Election(
        id=id_,
        ha_network=row.ha_network,
        vni=net.vni,
        mtu=net.mtu,
        vrid=row.vrid,
        priority=priority(row.candidates.index(host), len(row.candidates)),
        advert_ms=row.advert_ms,
        mac=mine.mac,
        address=addresses[0],
        peers=tuple(peer for peer in peers if peer),
        joined=row.joined,
        contested=row.contested if yields_to is not None else 0.0,
        yields_to=yields_to or "",
        overrules=bool(row.contested) and any(to == host for _, _, to in row.claims),
        superseded=since if yields_to else 0.0,
    )


def priority(position: int, candidates: int) -> int:
    """Return the VRRP priority of a candidate: 250 for the first.

    A backup waits (256 - priority) / 256 of an advert longer than three adverts. Steps of 50 keep candidates
    4 ms apart at adverts of 20 ms, so that two never promote themselves together. From the fifth on they
    share what is left: those only matter when four are dead.
    """
    if position < _APART:
        return 250 - position * 50
    return max(1, 100 - (position - _APART + 1) * min(50, 99 // max(1, candidates - _APART)))


def _peer(state: State, ha_network: str, host: str) -> u.Peer | None:
    row = _heartbeat(state, ha_network, host)
    there = state.hosts.get(host)
    if row is None or not row.fixed_ips or there is None or not there.vtep:
        return None
    return u.Peer(host=host, address=row.fixed_ips[0][1], mac=row.mac, vtep=there.vtep)


def _heartbeat(state: State, ha_network: str, host: str) -> Port | None:
    return min(state.ports.by("heartbeat", (ha_network, host)), key=lambda p: p.id, default=None)


def instance(state: State, host: str, id_: str) -> u.Instance | None:
    """Return what metadata on this host says to the instance behind a port of it."""
    row = state.ports.get(id_)
    if row is None or host not in row.guest_hosts or not row.device_id:
        return None
    known = state.instances.get(row.device_id)
    return u.Instance(
        id=id_,
        network=row.network,
        mac=row.mac,
        mtu=mtu(state, row.network),
        addresses=tuple(_instance_addresses(state, row)),
        instance_id=row.device_id,
        project_id=row.project_id,
        hostname=hostname(row),
        name=known.name if known else "",
        user_data=known.user_data if known else None,
        public_keys=dict(known.public_keys) if known else {},
        metadata=dict(known.metadata) if known else {},
    )


def _instance_addresses(state: State, row: Port) -> Iterator[u.InstanceAddress]:
    floating = {f.fixed_ip: f.floating_ip for f in state.floating_ips.by("port", row.id) if f.router}
    for subnet_id, address in row.fixed_ips:
        subnet = state.subnets.get(subnet_id)
        if subnet is not None:
            yield u.InstanceAddress(
                address=f"{address}/{subnet.cidr.rpartition('/')[2]}",
                dhcp=subnet.enable_dhcp,
                ipv6_address_mode=subnet.ipv6_address_mode,
                gateway_ip=subnet.gateway_ip,
                dns_nameservers=subnet.dns_nameservers,
                host_routes=subnet.host_routes,
                floating_ip=floating.get(address),
            )


def hostname(row: Port) -> str:
    """Return the name that a port's guest is given: its own, or one made of its first IPv4 address."""
    if row.dns_name:
        return row.dns_name
    addresses = sorted((address for _, address in row.fixed_ips), key=lambda address: ":" in address)
    return "host-" + addresses[0].replace(".", "-").replace(":", "-") if addresses else f"host-{row.id[:11]}"


_MADE_BY: Mapping[str, Callable[[State, str, str], u.Unit | None]] = {
    "network": network,
    "port": port,
    "qos": qos.port,
    "securitygroup": firewall.security_group,
    "member": firewall.member,
    "addressgroup": firewall.address_group,
    "logged": instances.logged,
    "localip": instances.local_ip,
    "remote": remote,
    "lease": lease,
    "router": router,
    "distributedrouter": distributed.router,
    "neighbour": distributed.neighbour,
    "floatinggateway": distributed.floating_gateway,
    "floatingip": floating_ip,
    "election": election,
    "instance": instance,
}
