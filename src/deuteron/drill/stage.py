"""What drills are done on: a router with everything that a tenant can have behind it, in a lab."""

import contextlib
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any

from deuteron.lab import enter, hosts, instances
from deuteron.lab import lab as labs
from deuteron.lab.client import ApiError, Client
from deuteron.lab.modes import Mode
from deuteron.lab.scene import GATEWAY, Scene
from deuteron.lab.state import Lab
from deuteron.lab.topology import NETWORKS, LabError

CLIENT, SERVED, NEIGHBOUR = "client", "served", "neighbour"
"""The instances: one that goes out by SNAT, one with a floating IP, one in another network."""
PLACED = {CLIENT: ("compute1", "blue"), SERVED: ("compute2", "blue"), NEIGHBOUR: ("compute2", "green")}
OUTSIDE = "outside"
BLUE, BLUE_V6, GREEN = "10.1.0.0/24", "2001:db8:1::/64", "10.2.0.0/24"
EXTERNAL_V6, GATEWAY_V6 = "2001:db8:113::/64", "2001:db8:113::1"
NETWORK_HOSTS, DHCP_SERVERS = 3, 2
"""What the default lab has, and what the default settings promise there."""
INTERFACES = (
    "network:router_interface",
    "network:ha_router_replicated_interface",
    "network:router_interface_distributed",
)
"""Whose ports a router's ports on networks are, in one mode or another."""
CENTRAL_MODES = ("legacy", "dvr_snat")
"""Agent modes of hosts that can carry the central part of a router."""


@dataclass(frozen=True)
class Stage:
    """A lab in which all of that is there."""

    lab: Lab
    api: Client
    mode: Mode
    router: str
    networks: Mapping[str, str]
    """Name -> id."""
    ports: Mapping[str, str]
    """Instance -> port."""
    addresses: Mapping[str, str]
    """Instance -> its fixed IPv4 address."""
    floating_ip: str
    """Of the instance `served`."""
    central_ip: str
    """A floating IP of a port that is on no host: the central part serves it in every mode."""
    gateways: Mapping[str, frozenset[str]]
    """MAC address of each of the router's ports on the networks -> its addresses, the link-local one too."""

    @property
    def scene(self) -> Scene:
        """The router and its first network, as the lab's helpers take it."""
        return Scene(self.api, "", self.networks["blue"], self.router, self.mode.redundant)

    def agents(self) -> list[str]:
        """Return the hosts that have an agent."""
        return list(self.lab.record().topology.with_service("agent"))

    def candidates(self) -> list[str]:
        """Return the hosts that can carry the router's central part."""
        hosts = self.lab.record().topology.hosts
        able = {name for name, one in hosts.items() if "l3" in one.roles and one.agent_mode in CENTRAL_MODES}
        return [name for name in self.agents() if name in able]

    def controller(self) -> str:
        """Return the host of the server."""
        return next(self.lab.record().topology.with_service("server"))

    def hosts(self) -> list[str]:
        """Return every host of the cloud: the controller and those with an agent."""
        return [self.controller(), *self.agents()]


def build(lab: Lab, mode: Mode) -> Stage:
    """Bring the lab up and build everything in it. Raises LabError."""
    labs.up(lab)
    api = labs.client(lab)
    external = _external(api)
    networks = {name: str(api.create("network", name=name)["id"]) for name in ("blue", "green")}
    subnets = [
        _subnet(api, networks["blue"], BLUE),
        _subnet(api, networks["blue"], BLUE_V6, ipv6_ra_mode="slaac", ipv6_address_mode="slaac"),
        _subnet(api, networks["green"], GREEN),
    ]
    gateway = {"network_id": external}
    kind = {"ha": mode.redundant, "distributed": mode.distributed}
    router = api.create("router", name="drilled", external_gateway_info=gateway, **kind)
    for subnet in subnets:
        api.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet})
    ports = {
        name: api.create("port", name=name, network_id=networks[network])
        for name, (_, network) in PLACED.items()
    }
    unbound = api.create("port", name="unbound", network_id=networks["blue"])
    floating, central = (
        str(api.create("floatingip", floating_network_id=external, port_id=port["id"])["floating_ip_address"])
        for port in (ports[SERVED], unbound)
    )
    stage = Stage(
        lab=lab,
        api=api,
        mode=mode,
        router=str(router["id"]),
        networks=networks,
        ports={name: port["id"] for name, port in ports.items()},
        addresses={name: _address(port) for name, port in ports.items()},
        floating_ip=floating,
        central_ip=central,
        gateways=_gateways(api, str(router["id"])),
    )
    _teach_outside(lab, router)
    for name in PLACED:
        boot(stage, name)
    return stage


