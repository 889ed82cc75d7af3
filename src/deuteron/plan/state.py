"""What a plan is made of: the rows that hosts care for, in memory and indexed.

`State` only keeps them and the answers that would otherwise cost a scan. It knows no SQL and decides nothing:
what a host must look like is in `compute`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

import msgspec

from deuteron.plan import reach
from deuteron.plan.presence import Presence
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
    Part,
    Port,
    QosPolicy,
    Router,
    Row,
    SecurityGroup,
    Subnet,
)
from deuteron.resources.distribution import is_central_inside
from deuteron.resources.owners import DHCP, HEARTBEAT

R = TypeVar("R", bound=Row)


class Table(Generic[R]):
    """Rows of one kind by id, and by what else they are looked up by."""

    def __init__(self, **indexes: Callable[[R], Iterable[object]]) -> None:
        self.rows: dict[str, R] = {}
        self._keys_of = indexes
        self._indexes: dict[str, dict[object, dict[str, R]]] = {name: {} for name in indexes}

    def get(self, id: str | None) -> R | None:  # noqa: A002
        """Return a row, or None if there is none."""
        return self.rows.get(id) if id is not None else None

    def by(self, index: str, key: object) -> tuple[R, ...]:
        """Return the rows that an index has under a key."""
        return tuple(self._indexes[index].get(key, {}).values())

    def replace(self, id: str, new: R | None) -> R | None:  # noqa: A002
        """Put a row in the place of the one with this id, or remove it; return the former one."""
        old = self.rows.pop(id, None)
        if new is not None:
            self.rows[id] = new
        for name, keys_of in self._keys_of.items():
            index = self._indexes[name]
            if old is not None:
                for key in keys_of(old):
                    del index[key][id]
                    if not index[key]:
                        del index[key]
            if new is not None:
                for key in keys_of(new):
                    index.setdefault(key, {})[id] = new
        return old


class Replaced(msgspec.Struct, frozen=True):
    """What a replacement did."""

    old: Row | None
    presence: tuple[tuple[str, str], ...]
    """(network, host) that came to hold a port of it, or holds none any more."""
    secured: tuple[tuple[str, str], ...] = ()
    """(security group, host) that came to hold a filtered port with it, or holds none any more."""
    parts: tuple[tuple[str, str], ...] = ()
    """(router, host) that came to carry a distributed part of it, or carries none any more."""


class State:
    """All rows, and on which hosts each network is present."""

    def __init__(self) -> None:
        self.networks: Table[Network] = Table(qos=lambda n: [n.qos] if n.qos else [])
        self.subnets: Table[Subnet] = Table(network=lambda s: [s.network])
        self.ports: Table[Port] = Table(
            network=lambda p: [p.network],
            subnet=lambda p: {subnet for subnet, _ in p.fixed_ips},
            host=lambda p: p.guest_hosts,
            device=lambda p: [p.device_id] if p.is_instance and p.device_id else [],
            router=lambda p: [p.device_id] if p.is_routers else [],
            routers_on=lambda p: [p.network] if p.is_routers else [],
            routed=lambda p: [p.network] if p.is_interface else [],
            address=lambda p: p.fixed_ips if p.has_place else (),
            paired=lambda p: [p.network] if p.pairs and p.is_instance and p.host else [],
            agent_gateway=lambda p: {p.network, p.host} if p.is_agent_gateway else (),
            heartbeat=lambda p: [(p.network, p.host)] if p.device_owner == HEARTBEAT else [],
            group=lambda p: p.security_groups if p.is_filtered else (),
            qos=lambda p: [p.qos] if p.qos else [],
            project=lambda p: [p.project_id] if p.is_filtered else [],
        )
        self.logs: Table[PacketLog] = Table(
            router=lambda one: [one.router] if one.router else [],
            port=lambda one: [one.port] if one.port else [],
            group=lambda one: [one.group] if one.group else [],
            project=lambda one: [one.project] if one.project is not None else [],
        )
        self.local_ips: Table[LocalIP] = Table(port=lambda one: {one.port, one.local_port})
        self.qos_policies: Table[QosPolicy] = Table()
        self.security_groups: Table[SecurityGroup] = Table(
            remote=lambda g: g.remote_groups, addresses=lambda g: g.address_groups
        )
        self.address_groups: Table[AddressGroup] = Table()
        self.routers: Table[Router] = Table(
            qos=lambda r: [r.qos] if r.qos else [], project=lambda r: [r.project]
        )
        self.metering_labels: Table[MeteringLabel] = Table(project=lambda label: [label.project])
        self.floating_ips: Table[FloatingIP] = Table(
            router=lambda f: [f.router] if f.router else [],
            port=lambda f: [f.port] if f.port else [],
            qos=lambda f: [f.qos] if f.qos else [],
        )
        self.hosts: Table[Host] = Table()
        self.dhcp_servers: Table[DhcpServer] = Table(
            network=lambda d: [d.network], host=lambda d: [d.host], port=lambda d: [d.port]
        )
        self.candidates: Table[Candidate] = Table(
            router=lambda c: [c.router], host=lambda c: [c.host], election=lambda c: [c.election]
        )
        self.parts: Table[Part] = Table(host=lambda p: [p.host] if p.applied < p.version else [])
        """By the hosts that have not followed yet."""
        self.elections: Table[Election] = Table(host=lambda e: e.candidates, network=lambda e: [e.ha_network])
        self.instances: Table[Instance] = Table()
        self.networks_at = Presence[str]()
        """Networks, on the hosts that hold a port of them, or a distributed part of one of their routers."""
        self.groups_at = Presence[str]()
        """Security groups, on the hosts that hold a filtered port with them."""
        self.served_at = Presence[tuple[str, str]]()
        """(network, router that has the port there, or ""), on the hosts that hold such a port."""
        self.parts_at = Presence[str]()
        """Routers, on the hosts that carry distributed parts of them."""

    @property
    def presence(self) -> Mapping[str, Mapping[str, set[str]]]:
        """Network -> host -> why it is there: ports, and distributed parts of routers."""
        return self.networks_at.hosts

    @property
    def present(self) -> Mapping[str, set[str]]:
        """Host -> networks."""
        return self.networks_at.things

    def replace(self, kind: type[Row], id: str, new: Row | None) -> Replaced:  # noqa: A002
        """Make a row so, or remove it (None)."""
        table: Table[Row] = self.table(kind)
        old = table.get(id)
        concerned = reach.beyond(self, self._routers_named(old, new))
        table.replace(id, new)
        presence: set[tuple[str, str]] = set()
        secured: set[tuple[str, str]] = set()
        served: set[tuple[tuple[str, str], str]] = set()
        for id_ in {port for row in (old, new) if row is not None for port in self._carried(row)}:
            port = self.ports.get(id_)
            hosts = self.hosts_of(port) if port else frozenset()
            network = port.network if port else ""
            router = port.device_id if port and port.is_routers else ""
            groups = port.security_groups if port and port.is_filtered else ()
            presence |= self.networks_at.place(id_, {(network, host) for host in hosts})
            served |= self.served_at.place(id_, {((network, router), host) for host in hosts})
            secured |= self.groups_at.place(id_, {(group, host) for group in groups for host in hosts})
        newly = {router for (network, _), _ in served for router in reach.routers_on(self, network)}
        concerned |= reach.beyond(self, newly | self._routers_named(old, new))
        parts: set[tuple[str, str]] = set()
        for id_ in concerned:
            part, networks = self._place_parts(id_)
            parts |= part
            presence |= networks
        return Replaced(old, *(tuple(sorted(found)) for found in (presence, secured, parts)))

    def _place_parts(self, router: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """Say where a router has parts now; return the (router, host) and (network, host) that changed."""
        hosts = reach.hosts(self, router)
        networks = reach.networks(self, router) if hosts else set()
        parts = self.parts_at.place(router, {(router, host) for host in hosts})
        places = {(network, host) for network in networks for host in hosts}
        return parts, self.networks_at.place(f"part/{router}", places)

    def _routers_named(self, old: Row | None, new: Row | None) -> set[str]:
        """Return the routers whose parts may be elsewhere when one row takes the place of another."""
        found = set()
        for row in (old, new):
            if isinstance(row, Router) and row.has_parts:
                found.add(row.id)
            elif isinstance(row, Port) and row.is_interface:
                found.add(row.device_id)
        if len({isinstance(row, Host) and row.carries_parts for row in (old, new)}) > 1:
            host = (old or new or Row(id="")).id
            for network, _ in self.served_at.things.get(host, ()):
                found |= reach.routers_on(self, network)
        return found

    def table(self, kind: type[Row]) -> "Table[Row]":
        """Return the table of a kind of rows."""
        found: Table[Row] = getattr(self, TABLES[kind])
        return found

    def hosts_of(self, port: Port) -> frozenset[str]:
        """Return the hosts on which a port is plugged into its network (a redundant router's: several)."""
        if port.is_instance:
            return frozenset(port.guest_hosts)
        if port.device_owner == DHCP:
            return frozenset(server.host for server in self.dhcp_servers.by("port", port.id))
        router = self.routers.get(port.device_id) if port.is_interface else None
        if router is not None and not is_central_inside(router.rung):
            return frozenset()  # its parts are there, which is a reason of its own
        if port.is_routers:
            return frozenset(candidate.host for candidate in self.candidates.by("router", port.device_id))
        if port.is_agent_gateway:
            return frozenset({port.host} if port.host else ())
        return frozenset()

    def _carried(self, row: Row) -> tuple[str, ...]:
        """Return the ports whose place depends on a row."""
        if isinstance(row, Port):
            return (row.id,)
        if isinstance(row, DhcpServer):
            return (row.port,)
        if isinstance(row, Candidate):
            return tuple(port.id for port in self.ports.by("router", row.router))
        if isinstance(row, Router):
            return tuple(port.id for port in self.ports.by("router", row.id))
        return ()


TABLES: Mapping[type[Row], str] = {
    Network: "networks",
    Subnet: "subnets",
    Port: "ports",
    QosPolicy: "qos_policies",
    SecurityGroup: "security_groups",
    AddressGroup: "address_groups",
    Router: "routers",
    PacketLog: "logs",
    LocalIP: "local_ips",
    FloatingIP: "floating_ips",
    MeteringLabel: "metering_labels",
    Host: "hosts",
    DhcpServer: "dhcp_servers",
    Candidate: "candidates",
    Part: "parts",
    Election: "elections",
    Instance: "instances",
}
