"""What a plan is made of: the part of the database that hosts care for, in memory and indexed.

Rows are plain and frozen; `State` only keeps them and the answers that would otherwise cost a scan. It knows
no SQL and decides nothing: what a host must look like is in `compute`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Literal, TypeVar

import msgspec

from deuteron.plan import reach
from deuteron.plan.presence import Presence
from deuteron.plan.units import Forwarding, Helper, Limit, Log, MeterRule, SecurityRule
from deuteron.resources.distribution import has_parts, is_central_inside
from deuteron.resources.hosts import DVR_MODES
from deuteron.resources.owners import (
    AGENT_GATEWAY,
    DHCP,
    HEARTBEAT,
    ROUTER_GATEWAY,
    ROUTER_INTERFACES,
    ROUTER_SNAT,
)
from deuteron.resources.segmentation import Segment


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has an id."""

    id: str


class Network(Row, frozen=True, kw_only=True):
    """A network as the data plane sees it."""

    type: Literal["vxlan", "vlan", "flat", ""]
    """That of its only segment, as are the numbers; "" if it has several, or none."""
    mtu: int
    vni: int | None = None
    physical_network: str | None = None
    vlan: int | None = None
    several: tuple[Segment, ...] = ()
    """Its segments in their order, if it has several."""
    qos: str | None = None
    """The policy of its ports that have none of their own."""


class Subnet(Row, frozen=True, kw_only=True):
    """A subnet."""

    network: str
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None
    scope: str = ""
    """The address scope of the pool that it is from."""


class Port(Row, frozen=True, kw_only=True):
    """A port of any kind; `host` is where Neutron's API says that it is bound ("" when nowhere)."""

    network: str
    mac: str
    project_id: str = ""
    device_id: str = ""
    device_owner: str = ""
    host: str = ""
    admin_state_up: bool = True
    dns_name: str = ""
    fixed_ips: tuple[tuple[str, str], ...] = ()
    """(subnet id, address), sorted."""
    dhcp_options: tuple[tuple[int, str, str], ...] = ()
    """(IP version, name or number, value), sorted."""
    security: bool = False
    """Whether port security is on."""
    waiting: tuple[str, ...] = ()
    """Other hosts on which its guest may appear, sorted: those of its bindings that are not active."""
    parent: str = ""
    """Of a subport: the port that carries it, with the VLAN tag `vlan`."""
    vlan: int = 0
    pairs: tuple[tuple[str, str], ...] = ()
    """(MAC address, address or prefix) that are allowed besides, sorted."""
    security_groups: tuple[str, ...] = ()
    """Sorted."""
    qos: str | None = None
    """Its own policy."""

    @property
    def guest_hosts(self) -> tuple[str, ...]:
        """The hosts on which its guest is, or may appear."""
        return ((self.host,) if self.host else ()) + self.waiting if self.is_instance else ()

    @property
    def is_filtered(self) -> bool:
        """Whether it sends and receives only what it may."""
        return self.security and self.is_instance

    @property
    def is_instance(self) -> bool:
        """Whether a guest is behind it, and not the cloud itself."""
        return not self.device_owner.startswith("network:")

    @property
    def is_interface(self) -> bool:
        """Whether a router reaches one of its inner networks by it."""
        return self.device_owner in ROUTER_INTERFACES

    @property
    def is_gateway(self) -> bool:
        """Whether a router reaches its external network by it."""
        return self.device_owner == ROUTER_GATEWAY

    @property
    def is_snat(self) -> bool:
        """Whether distributed parts of a router reach the central one by it."""
        return self.device_owner == ROUTER_SNAT

    @property
    def is_routers(self) -> bool:
        """Whether a router has it."""
        return self.is_interface or self.is_gateway or self.is_snat

    @property
    def is_agent_gateway(self) -> bool:
        """Whether floating IPs of distributed routers are reached by it on its host."""
        return self.device_owner == AGENT_GATEWAY

    @property
    def has_place(self) -> bool:
        """Whether it answers for its addresses somewhere, as far as can be known from itself."""
        return bool(self.host) if self.is_instance else self.is_routers or self.device_owner == DHCP


class SecurityGroup(Row, frozen=True, kw_only=True):
    """A security group."""

    stateful: bool = True
    rules: tuple[SecurityRule, ...] = ()
    """In a lasting order."""

    @property
    def remote_groups(self) -> frozenset[str]:
        """The groups whose ports its rules name."""
        return frozenset(rule.remote_group for rule in self.rules if rule.remote_group)

    @property
    def address_groups(self) -> frozenset[str]:
        """The address groups that its rules name."""
        return frozenset(rule.remote_address_group for rule in self.rules if rule.remote_address_group)


