"""Values of a port's `device_owner` that mean something here."""

DHCP = "network:dhcp"
ROUTER_GATEWAY = "network:router_gateway"
ROUTER_INTERFACE = "network:router_interface"
ROUTER_HA_INTERFACE = "network:ha_router_replicated_interface"
FLOATING_IP = "network:floatingip"
LOCAL_IP = "network:local_ip"
"""Of an address that leads to other ports, one on each host."""
HA_PORT = "network:router_ha_interface"
"""Of a redundant router on one of its hosts, to be seen only: see ha_port."""
HEARTBEAT = "network:router_ha_heartbeat"
"""Of a host on an HA network: the heartbeat of all its elections there travels by it."""

ROUTER_DISTRIBUTED_INTERFACE = "network:router_interface_distributed"
ROUTER_SNAT = "network:router_centralized_snat"
"""By which the distributed parts of a router reach its central part, one on each of its networks."""
AGENT_GATEWAY = "network:floatingip_agent_gateway"
"""By which floating IPs of distributed routers are reached on one host; it has no address."""

ROUTER_INTERFACES = frozenset({ROUTER_INTERFACE, ROUTER_HA_INTERFACE, ROUTER_DISTRIBUTED_INTERFACE})
ROUTER_INSIDE = ROUTER_INTERFACES | {ROUTER_SNAT}
"""On the networks between which a router routes."""
ROUTER_PORTS = ROUTER_INTERFACES | {ROUTER_GATEWAY}
AUTO_DELETED = frozenset({DHCP, AGENT_GATEWAY})
"""Ports that go by themselves with their network."""


def of_interface(*, ha: bool, distributed: bool) -> str:
    """Return the owner of the ports by which such a router reaches its networks."""
    if distributed:
        return ROUTER_DISTRIBUTED_INTERFACE
    return ROUTER_HA_INTERFACE if ha else ROUTER_INTERFACE
