"""What a plan is made of: the part of the database that hosts care for, in memory and indexed.

Rows are plain and frozen; `State` only keeps them and the answers that would otherwise cost a scan. It knows
no SQL and decides nothing: what a host must look like is in `compute`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Literal, TypeVar

import msgspec

from deuteron.plan.presence import Presence
from deuteron.plan.units import SecurityRule
from deuteron.resources.owners import DHCP, HEARTBEAT, ROUTER_GATEWAY, ROUTER_INTERFACES


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has an id."""

    id: str


class Network(Row, frozen=True, kw_only=True):
    """A network as the data plane sees it."""

    type: Literal["vxlan", "flat"]
    mtu: int
    vni: int | None = None
    physical_network: str | None = None


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
    pairs: tuple[tuple[str, str], ...] = ()
    """(MAC address, address or prefix) that are allowed besides, sorted."""
    security_groups: tuple[str, ...] = ()
    """Sorted."""

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
    rung: int = 0
    """How far it is distributed: see deuteron.resources.distribution."""
    rung_host: str = ""
    """Whose distributed part opens last."""


class FloatingIP(Row, frozen=True, kw_only=True):
    """A floating IP; nothing comes of it until it has a router and a fixed address."""

    floating_ip: str
    router: str | None = None
    port: str | None = None
    fixed_ip: str | None = None


class Host(Row, frozen=True, kw_only=True):
    """A host that has ever reported and was not deleted; the id is its name."""

    vtep: str


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


class State:
    """All rows, and on which hosts each network is present."""

    def __init__(self) -> None:
        self.networks: Table[Network] = Table()
        self.subnets: Table[Subnet] = Table(network=lambda s: [s.network])
        self.ports: Table[Port] = Table(
            network=lambda p: [p.network],
            subnet=lambda p: {subnet for subnet, _ in p.fixed_ips},
            host=lambda p: p.guest_hosts,
            device=lambda p: [p.device_id] if p.is_instance and p.device_id else [],
            router=lambda p: [p.device_id] if p.is_interface or p.is_gateway else [],
            heartbeat=lambda p: [(p.network, p.host)] if p.device_owner == HEARTBEAT else [],
            group=lambda p: p.security_groups if p.is_filtered else (),
        )
        self.security_groups: Table[SecurityGroup] = Table(
            remote=lambda g: g.remote_groups, addresses=lambda g: g.address_groups
        )
        self.address_groups: Table[AddressGroup] = Table()
        self.routers: Table[Router] = Table()
        self.floating_ips: Table[FloatingIP] = Table(
            router=lambda f: [f.router] if f.router else [], port=lambda f: [f.port] if f.port else []
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
        self.networks_at = Presence()
        """Networks, on the hosts that hold a port of them."""
        self.groups_at = Presence()
        """Security groups, on the hosts that hold a filtered port with them."""

    @property
    def presence(self) -> Mapping[str, Mapping[str, set[str]]]:
        """Network -> host -> the ports that it has there."""
        return self.networks_at.hosts

    @property
    def present(self) -> Mapping[str, set[str]]:
        """Host -> networks."""
        return self.networks_at.things

    def replace(self, kind: type[Row], id: str, new: Row | None) -> Replaced:  # noqa: A002
        """Make a row so, or remove it (None)."""
        table: Table[Row] = self.table(kind)
        old = table.replace(id, new)
        presence: set[tuple[str, str]] = set()
        secured: set[tuple[str, str]] = set()
        for id_ in {port for row in (old, new) if row is not None for port in self._carried(row)}:
            port = self.ports.get(id_)
            hosts = self.hosts_of(port) if port else frozenset()
            groups = port.security_groups if port and port.is_filtered else ()
            presence |= self.networks_at.place(
                id_, {(port.network, host) for host in hosts} if port else set()
            )
            secured |= self.groups_at.place(id_, {(group, host) for group in groups for host in hosts})
        return Replaced(old, tuple(sorted(presence)), tuple(sorted(secured)))

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
        if port.is_interface or port.is_gateway:
            return frozenset(candidate.host for candidate in self.candidates.by("router", port.device_id))
        return frozenset()

    def _carried(self, row: Row) -> tuple[str, ...]:
        """Return the ports whose place depends on a row."""
        if isinstance(row, Port):
            return (row.id,)
        if isinstance(row, DhcpServer):
            return (row.port,)
        if isinstance(row, Candidate):
            return tuple(port.id for port in self.ports.by("router", row.router))
        return ()


TABLES: Mapping[type[Row], str] = {
    Network: "networks",
    Subnet: "subnets",
    Port: "ports",
    SecurityGroup: "security_groups",
    AddressGroup: "address_groups",
    Router: "routers",
    FloatingIP: "floating_ips",
    Host: "hosts",
    DhcpServer: "dhcp_servers",
    Candidate: "candidates",
    Part: "parts",
    Election: "elections",
    Instance: "instances",
}
