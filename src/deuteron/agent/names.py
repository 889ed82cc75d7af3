"""Names of devices and namespaces, as operators know them, and how we know which are ours."""

import hashlib
from collections.abc import Mapping
from typing import Any

ALIAS = "deuteron"
"""The `ifalias` of every device that we make."""


def device_mac(device: str) -> str:
    """Return the MAC address that our own devices are created with where no port's is required.

    The kernel takes it with the creation, the alias only afterwards: a crash in between leaves a device that
    is still known as ours.
    """
    digest = hashlib.sha256(f"{ALIAS}/{device}".encode()).hexdigest()
    return "fe:" + ":".join(digest[index : index + 2] for index in range(0, 10, 2))


def is_ours(link: Mapping[str, Any]) -> bool:
    """Return whether a device, as `ip -j link` shows it, was made by an agent."""
    return link.get("ifalias") == ALIAS or link.get("address") == device_mac(link["ifname"])


def bridge(network: str) -> str:
    """Return the name of a network's bridge."""
    return f"brq{network[:11]}"


def vxlan(vni: int) -> str:
    """Return the name of a VXLAN device."""
    return f"vxlan-{vni}"


def vlan(network: str) -> str:
    """Return the name of the device by which a network's bridge is on a VLAN of a physical network."""
    return f"vlan{network[:11]}"


def vlan_end(device: str) -> str:
    """Return the name of that device's other end, where its frames get their tag."""
    return f"phy{device.removeprefix('vlan')}"


def tap(port: str) -> str:
    """Return the name of a port's device on the host's side."""
    return f"tap{port[:11]}"


def shaper(port: str) -> str:
    """Return the name of the device in which what a port sends queues, where its bandwidth is limited."""
    return f"ifb{port[:11]}"


def subport(port: str) -> str:
    """Return the name of the far end of a subport's tap: where its frames get their VLAN tag."""
    return f"sub{port[:11]}"


def is_subport(device: str) -> bool:
    """Return whether a device has the name of such an end."""
    return device.startswith("sub") and len(device) == len("sub") + 11


def router_namespace(router: str) -> str:
    """Return the name of a router's namespace."""
    return f"qrouter-{router}"


def snat_namespace(router: str) -> str:
    """Return the name of the namespace of the central part of a router that has distributed parts too."""
    return f"snat-{router}"


def fip_namespace(network: str) -> str:
    """Return the name of the namespace by which floating IPs of an external network are reached here."""
    return f"fip-{network}"


def dhcp_namespace(network: str) -> str:
    """Return the name of the namespace of a network's DHCP server."""
    return f"qdhcp-{network}"


def dhcp_device(port: str) -> str:
    """Return the name of a DHCP port's device inside its namespace."""
    return f"ns-{port[:11]}"


def metadata_tap(network: str) -> str:
    """Return the name of the device by which a network's bridge reaches metadata on this host."""
    return f"meta{network[:11]}"


def metadata_device(network: str) -> str:
    """Return the name of that device's other end, inside the namespace of metadata."""
    return f"qm-{network[:11]}"


def internal_device(port: str) -> str:
    """Return the name of a router interface's device inside the router's namespace."""
    return f"qr-{port[:11]}"


def gateway_device(port: str) -> str:
    """Return the name of a router gateway's device inside the router's namespace."""
    return f"qg-{port[:11]}"


def snat_device(port: str) -> str:
    """Return the name of the device by which a router's central part is on a network of distributed parts."""
    return f"sg-{port[:11]}"


def distributed_tap(port: str) -> str:
    """Return the name of a distributed part's interface on the host's side.

    Not that of a tap: a central part of the same router may be on this host with the same port.
    """
    return f"dvr{port[:11]}"


def floating_gateway_device(port: str) -> str:
    """Return the name of the device by which a namespace of floating IPs is on its external network."""
    return f"fg-{port[:11]}"


def router_to_fip(router: str) -> str:
    """Return the name of the device of a distributed part that leads to the namespace of floating IPs."""
    return f"rfp-{router[:11]}"


def fip_to_router(router: str) -> str:
    """Return the name of that device's other end."""
    return f"fpr-{router[:11]}"
