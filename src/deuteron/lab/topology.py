"""What a lab consists of: its hosts, which networks they are on and what runs on them."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

NetworkName = Literal["management", "underlay", "external"]
Service = Literal["server", "switch", "agent", "echo"]

NETWORKS: dict[NetworkName, str] = {
    "management": "10.10.0.0/24",
    "underlay": "10.20.0.0/24",
    "external": "203.0.113.0/24",
}
DEVICES: dict[NetworkName, str] = {"management": "eth-mgmt", "underlay": "eth-under", "external": "eth-ext"}
"""What the port of a network is called inside a host."""

API_PORT = 9696
FIRST_HOST = 11
_HOST_NAME = re.compile(
    r"[a-z][a-z0-9-]{0,11}[a-z0-9]"
)  # a port of the switch is called u-<host>: 15 letters


class LabError(Exception):
    """What went wrong in the lab, to what, and what to do."""


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One host, as its table `[hosts.NAME]` says."""

    networks: tuple[NetworkName, ...] = ("management", "underlay")
    services: tuple[Service, ...] = ("switch", "agent")
    roles: tuple[Literal["l2", "l3", "dhcp", "metadata"], ...] = ()
    """Of its agent."""
    agent_mode: Literal["legacy", "dvr", "dvr_snat", "dvr_no_external"] = "legacy"
    """What its role l3 is there for."""
    zone: str = "nova"
    external: tuple[str, ...] = ()
    """Its own addresses on the external network, with prefix lengths; without any, that port carries the
    cloud's traffic and the host itself is silent there."""
    loopback: tuple[str, ...] = ()
    """More addresses of its own, with prefix lengths."""


class Topology(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that `deuteron lab up` reads."""

    hosts: dict[str, Host]
    server: dict[str, str | int | float | bool] = {}
    """Settings of every server, as in the section [server] of its configuration file."""
    agent: dict[str, str | int | float | bool] = {}
    """Settings of every agent."""

    def number(self, host: str) -> int:
        """Return the number of a host, by which its addresses differ from those of others."""
        return FIRST_HOST + list(self.hosts).index(host)

    def mac(self, host: str, network: NetworkName) -> str:
        """Return the MAC address of a host on a network: the same after each start, as a real one's."""
        return f"02:d0:00:00:{list(NETWORKS).index(network):02x}:{self.number(host):02x}"

    def addresses(self, host: str) -> dict[NetworkName, tuple[str, ...]]:
        """Return the addresses of a host on each of its networks, with prefix lengths."""
        spec = self.hosts[host]
        found: dict[NetworkName, tuple[str, ...]] = {}
        for name in spec.networks:
            subnet = ipaddress.ip_network(NETWORKS[name])
            own = (f"{subnet[self.number(host)]}/{subnet.prefixlen}",)
            found[name] = spec.external if name == "external" else own
        return found

    def address(self, host: str, network: NetworkName) -> str:
        """Return the first address of a host on a network, without prefix length."""
        return self.addresses(host)[network][0].partition("/")[0]

    def with_service(self, service: Service) -> Iterator[str]:
        """Yield the hosts that run a service."""
        return (name for name, host in self.hosts.items() if service in host.services)


def load(path: Path | None = None) -> Topology:
    """Read a topology; without a path, the one of seven hosts that ships with Deuteron. Raises LabError."""
    path = path or Path(__file__).with_name("default.toml")
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise LabError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: {error}") from None
    return convert(document, str(path))


def convert(document: dict[str, Any], source: str) -> Topology:
    """Check a document and return it as a topology. Raises LabError, whose text begins with `source`."""
    try:
        topology = msgspec.convert(document, Topology)
    except msgspec.ValidationError as error:
        raise LabError(f"{source}: {error}") from None
    for problem in _problems(topology):
        raise LabError(f"{source}: {problem}")
    return topology


def _problems(topology: Topology) -> Iterator[str]:
    if not 1 <= len(topology.hosts) <= 200:
        yield "a lab has 1 to 200 hosts"
    controllers = list(topology.with_service("server"))
    if len(controllers) > 1:
        yield f"one host runs the server; here {' and '.join(controllers)} do"
    for name, host in topology.hosts.items():
        if not _HOST_NAME.fullmatch(name):
            yield f"host {name!r}: a name is 2 to 13 lower case letters, digits and hyphens"
        if "server" in host.services and "management" not in host.networks:
            yield f"host {name}: the server needs the management network"
        if "agent" in host.services and not {"management", "underlay"} <= set(host.networks):
            yield f"host {name}: an agent needs the networks management and underlay"
        if "agent" in host.services and not controllers:
            yield f"host {name}: an agent needs a host with the service server"
        if "agent" in host.services and not host.roles:
            yield f"host {name}: an agent needs roles"
        for address in (*host.external, *host.loopback):
            try:
                ipaddress.ip_interface(address)
            except ValueError as error:
                yield f"host {name}: {error}"
