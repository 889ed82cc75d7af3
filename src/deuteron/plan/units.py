"""What one host must look like: the contract between server and agent.

A plan is a set of units. Each is the whole truth about one thing on one host, has a key
`kind/id`, and travels alone when it changes. Nothing in here says how to build anything: that is
the agent's; nothing says why: that is placement's.

Addresses are strings ("10.0.0.5"); an address with its prefix length is "10.0.0.5/24"; MAC
addresses are lower case with colons. Sequences are sorted, so that equal plans are equal bytes.
"""

from typing import Literal

import msgspec


class _Unit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    id: str

    @property
    def key(self) -> str:
        """The name of this unit in a plan: `kind/id`."""
        return f"{self.__struct_config__.tag}/{self.id}"


class Network(_Unit, frozen=True, tag="network"):
    """A network of which this host holds a port: one bridge, on the segment that the host is on."""

    type: Literal["vxlan", "vlan", "flat"]
    mtu: int
    vni: int | None = None
    physical_network: str | None = None
    vlan: int | None = None
    """The tag that its frames have on the physical network."""
    vteps: tuple[str, ...] = ()
    """Underlay addresses of the other hosts on this segment that hold a port of it: the head-end list."""


class Port(_Unit, frozen=True, tag="port"):
    """An instance's port on this host. Its device `tap<id, 11 characters>` is plugged by others."""

    network: str
    mac: str
    mtu: int
    admin_state_up: bool = True
    filtered: bool = False
    """It may say only what its addresses and its groups allow, and hear only what its groups allow: no
    frame of it passes before that is so. What follows counts only then."""
    addresses: tuple[str, ...] = ()
    """Its fixed IP addresses."""
    parent: str = ""
    """Of a subport: the port by whose device its frames come and go, with the VLAN tag `vlan`."""
    vlan: int = 0
    pairs: tuple[tuple[str, str], ...] = ()
    """Others that it may have: (MAC address, address or prefix)."""
    security_groups: tuple[str, ...] = ()
    waiting: bool = False
    """Its guest is on another host, on its way here or from here. When this changes, the agent tells once
    more that it is up."""


class Limit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much traffic there may be in one direction, as seen from the port or address."""

    direction: Literal["ingress", "egress"]
    rate: int
    """Kilobits or thousands of packets in a second."""
    burst: int = 0
    """What may be saved up, in kilobits or thousands of packets; 0 is a share of the rate."""


class Qos(_Unit, frozen=True, tag="qos"):
    """What a port of this host, of an instance or a router's gateway, is held to; the id is the port's."""

    mtu: int
    bandwidth: tuple[Limit, ...] = ()
    packets: tuple[Limit, ...] = ()
    dscp: int | None = None
    """What all that it sends is marked with."""


class SecurityRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a security group lets through, at most one of the three remotes being said."""

    direction: Literal["ingress", "egress"]
    version: Literal[4, 6]
    protocol: int | None = None
    port_min: int | None = None
    """Of the destination; the type where the protocol is ICMP."""
    port_max: int | None = None
    """The code where the protocol is ICMP."""
    remote_prefix: str | None = None
    remote_group: str | None = None
    remote_address_group: str | None = None


class SecurityGroup(_Unit, frozen=True, tag="securitygroup"):
    """A security group that a filtered port of this host has."""

    stateful: bool = True
    """Whether answers to what is let through are let through too."""
    rules: tuple[SecurityRule, ...] = ()


class Member(_Unit, frozen=True, tag="member"):
    """A port anywhere with a group that rules of this host name as remote; the id is the port's."""

    groups: tuple[str, ...]
    """Those of its groups that rules of this host name."""
    addresses: tuple[str, ...]
    """Its fixed IP addresses, and the addresses or prefixes that it may have besides."""


class AddressGroup(_Unit, frozen=True, tag="addressgroup"):
    """A list of prefixes that rules of this host name."""

    addresses: tuple[str, ...]


