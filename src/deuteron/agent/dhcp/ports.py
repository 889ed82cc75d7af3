"""The port of a DHCP server on this host: a namespace and a pair of devices."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deuteron.agent import names
from deuteron.agent.system import ip, netns, sysctl
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Dhcp

Link = Mapping[str, Any]


def build(dhcp: Dhcp, taps: Mapping[str, Link]) -> None:
    """Make namespace, devices and addresses so. `taps` are the devices of the host.

    Raises SystemCommandError; a device of the same name that is not ours is left alone.
    """
    namespace, tap = names.dhcp_namespace(dhcp.id), names.tap(dhcp.port)
    link = taps.get(tap)
    if link and not names.is_ours(link):
        raise SystemCommandError(f"device {tap}", "it is not ours: remove or rename it")
    netns.create(namespace)
    inside = {found["ifname"]: found for found in ip.show("address show", namespace)}
    device = names.dhcp_device(dhcp.port)
    others = [name for name in inside if name.startswith("ns-") and name != device]
    ip.batch([f"link delete {name}" for name in others], namespace)
    if link and device not in inside:
        ip.batch([f"link delete {tap}"])
        link = None
    if link is None:
        sysctl.write({"net/ipv6/conf/default/accept_ra": "0", "net/ipv4/ip_forward": "0"}, namespace)
        ip.batch(_create(dhcp, tap, device, namespace))
        inside.pop(device, None)
    ip.batch(_inside(dhcp, device, inside.get(device)), namespace)
    if not link or not _is_plugged(link, dhcp):
        sysctl.write({f"net/ipv6/conf/{tap}/disable_ipv6": "1"})
        ip.batch([f"link set {tap} mtu {dhcp.mtu} master {names.bridge(dhcp.id)} up"])


def _is_plugged(link: Link, dhcp: Dhcp) -> bool:
    return link.get("master") == names.bridge(dhcp.id) and link["mtu"] == dhcp.mtu and "UP" in link["flags"]


def remove(network: str) -> None:
    """Remove the namespace of a network's DHCP server with its devices. Raises SystemCommandError."""
    namespace = names.dhcp_namespace(network)
    if namespace not in netns.names() or not netns.is_ours(namespace):
        return
    devices = [link["ifname"] for link in ip.show("link show", namespace) if link["ifname"].startswith("ns-")]
    ip.batch([f"link delete {device}" for device in devices], namespace)
    netns.delete(namespace)


def listens(namespace: str, version: int) -> bool:
    """Return whether something in a namespace waits for requests of DHCP (version 4) or DHCPv6 (6)."""
    table, port = ("udp", ":0043 ") if version == 4 else ("udp6", ":0223 ")
    with netns.entered(namespace):
        return port in Path("/proc/thread-self/net", table).read_text()


def _create(dhcp: Dhcp, tap: str, device: str, namespace: str) -> list[str]:
    return [
        f"link add {tap} address {names.device_mac(tap)} mtu {dhcp.mtu} type veth"
        f" peer name {device} address {dhcp.mac} mtu {dhcp.mtu} netns {namespace}",
        f"link set {tap} alias {names.ALIAS}",
    ]


def _inside(dhcp: Dhcp, device: str, link: Link | None) -> list[str]:
    commands = []
    if link is None or link["address"] != dhcp.mac:
        commands.append(f"link set {device} address {dhcp.mac}")
    if link is None or link["mtu"] != dhcp.mtu:
        commands.append(f"link set {device} mtu {dhcp.mtu}")
    if link is None or "UP" not in link["flags"]:
        commands.append(f"link set {device} up")
    have = {
        f"{info['local']}/{info['prefixlen']}"
        for info in (link or {}).get("addr_info", ())
        if info.get("scope") != "link" and "local" in info
    }
    want = {str(ipaddress.ip_interface(address)) for address in dhcp.addresses}
    commands += [f"address delete {address} dev {device}" for address in sorted(have - want)]
    for address in sorted(want - have):
        nodad = " nodad" if ":" in address else ""
        commands.append(f"address add {address} dev {device}{nodad}")
    return commands
