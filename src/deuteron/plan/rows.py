"""The part of the database that hosts care for, row by row: plain, frozen, without SQL."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from deuteron.plan.units import Forwarding, Helper, Limit, Log, MeterRule, SecurityRule
from deuteron.resources.distribution import has_parts
from deuteron.resources.hosts import DVR_MODES
from deuteron.resources.owners import (
    AGENT_GATEWAY,
    DHCP,
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
