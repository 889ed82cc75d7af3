"""The settings of `deuteron agent`: sections [agent] and [network_log]."""

import ipaddress
import socket
import ssl
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from deuteron.agent.connection import Server
from deuteron.config import ConfigError

Role = Literal["l2", "l3", "dhcp", "metadata"]
AgentMode = Literal["legacy", "dvr", "dvr_snat", "dvr_no_external"]


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent must be told."""

    host: str = ""
    """The name of this host in the cloud; default: its hostname."""
    server: str = "http://127.0.0.1:9696"
    cafile: str = ""
    """Whose certificates an https:// server may show (PEM); default: those that this host trusts."""
    token: str = ""
    """What the server lets agents in for: its `agents_token`."""
    local_ip: str = ""
    """The address of this host on the underlay: the end of its tunnels."""
    roles: str = "l2,l3,dhcp,metadata"
    bridge_mappings: str = ""
    """Physical networks and their devices: "external:eth2,storage:eth3"."""
    dscp_inherit: bool = False
    """Whether the outer header of tunnels has the DSCP mark of the packet inside."""
    agent_mode: AgentMode = "legacy"
    """Which parts of routers the host carries: central ones (legacy), distributed ones (dvr, or without an
    external network dvr_no_external), or both (dvr_snat)."""
    zone: str = "nova"
    state_dir: str = "/var/lib/deuteron"
    run_dir: str = "/run/deuteron"
    report_interval: float = 2.0
    """Seconds between reports when nothing happens."""
    uplink_check_interval: float = 1.0
    """Seconds between two questions to the next hops of routers' gateways; 0 for no questions."""
    measure_interval: float = 30.0
    """Seconds between two readings of what routers have counted."""
    dhcp_lease_duration: int = 86400
    """Seconds."""
    metadata_port: int = 9697
    """Of the loopback, where haproxy finds the agent."""
    nova_metadata_host: str = ""
    """Where Nova's metadata service is; without it the server's own knowledge of instances is served."""
    nova_metadata_port: int = 8775
    metadata_proxy_shared_secret: str = ""


class NetworkLogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is written down of packets, and where: section [network_log]."""

    rate_limit: Annotated[int, msgspec.Meta(ge=100, le=2**31 - 1)] = 100
    """Packets in a second: of all instances' ports of the host, and of each router."""
    burst_limit: Annotated[int, msgspec.Meta(ge=25, le=2**31 - 1)] = 25
    """Packets that may come at once besides."""
    local_output_log_base: str = ""
    """The file; default: the agent's own log."""

    @property
    def limit(self) -> str:
        """The limit as nftables has it."""
        return f"rate {self.rate_limit}/second burst {self.burst_limit} packets"


class ParsedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings whose text has a structure of its own."""

    host: str
    server: Server
    local_ip: str
    roles: tuple[Role, ...]
    bridge_mappings: dict[str, str]


def parse(settings: AgentSettings) -> ParsedSettings:
    """Return what the texts in the settings mean. Raises ConfigError, which names the option."""
    return ParsedSettings(
        host=settings.host or socket.gethostname(),
        server=_server(settings.server, settings.cafile),
        local_ip=_address(settings.local_ip),
        roles=_roles(settings.roles),
        bridge_mappings=_mappings(settings.bridge_mappings),
    )


def _server(text: str, cafile: str) -> Server:
    try:
        parts = urlsplit(text)
        port = parts.port or 9696
    except ValueError as error:
        raise ConfigError(f"[agent] server = {text!r}: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise ConfigError(f"[agent] server = {text!r}: expected a URL such as http://10.0.0.1:9696")
    if parts.scheme == "http":
        if cafile:
            raise ConfigError(f"[agent] cafile = {cafile!r}: needs a server = https://...")
        return Server(parts.hostname, port)
    try:
        return Server(parts.hostname, port, ssl.create_default_context(cafile=cafile or None))
    except OSError as error:
        raise ConfigError(f"[agent] cafile = {cafile!r}: {error.strerror or error}") from None


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigError(
            f"[agent] local_ip = {text!r}: set the address of this host on the underlay network"
        ) from None


def _roles(text: str) -> tuple[Role, ...]:
    wanted = {word.strip() for word in text.split(",") if word.strip()}
    known: tuple[Role, ...] = get_args(Role)
    if not wanted or wanted - set(known):
        raise ConfigError(f"[agent] roles = {text!r}: expected some of {','.join(known)}")
    return tuple(role for role in known if role in wanted)


def _mappings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, (word.strip() for word in text.split(","))):
        network, colon, device = item.partition(":")
        if not (network and colon and device) or network in found:
            raise ConfigError(
                f"[agent] bridge_mappings = {text!r}: expected NETWORK:DEVICE,... and each network once"
            )
        found[network] = device
    return found
