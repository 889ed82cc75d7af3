"""The server's settings: `[server]` of the configuration file."""

from typing import Literal

import msgspec


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options with Neutron's names mean what they mean there; times are in seconds."""

    listen: tuple[str, ...] = ("127.0.0.1:9696",)
    """Addresses to serve on, ADDRESS:PORT."""
    database: str = "sqlite:////var/lib/deuteron/deuteron.db"
    """An SQLAlchemy URL: sqlite:////FILE or postgresql://..."""
    auth: str = "noauth"
    """Who may call: `noauth` (everybody who reaches it, as administrator)."""
    allow_remote_noauth: bool = False
    """Serve `noauth` on other addresses than loopback."""
    default_project_id: str = "00000000000040008000000000000001"
    """The project of what is created without one (`noauth`)."""
    pagination_max_limit: int = 0
    """At most so many items in one answer; 0 for no limit."""
    max_request_body_size: int = 16 * 1024 * 1024
    """Bytes of a request's body."""

    network_type: str = "vxlan"
    """The type of networks whose creator names none."""
    vni_ranges: str = "1:16777215"
    """VXLAN identifiers to give out, FIRST:LAST,FIRST:LAST..."""
    flat_networks: tuple[str, ...] = ("*",)
    """Physical networks that may be used; * for all."""
    global_physnet_mtu: int = 1500
    """Bytes; a VXLAN network gets 50 less."""
    base_mac: str = "fa:16:3e:00:00:00"
    """The first three octets of new MAC addresses."""
    dns_domain: str = "openstacklocal"
    """The domain of instances whose network has none."""
    max_dns_nameservers: int = 5
    """On a subnet."""
    max_subnet_host_routes: int = 20
    """On a subnet."""
    max_routes: int = 30
    """On a router."""
    max_allowed_address_pair: int = 10
    """On a port."""
    max_fixed_ips_per_port: int = 255
    """On a port that is not a router's."""

    dhcp_agents_per_network: int = 2
    """Hosts that serve DHCP for a network."""
    dhcp_load_type: Literal["networks", "subnets", "ports"] = "networks"
    """What is counted to find the host that serves the least DHCP."""
    l3_ha: bool = False
    """Whether a new router whose creator does not say is redundant."""
    max_l3_agents_per_router: int = 3
    """Candidate hosts of a redundant router; 0 for all."""
    ha_candidate_replacement_delay: float = 300.0
    """A dead candidate of a redundant router is replaced after so long."""
    strict_router_mode_change: bool = False
    """Whether a router must be administratively down when it becomes redundant, or ceases to be."""
    ha_vrrp_advert_ms: int = 20
    """Milliseconds between two adverts of an active host."""
    l3_ha_net_cidr: str = "169.254.192.0/18"
    """The hidden HA networks' subnet."""
    ha_network_scope: Literal["cloud", "project"] = "cloud"
    """Whether new redundant routers share one hidden HA network, or those of each project have their own."""
    enable_snat_by_default: bool = True
    """Whether a gateway whose creator does not say translates addresses."""
    report_interval: float = 2.0
    """Between two reports of an agent."""
    agent_down_time: float = 10.0
    """An agent silent for so long is dead."""