def _gateways(api: Client, router: str) -> dict[str, frozenset[str]]:
    found = {}
    for port in api.get("/v2.0/ports", device_id=router)["ports"]:
        if port["device_owner"] in INTERFACES:
            addresses = {ip["ip_address"] for ip in port["fixed_ips"]}
            found[port["mac_address"]] = frozenset({*addresses, link_local(port["mac_address"])})
    return found


def link_local(mac: str) -> str:
    """Return the IPv6 address that a port with a MAC address has on its link."""
    number = bytes.fromhex(mac.replace(":", ""))
    last = bytes([number[0] ^ 2, *number[1:3], 0xFF, 0xFE, *number[3:]])
    return str(IPv6Address(b"\xfe\x80" + bytes(6) + last))


def boot(stage: Stage, name: str) -> None:
    """Boot an instance on its host, also one whose host had lost its power. Raises LabError."""
    if name in stage.lab.instances():
        instances.destroy(stage.lab, name)
    instances.boot(stage.lab, name, PLACED[name][0], port=stage.ports[name])


def running(stage: Stage) -> set[str]:
    """Return the instances that run."""
    found: set[str] = set()
    for host in {host for host, _ in PLACED.values()}:
        with contextlib.suppress(LabError):  # it is off
            found |= hosts.ask(stage.lab, host, "status")["instances"].keys()
    return found


def _external(api: Client) -> str:
    kind = {"provider:network_type": "flat", "provider:physical_network": "external", "router:external": True}
    network = str(api.create("network", name="external", **kind)["id"])
    pool = [{"start": "203.0.113.100", "end": "203.0.113.199"}]
    plain: dict[str, Any] = {"enable_dhcp": False}
    _subnet(api, network, NETWORKS["external"], gateway_ip=GATEWAY, allocation_pools=pool, **plain)
    _subnet(api, network, EXTERNAL_V6, gateway_ip=GATEWAY_V6, **plain)
    return network


def _subnet(api: Client, network: str, cidr: str, **attributes: Any) -> str:
    version = 6 if ":" in cidr else 4
    return str(api.create("subnet", network_id=network, cidr=cidr, ip_version=version, **attributes)["id"])


def _address(port: Mapping[str, Any]) -> str:
    return next(str(ip["ip_address"]) for ip in port["fixed_ips"] if ":" not in ip["ip_address"])


def _teach_outside(lab: Lab, router: Mapping[str, Any]) -> None:
    """Tell the outside host the way to the tenant's IPv6 addresses, which nothing translates."""
    fixed = router["external_gateway_info"]["external_fixed_ips"]
    via = next(ip["ip_address"] for ip in fixed if ":" in ip["ip_address"])
    run(lab, OUTSIDE, "ip", "-6", "route", "replace", BLUE_V6, "via", via)


def run(lab: Lab, place: str, *argv: str) -> str:
    """Run a command in a host or instance; return what it prints. Raises LabError when it fails."""
    command = enter.command(labs.locate(lab, place), argv)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise LabError(f"{place}: `{' '.join(argv)[:200]}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def ask(stage: Stage, path: str, **query: str) -> Any:
    """Return what the API shows; None when it does not answer."""
    try:
        return Client(stage.api.endpoint, timeout=5).get(path, **query)
    except ApiError:
        return None