class Log(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose packets are written down, of those that it concerns."""

    id: str
    project: str
    event: Literal["ACCEPT", "DROP", "ALL"] = "ALL"
    group: str = ""
    """Only what this security group lets through, where anything is let through; "" for all groups."""


class Logged(_Unit, frozen=True, tag="logged"):
    """What is written down of what a filtered port of this host sends and receives; the id is the port's."""

    logs: tuple[Log, ...]


class LocalIP(_Unit, frozen=True, tag="localip"):
    """An address by which instances of this host reach a port of this host on their network.

    The id is that of the port's association with it. What that port itself sends there goes its usual way.
    """

    network: str
    """The port's."""
    address: str
    """IPv4."""
    mac: str
    """What is answered to who asks for it."""
    port: str
    port_mac: str
    fixed_ip: str = ""
    """The port's address, to which packets are translated; "" to leave addresses as they are."""


class Remote(_Unit, frozen=True, tag="remote"):
    """A MAC address of a network of this host that lives behind another VTEP; the id is the port's."""

    network: str
    mac: str
    vtep: str
    moves: bool = False
    """A router's, or of a guest on its way: only a hint, whoever announces it takes it over."""


class DhcpSubnet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a DHCP server says of a subnet."""

    id: str
    cidr: str
    gateway_ip: str | None = None
    dns_nameservers: tuple[str, ...] = ()
    """Those of the subnet, or else all DHCP servers of the network; "0.0.0.0" or "::" is none."""
    host_routes: tuple[tuple[str, str], ...] = ()
    """(destination, next hop)"""
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None


class Dhcp(_Unit, frozen=True, tag="dhcp"):
    """A DHCP server of a network on this host; the id is the network's."""

    port: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    subnets: tuple[DhcpSubnet, ...]
    dns_domain: str = "openstacklocal"


class Lease(_Unit, frozen=True, tag="lease"):
    """What every DHCP server of a network gives to one port; the id is the port's."""

    network: str
    mac: str
    addresses: tuple[tuple[str, str], ...]
    """(subnet id, address)"""
    hostname: str
    options: tuple[tuple[int, str, str], ...] = ()
    """What this port's client is told besides: (IP version, dnsmasq's name or number of an option, value)."""


class RouterPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port of a router: the same MAC and addresses on every host that carries a twin."""

    id: str
    network: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    """With prefix lengths."""
    advertised: tuple[str, ...] = ()
    """IPv6 prefixes that the router announces here (SLAAC)."""
    managed: tuple[str, ...] = ()
    """IPv6 prefixes that it announces for DHCPv6 addresses (dhcpv6-stateful)."""
    other: bool = False
    """Tell clients to ask DHCPv6 for the rest (dhcpv6-stateless)."""
    scopes: tuple[str, str] = ("", "")
    """The address scopes of its IPv4 and IPv6 addresses."""


class Helper(msgspec.Struct, frozen=True, kw_only=True):
    """A protocol that opens further connections, which connection tracking is to understand."""

    name: str
    """As Neutron calls it: "ftp", "h323"..."""
    protocol: str
    port: int
    """To which such connections go."""


class MeterRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Packets between a router and its external network that a meter counts, or leaves out."""

    direction: Literal["ingress", "egress"]
    """From there, or to there."""
    excluded: bool = False
    source: str | None = None
    destination: str | None = None
    """Prefixes; addresses are the inner ones, before or after translation."""


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted together; the id is that of the metering label."""

    id: str
    rules: tuple[MeterRule, ...]


class Services(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a router does besides forwarding."""

    helpers: tuple[Helper, ...] = ()
    ndp_proxy: bool = False
    """It answers on its external network for the IPv6 addresses that are `proxied`, and lets nothing else in
    from there to its IPv6 subnets."""
    proxied: tuple[str, ...] = ()
    logs: tuple[Log, ...] = ()
    """Connections whose source is translated are written down."""
    meters: tuple[Meter, ...] = ()


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """One more gateway of a router, beside the first."""

    port: RouterPort
    nexthops: tuple[str, ...] = ()
    """Of its network, at most one a family."""


class Router(_Unit, frozen=True, tag="router"):
    """The central part of a router, one twin of it: complete, whether active or not."""

    number: int
    """Small and unique in the cloud: the device group of its ports on every host."""
    interfaces: tuple[RouterPort, ...] = ()
    gateway: RouterPort | None = None
    nexthops: tuple[str, ...] = ()
    """Default routes through the gateway, at most one a family."""
    more_gateways: tuple[Gateway, ...] = ()
    """What came by one of them is answered by it, and floating IPs of its network begin connections by it."""
    multipath: bool = False
    """IPv4 connections from inside begin by any of the gateways, not only by the first."""
    snat: bool = True
    routes: tuple[tuple[str, str], ...] = ()
    """(destination, next hop)"""
    limits: tuple[Limit, ...] = ()
    """Of the bandwidth of the gateway's own IPv4 address."""
    gate: Literal["election", "open", "closed"] = "closed"
    """Whether it takes part in traffic: as `election` says, always (the only candidate), or not (yet)."""
    election: str | None = None
    """Who decides when the gate is `election`."""
    twins: tuple[str, ...] = ()
    """Underlay addresses of the other candidates: where connections are copied to."""
    draining: bool = False
    """It is leaving this host: keep forwarding with another source MAC until it is gone."""
    renewed: int = 0
    """Of one that is always open: when this changes, another host may have gone on being open until now, and
    the router is announced again."""
    distributed: bool = False
    """The router has distributed parts: this one is in the namespace `snat-`, and theirs is `qrouter-`."""
    services: Services = Services()
    snat_ports: tuple[RouterPort, ...] = ()
    """By which distributed parts reach this one, one a network, with addresses of their own. `interfaces` is
    empty then, but while the router becomes distributed, or stops to be."""


class DistributedRouter(_Unit, frozen=True, tag="distributedrouter"):
    """The distributed part of a router, on a host that has ports on its networks.

    It has the same MAC and IP addresses on all such hosts, and none of them leaves a host.
    """

    mac: str
    """This host's DVR MAC: what stands for the gateways' MACs on the underlay."""
    interfaces: tuple[RouterPort, ...] = ()
    open: bool = False
    """Whether it takes part in traffic; until then another part answers for its addresses."""
    central: tuple[tuple[str, str], ...] = ()
    """(port of an interface, address of the central part there): the default routes of what comes from there,
    at most one a family."""
    routes: tuple[tuple[str, str], ...] = ()
    """(destination, next hop on one of its networks)"""
    external: str | None = None
    """The external network on which floating IPs of this router are reached here."""
    outer_routes: tuple[tuple[str, str], ...] = ()
    """(destination, IPv4 next hop on that network): for what has a floating IP here."""


class Neighbour(_Unit, frozen=True, tag="neighbour"):
    """A port, here or elsewhere, on a network of a distributed router of this host; the id is its own.

    The router is told of it, and need not ask for it.
    """

    network: str
    mac: str
    addresses: tuple[str, ...]


class FloatingGateway(_Unit, frozen=True, tag="floatinggateway"):
    """By which floating IPs of distributed routers are reached on this host, one an external network.

    The id is the network's. It has no IP address of its own.
    """

    port: str
    mac: str
    mtu: int
    subnets: tuple[str, ...] = ()
    """IPv4 prefixes of the external network."""
    nexthop: str | None = None
    """The IPv4 default route."""


class Forwarding(msgspec.Struct, frozen=True, kw_only=True):
    """Ports of a floating IP that lead to as many ports of a fixed IP in the same order, or all to one."""

    protocol: str
    """ "tcp", "udp", "sctp" or "dccp"."""
    external: tuple[int, int]
    """The first and the last."""
    fixed_ip: str
    internal: tuple[int, int]


class FloatingIP(_Unit, frozen=True, tag="floatingip"):
    """A floating IP of a router of this host."""

    router: str
    floating_ip: str
    network: str = ""
    """The external network whose address it is."""
    fixed_ip: str = ""
    """All of it leads there; "" where only ports of it lead anywhere."""
    forwardings: tuple[Forwarding, ...] = ()
    distributed: bool = False
    """It is served by the distributed part here, not by the central one."""
    waiting: bool = False
    """Its guest may appear here, or was here: it is translated here, too, and another host answers for it."""
    silent: bool = False
    """Another part of the router answers for it, and its guest sends by that one: serve who sends here."""
    limits: tuple[Limit, ...] = ()
    """Of its bandwidth."""


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """Another candidate of an election."""

    host: str
    address: str
    mac: str
    vtep: str


class Election(_Unit, frozen=True, tag="election"):
    """One VRRP instance in which this host is a candidate. It never changes: another list is another one."""

    ha_network: str
    vni: int
    mtu: int
    vrid: int
    priority: int
    advert_ms: int
    mac: str
    address: str
    """On the HA network, with prefix length."""
    peers: tuple[Peer, ...]
    joined: bool = False
    """It has begun: who takes part from now on first listens for whoever is active."""
    contested: float = 0.0
    """When the last of several candidates said that it is active, this host being one of them: tell how much
    of the underlay is in reach (`Report.contests`). 0 when it is not so."""
    yields_to: str = ""
    """The host that is the active one although it may not be heard here: take no part until it is heard."""
    overrules: bool = False
    """Another host that is active too has been told to yield to this one: announce routers until it does."""
    superseded: float = 0.0
    """The `since` of this host's own report of being active that counts no more because of `yields_to`."""


class InstanceAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address of an instance's port, and what its subnet says of it."""

    address: str
    """With prefix length."""
    dhcp: bool = False
    """Whether DHCP servers give it out (IPv4), or tell the rest (IPv6)."""
    ipv6_address_mode: str | None = None
    gateway_ip: str | None = None
    dns_nameservers: tuple[str, ...] = ()
    """Those of the subnet."""
    host_routes: tuple[tuple[str, str], ...] = ()
    """(destination, next hop)"""
    floating_ip: str | None = None
    """By which it is reached from outside."""


class Instance(_Unit, frozen=True, tag="instance"):
    """What metadata says to the instance behind a port of this host; the id is the port's."""

    network: str
    mac: str
    mtu: int
    addresses: tuple[InstanceAddress, ...]
    instance_id: str
    project_id: str
    hostname: str
    name: str = ""
    user_data: str | None = None
    """Base64."""
    public_keys: dict[str, str] = {}
    metadata: dict[str, str] = {}


Unit = (
    Network
    | Port
    | Qos
    | SecurityGroup
    | Member
    | AddressGroup
    | Logged
    | LocalIP
    | Remote
    | Dhcp
    | Lease
    | Router
    | DistributedRouter
    | Neighbour
    | FloatingGateway
    | FloatingIP
    | Election
    | Instance
)


class Put(msgspec.Struct, frozen=True, tag="put", tag_field="op"):
    """This unit is so now."""

    unit: Unit


class Delete(msgspec.Struct, frozen=True, tag="delete", tag_field="op"):
    """This unit is gone: the server knows that it must not be here."""

    key: str


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="op"):
    """A whole plan follows: what it does not name before `InSync` is gone."""

    database: str = ""
    """The identity of the database that it comes from."""


