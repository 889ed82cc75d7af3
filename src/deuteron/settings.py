"""The server's settings: `[server]` of the configuration file, and `[keystone_authtoken]`."""

from typing import Literal

import msgspec


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Options with Neutron's names mean what they mean there; times are in seconds."""

    listen: tuple[str, ...] = ("127.0.0.1:9696",)
    """Addresses to serve on, ADDRESS:PORT."""
    database: str = "sqlite:////var/lib/deuteron/deuteron.db"
    """An SQLAlchemy URL: sqlite:////FILE or postgresql://..."""
    ssl_cert_file: str = ""
    """A certificate (PEM, with those that lead to it): then it serves https and nothing else."""
    ssl_key_file: str = ""
    """The certificate's key; default: it is in the same file."""
    auth: Literal["noauth", "http_basic", "keystone"] = "noauth"
    """Who may call: everybody who reaches it, as administrator; whom a file of passwords knows; whom the
    Keystone of section [keystone_authtoken] knows."""
    allow_remote_noauth: bool = False
    """Serve without authentication on other addresses than loopback: the API with `noauth`, the agents
    without `agents_token`."""
    agents_token: str = ""
    """What agents show to be let in; the same as `token` of their section [agent]."""
    http_basic_auth_user_file: str = "/etc/deuteron/htpasswd"
    """`http_basic`: lines USER:BCRYPT-HASH."""
    http_basic_projects_file: str = ""
    """`http_basic`: TOML, for each user its project_id and roles; without it all are administrators."""
    default_project_id: str = "00000000000040008000000000000001"
    """The project of what is created without one (`noauth`)."""
    pagination_max_limit: int = 0
    """At most so many items in one answer; 0 for no limit."""
    max_request_body_size: int = 16 * 1024 * 1024
    """Bytes of a request's body."""

    policy_file: str = ""
    """A YAML file of rules of policy that differ from the defaults."""
    enforce_scope: bool = True
    """Whether tokens for the system or a domain, not a project, are refused below /v2.0."""

    quota_network: int = 100
    """Networks a project may have; -1 for any number. With `noauth` no number counts that is not set
    through the API: there are no projects that could take anything from each other."""
    quota_subnet: int = 100
    quota_port: int = 500
    quota_router: int = 10
    quota_floatingip: int = 50
    quota_rbac_policy: int = 10
    quota_security_group: int = 10
    quota_security_group_rule: int = 100
    quota_subnetpool: int = -1
    quota_address_scope: int = -1

    notify_nova_on_port_status_changes: bool = False
    """Tell Nova when an instance's port is up or down: it lets instances begin when their ports are up. It is
    found as section [nova] says."""
    notify_nova_on_port_data_changes: bool = False
    """Tell Nova when an instance's port or floating IP is changed or gone."""
    vif_type: Literal["bridge", "tap"] = "bridge"
    """What Nova is told to plug: a device on the network's bridge, as os-vif before 5.0 and libvirt do it, or
    only a device, which the agent puts there."""
    project_network_types: tuple[Literal["vxlan", "vlan"], ...] = ("vxlan",)
    """The types of networks whose creator names none: the first of which there is a number left."""
    vni_ranges: str = "1:16777215"
    """VXLAN identifiers to give out, FIRST:LAST,FIRST:LAST..."""
    flat_networks: tuple[str, ...] = ("*",)
    """Physical networks that may be used by flat networks; * for all."""
    network_vlan_ranges: tuple[str, ...] = ()
    """Physical networks that may carry VLANs, and the VLANs to give out there: PHYSICAL_NETWORK:FIRST:LAST.
    With PHYSICAL_NETWORK alone, an administrator names the VLAN of each network."""
    global_physnet_mtu: int = 1500
    """Bytes; a VXLAN network gets 50 less."""
    base_mac: str = "fa:16:3e:00:00:00"
    """The first three octets of new MAC addresses."""
    dvr_base_mac: str = "fa:16:3f:00:00:00"
    """The first three octets of the hosts' own MAC addresses with which distributed routers' packets travel;
    others than those of base_mac."""
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
    allowed_conntrack_helpers: tuple[str, ...] = (
        "amanda:udp",
        "ftp:tcp",
        "h323:tcp",
        "h323:udp",
        "irc:tcp",
        "netbios-ns:udp",
        "pptp:tcp",
        "sane:tcp",
        "sip:tcp",
        "sip:udp",
        "snmp:udp",
        "tftp:udp",
    )
    """HELPER:PROTOCOL that a router may be asked to understand: those that Linux has."""
    max_fixed_ips_per_port: int = 255
    """On a port that is not a router's."""

    dhcp_agents_per_network: int = 2
    """Hosts that serve DHCP for a network."""
    dhcp_load_type: Literal["networks", "subnets", "ports"] = "networks"
    """What is counted to find the host that serves the least DHCP."""
    l3_ha: bool = False
    """Whether a new router whose creator does not say is redundant."""
    router_distributed: bool = False
    """Whether a new router whose creator does not say is distributed."""
    max_l3_agents_per_router: int = 3
    """Candidate hosts of a redundant router; 0 for all."""
    ha_candidate_replacement_delay: float = 300.0
    """A dead candidate of a redundant router is replaced after so long."""
    strict_router_mode_change: bool = False
    """Whether a router must be administratively down when it becomes redundant or distributed, or ceases to
    be."""
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


class KeystoneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section [keystone_authtoken], with the names that the section has in all of OpenStack."""

    auth_url: str = ""
    """Keystone, for this server: https://keystone.example:5000"""
    www_authenticate_uri: str = ""
    """Keystone, for clients; default: auth_url."""
    auth_type: Literal["password", "v3password"] = "password"
    username: str = "neutron"
    password: str = ""
    user_domain_id: str = ""
    user_domain_name: str = ""
    project_name: str = "service"
    project_domain_id: str = ""
    project_domain_name: str = ""
    """Without a domain's id or name it is the domain `default`."""
    cafile: str = ""
    insecure: bool = False
    """Take any certificate."""
    http_connect_timeout: float = 10.0
    """Also of the answer."""
    http_request_max_retries: int = 3
    token_cache_time: float = 300.0
    """A token is not validated again for so long, even if it is revoked; 0: it is validated each time."""
    service_token_roles: tuple[str, ...] = ("service",)
    """Roles of services whose token makes a user's expired one count."""


class NovaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Section [nova], named as in neutron.conf: who is told of instances' ports, and how."""

    auth_type: Literal["password", "v3password", "admin_token", "none"] = "password"
    """By a password that Keystone knows; by `token`, or by nothing, at `endpoint_override`."""
    auth_url: str = ""
    """Keystone: https://keystone.example:5000"""
    username: str = "nova"
    password: str = ""
    user_domain_id: str = ""
    user_domain_name: str = ""
    project_name: str = "service"
    project_domain_id: str = ""
    project_domain_name: str = ""
    """Without a domain's id or name it is the domain `default`."""
    token: str = ""
    region_name: str = ""
    """Of Nova in Keystone's catalogue."""
    endpoint_type: Literal["public", "internal", "admin"] = "public"
    endpoint_override: str = ""
    """Where Nova is, in place of what the catalogue says: http://nova.example:8774/v2.1"""
    cafile: str = ""
    insecure: bool = False
    """Take any certificate."""
    timeout: float = 10.0
    """For an answer."""