class AddressGroup(Row, frozen=True, kw_only=True):
    """A list of prefixes."""

    addresses: tuple[str, ...] = ()


class Router(Row, frozen=True, kw_only=True):
    """A router."""

    number: int
    admin_state_up: bool = True
    enable_snat: bool = True
    routes: tuple[tuple[str, str], ...] = ()
    project: str = ""
    helpers: tuple[Helper, ...] = ()
    ndp_proxy: bool = False
    proxied: tuple[str, ...] = ()
    rung: int = 0
    """How far it is distributed: see deuteron.resources.distribution."""
    rung_host: str = ""
    """Whose distributed part opens last."""
    qos: str | None = None
    """The policy of its gateways' addresses."""
    gateway: str | None = None
    """The port that is its first gateway."""
    multipath: bool = False

    @property
    def has_parts(self) -> bool:
        """Whether it has distributed parts."""
        return has_parts(self.rung)


class QosPolicy(Row, frozen=True, kw_only=True):
    """A QoS policy, as far as hosts enforce it."""

    bandwidth: tuple[Limit, ...] = ()
    packets: tuple[Limit, ...] = ()
    """Both by direction."""
    dscp: int | None = None


class MeteringLabel(Row, frozen=True, kw_only=True):
    """What routers of a project, or all of them, count together."""

    project: str | None
    """None for all."""
    rules: tuple[MeterRule, ...] = ()
    """In a lasting order."""


class PacketLog(Row, frozen=True, kw_only=True):
    """A log that is enabled: of a router, a port, a security group, or all ports of its project."""

    log: Log
    router: str = ""
    port: str = ""

    @property
    def group(self) -> str:
        """The group whose ports it is of, unless it is of one port."""
        return "" if self.port else self.log.group

    @property
    def project(self) -> str | None:
        """The project whose ports it is of, all of them."""
        return None if self.router or self.port or self.log.group else self.log.project


class LocalIP(Row, frozen=True, kw_only=True):
    """A port that a local IP leads to; the id is that of their association."""

    address: str
    local_port: str
    """Whose address it is."""
    port: str
    fixed_ip: str
    translates: bool = True


class FloatingIP(Row, frozen=True, kw_only=True):
    """A floating IP; nothing comes of it without a router, and a fixed address or ports that lead to some."""

    floating_ip: str
    network: str = ""
    router: str | None = None
    port: str | None = None
    fixed_ip: str | None = None
    qos: str | None = None
    forwardings: tuple[Forwarding, ...] = ()
    """Sorted."""


class Host(Row, frozen=True, kw_only=True):
    """A host that has ever reported and was not deleted; the id is its name."""

    vtep: str
    roles: tuple[str, ...] = ()
    agent_mode: str = "legacy"
    physical_networks: tuple[str, ...] = ()
    dvr_mac: str = ""

    @property
    def carries_parts(self) -> bool:
        """Whether it carries distributed parts of routers."""
        return "l3" in self.roles and self.agent_mode in DVR_MODES and bool(self.dvr_mac)


class DhcpServer(Row, frozen=True, kw_only=True):
    """The DHCP server in one slot of a network; the id is `network/slot`."""

    network: str
    host: str
    port: str


class Candidate(Row, frozen=True, kw_only=True):
    """A host that carries a twin of a router; the id is `router/host`."""

    router: str
    host: str
    position: int
    gate: Literal["election", "open", "closed"] = "closed"
    election: str | None = None
    draining: bool = False
    version: int = 0
    """Goes up whenever placement changes what this host must do."""
    applied: int = 0
    """The version that the host's agent has acknowledged."""
    copying: bool = False
    """It is still being told the connections that are open elsewhere."""


class Part(Row, frozen=True, kw_only=True):
    """A host that follows a router which is being converted; the id is `router/host`."""

    router: str
    host: str
    version: int
    """Goes up with each rung."""
    applied: int = 0
    """The version that the host's agent has acknowledged."""


class Election(Row, frozen=True, kw_only=True):
    """Who of an ordered list of hosts is active."""

    ha_network: str
    vrid: int
    advert_ms: int
    candidates: tuple[str, ...]
    joined: bool = True
    """Whether the candidates after the first one take part yet."""
    active: str | None = None
    """The host that was promoted last. It stays until another one is: silence is not a demotion."""
    claims: tuple[tuple[str, float, str], ...] = ()
    """(host, `since` of its report, host that it yields to or ""), sorted: those that say that they are
    active, and those that yield."""
    contested: float = 0.0
    """When the last of several of them said so; 0 if there are not several."""


class Instance(Row, frozen=True, kw_only=True):
    """What metadata says of an instance besides its addresses; the id is the device id."""

    name: str = ""
    user_data: str | None = None
    public_keys: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}


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
