"""What the host must have before an agent can work on it, and what to do when it is missing."""

import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deuteron.agent.settings import ParsedSettings, Role
from deuteron.agent.system import ip
from deuteron.agent.system.errors import SystemCommandError

_CLONE_NEWNET = 0x40000000
_NETLINK_NETFILTER = 12
_CT_GET_STATS = 1 << 8 | 5
_REQUEST, _ERROR = 1, 2
_ALL: frozenset[Role] = frozenset({"l2", "l3", "dhcp", "metadata"})

_TOOLS: tuple[tuple[str, str, frozenset[Role]], ...] = (
    ("ip", "iproute2", _ALL),
    ("bridge", "iproute2", _ALL),
    ("tc", "iproute2", _ALL),
    ("nft", "nftables", frozenset({"l2", "l3"})),
    ("keepalived", "keepalived", frozenset({"l3"})),
    ("radvd", "radvd", frozenset({"l3"})),
    ("dnsmasq", "dnsmasq-base", frozenset({"dhcp"})),
    ("haproxy", "haproxy", frozenset({"metadata"})),
)


@dataclass(frozen=True)
class _Feature:
    """A feature of the kernel, and a command that works only where it is there."""

    name: str
    remedy: str
    roles: frozenset[Role]
    argv: tuple[str, ...]
    stdin: str = ""


_GATE = """table bridge probe {
 set s { type devgroup; }
 chain c {
  type filter hook prerouting priority -310; iifgroup @s drop
 }
}
"""
_NAT = """table inet probe {
 chain c {
  type nat hook postrouting priority srcnat; ct state new masquerade
 }
}
"""
_ARP = """table arp probe {
 chain c {
  type filter hook output priority 0; arp operation request arp saddr ip set 192.0.2.1
 }
}
"""
_FEATURES = (
    _Feature("bridges", "CONFIG_BRIDGE (modprobe bridge)", _ALL, ("ip", "link", "add", "type", "bridge")),
    _Feature("veth pairs", "CONFIG_VETH (modprobe veth)", _ALL, ("ip", "link", "add", "type", "veth")),
    _Feature(
        "VXLAN",
        "CONFIG_VXLAN (modprobe vxlan)",
        frozenset({"l2", "l3"}),
        ("ip", "link", "add", "type", "vxlan", "id", "1", "dstport", "4789", "local", "127.0.0.1"),
    ),
    _Feature(
        "nftables in bridges",
        "CONFIG_NF_TABLES_BRIDGE (modprobe nf_tables)",
        frozenset({"l3"}),
        ("nft", "-f", "-"),
        _GATE,
    ),
    _Feature(
        "nftables NAT and connection tracking",
        "CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NF_CONNTRACK (modprobe nft_chain_nat)",
        frozenset({"l3"}),
        ("nft", "-f", "-"),
        _NAT,
    ),
    _Feature(
        "nftables for ARP",
        "CONFIG_NF_TABLES_ARP (modprobe nf_tables)",
        frozenset({"l3"}),
        ("nft", "-f", "-"),
        _ARP,
    ),
    _Feature(
        "several routing tables for IPv4",
        "CONFIG_IP_MULTIPLE_TABLES",
        frozenset({"l3"}),
        ("ip", "rule", "add", "fwmark", "0x10", "lookup", "16"),
    ),
    _Feature(
        "several routing tables for IPv6",
        "CONFIG_IPV6_MULTIPLE_TABLES",
        frozenset({"l3"}),
        ("ip", "-6", "rule", "add", "iif", "lo", "lookup", "16"),
    ),
)


def missing(settings: ParsedSettings) -> list[str]:
    """Return what this host lacks for its roles, each with what to do about it."""
    roles = frozenset(settings.roles)
    found = [
        f"{tool} is missing: apt-get install {package}"
        for tool, package, needed_by in _TOOLS
        if needed_by & roles and not shutil.which(tool)
    ]
    if os.geteuid():
        found.append("the agent needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)")
    if found:
        return found
    return in_scratch_namespace(lambda: _missing_features(roles)) or _missing_devices(settings)


def _missing_features(roles: frozenset[Role]) -> list[str]:
    found = []
    for feature in _FEATURES:
        if feature.roles & roles:
            done = subprocess.run(
                feature.argv, input=feature.stdin, capture_output=True, text=True, check=False
            )
            if done.returncode:
                found.append(
                    f"the kernel lacks {feature.name}: {feature.remedy}; it said: {done.stderr.strip()}"
                )
    if "l3" in roles and not _tells_connections():
        found.append(
            "the kernel does not tell of connections: CONFIG_NF_CT_NETLINK (modprobe nf_conntrack_netlink)"
        )
    return found


def _tells_connections() -> bool:
    """Return whether the kernel answers questions about connections (ctnetlink)."""
    count = struct.pack("=IHHII4x", 20, _CT_GET_STATS, _REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as connection:
            connection.settimeout(1)
            connection.send(count)
            kind: int = struct.unpack_from("=IH", connection.recv(4096))[1]
    except OSError:
        return False
    return kind != _ERROR


def _missing_devices(settings: ParsedSettings) -> list[str]:
    try:
        links = ip.show("address show")
    except SystemCommandError as error:
        return [str(error)]
    found = [
        f"bridge_mappings: there is no device {device} (for physical network {network})"
        for network, device in settings.bridge_mappings.items()
        if not any(link["ifname"] == device for link in links)
    ]
    local = {info["local"] for link in links for info in link.get("addr_info", []) if "local" in info}
    if settings.local_ip not in local:
        found.append(f"local_ip: no device of this host has the address {settings.local_ip}")
    return found


def in_scratch_namespace(probe: Callable[[], Sequence[str]]) -> list[str]:
    """Return what a function finds, called in a thread with a network namespace of its own."""
    found: list[str] = []

    def run() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            found.append(f"network namespaces cannot be made (CONFIG_NET_NS, CAP_SYS_ADMIN): {reason}")
            return
        found.extend(probe())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found