class InSync(msgspec.Struct, frozen=True, tag="in_sync", tag_field="op"):
    """All that was said so far is one consistent plan, known as `revision`."""

    revision: str


class Keepalive(msgspec.Struct, frozen=True, tag="keepalive", tag_field="op"):
    """Nothing new."""


Message = Put | Delete | Snapshot | InSync | Keepalive
"""One line of the plan stream. A stream is `Snapshot? (Put | Delete)* InSync`, again and again."""


class ElectionReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What this host is in an election."""

    id: str
    state: Literal["active", "standby", "fault"]
    since: float
    """Unix time of the change."""
    cause: str = ""
    gap_ms: float | None = None
    """Of the active: between the last advert of the one before and the opening of the gates here."""
    rival: str = ""
    """Of one that is active no more: the host that was active at the same time."""


class ContestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a host says when it is told that it is not the only active one in an election."""

    id: str
    contested: float
    """As in the plan: which contest it is."""
    reaches: int
    """How many other hosts' underlay addresses answer."""


class UplinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the next hop of routers' gateways answers this host."""

    network: str
    """The external network."""
    address: str
    ok: bool
    since: float
    """Unix time of the first answer, or of the first question that was not answered."""


class MeterReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a router here has counted under a metering label since it began to; it may begin anew."""

    router: str
    label: str
    packets: int
    bytes: int


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent tells the server, every report interval and at once when something changed."""

    started: float
    """Unix time at which the agent started."""
    roles: tuple[str, ...]
    """Of "l2", "l3", "dhcp", "metadata"."""
    vtep: str
    physical_networks: tuple[str, ...] = ()
    revision: str = ""
    """The plan that is applied in full, apart from `problems`."""
    ports_up: tuple[str, ...] = ()
    """Ports (instances', routers', DHCP servers') that carry traffic now, those that came up since the last
    report; all of them when `full`."""
    ports_down: tuple[str, ...] = ()
    full: bool = False
    elections: tuple[ElectionReport, ...] = ()
    """Those that changed; all of them when `full`."""
    problems: dict[str, str] = {}
    """Unit key -> what is wrong with it here, in words. Always all of them."""
    zone: str = "nova"
    version: str = ""
    contests: tuple[ContestReport, ...] = ()
    """Always all that the plan asks for."""
    uplinks: tuple[UplinkReport, ...] = ()
    """Always all that are known to answer or not to."""
    meters: tuple[MeterReport, ...] = ()
    """Those that have counted since the last report; all of them when `full`."""
    copying: tuple[str, ...] = ()
    """Routers that this host is to be ready to open, but is still being told the connections of."""
    agent_mode: Literal["legacy", "dvr", "dvr_snat", "dvr_no_external"] = "legacy"
    """What its l3 role is there for, as Neutron names it: central parts (legacy), distributed parts (dvr), or
    both (dvr_snat); without an external network: dvr_no_external."""
