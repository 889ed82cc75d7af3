"""The devices of a network on this host, as `ip` commands. Pure: from what is there to what to do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from deuteron.agent import names
from deuteron.plan.units import Network

Link = Mapping[str, Any]
"""A device as `ip -j -d link show` prints it."""

VXLAN_PORT = 4789
_INHERIT = "0x1"
"""How `ip` shows that the type of service is that of the packet inside."""


class Refused(Exception):
    """A network cannot be built here; the text says why and what to do."""


@dataclass(frozen=True)
class Tunnel:
    """What all tunnels of this host have."""

    vtep: str
    """The address of this host on the underlay."""
    dscp_inherit: bool = False
    """Whether the outer header has the DSCP mark of the inner one."""


@dataclass
class Work:
    """What to do for a network: `make`, then quieten `devices`, then steer its `vlan`, then `start`."""

    make: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)
    vlan: "Vlan | None" = None
    """What to steer before the start."""


@dataclass(frozen=True)
class Vlan:
    """A VLAN of a physical device, and the device of ours behind which its frames are without tags."""

    physical: str
    device: str
    tag: int
    former: str = ""
    """The physical device and the tag that it had before, as its alias tells them."""


def uplink(network: Network, bridge_mappings: Mapping[str, str]) -> str:
    """Return the device that leads out of this host. Raises Refused."""
    if network.type == "vxlan":
        if network.vni is None:
            raise Refused("the plan has no VNI for it")
        return names.vxlan(network.vni)
    device = physical(network, bridge_mappings)
    return names.vlan(network.id) if network.type == "vlan" else device


def physical(network: Network, bridge_mappings: Mapping[str, str]) -> str:
    """Return the device of a network's physical network. Raises Refused."""
    device = bridge_mappings.get(network.physical_network or "")
    if device is None:
        raise Refused(
            f"this host has no device for the physical network {network.physical_network!r}: "
            "name one in bridge_mappings"
        )
    return device


def work(
    network: Network,
    links: Mapping[str, Link],
    bridge_mappings: Mapping[str, str],
    tunnel: Tunnel,
    members: Collection[str] = (),
) -> Work:
    """Return what is to be done so that a network's bridge and its way out are there. Raises Refused.

    `members` are the names of the devices that are in the bridge.
    """
    device = uplink(network, bridge_mappings)
    todo = Work()
    _bridge(todo, network, links, members)
    if network.type == "vxlan":
        _vxlan(todo, network, links, tunnel)
    elif network.type == "vlan":
        _vlan(todo, network, physical(network, bridge_mappings), links)
    else:
        _physical(todo, network, device, links)
    bridge = names.bridge(network.id)
    if links.get(device, {}).get("master") != bridge:
        # The master is set last of all that makes: a bridge's MTU follows its ports.
        todo.make.append(f"link set {device} master {bridge}")
    if links.get(device, {}).get("master") != bridge or not _is_isolated(links[device]):
        # From the legs of metadata, which are isolated too: every host has those, with the same addresses.
        todo.make.append(f"link set {device} type bridge_slave isolated on")
    todo.start += [f"link set {name} up" for name in (device, bridge) if not _is_up(links.get(name))]
    return todo


def _bridge(todo: Work, network: Network, links: Mapping[str, Link], members: Collection[str]) -> None:
    name = names.bridge(network.id)
    adopted = name in links and _is_hypervisors(links[name], members)
    link = links[name] if adopted else _own(links, name, "bridge")
    if adopted:
        todo.make += [
            f"link set {name} address {names.device_mac(name)}",
            f"link set {name} alias {names.ALIAS}",
            f"link set {name} type bridge mcast_snooping 0 stp_state 0 forward_delay 0",
        ]
    elif link is None:
        todo.make += [
            f"link add {name} address {names.device_mac(name)} type bridge"
            " mcast_snooping 0 stp_state 0 forward_delay 0",
            f"link set {name} alias {names.ALIAS}",
        ]
    elif link.get("ifalias") != names.ALIAS:
        todo.make.append(f"link set {name} alias {names.ALIAS}")
    if link is None or link["mtu"] != network.mtu:
        todo.start.append(f"link set {name} mtu {network.mtu}")
    if link is None or "NOARP" not in link["flags"]:
        todo.devices.append(name)
        todo.start.append(f"link set {name} arp off")


def _vxlan(todo: Work, network: Network, links: Mapping[str, Link], tunnel: Tunnel) -> None:
    name = names.vxlan(network.vni or 0)
    link = _own(links, name, "vxlan")
    if link and not _same_tunnel(link["linkinfo"]["info_data"], network, tunnel.vtep):
        todo.make.append(f"link delete {name}")
        link = None
    if link is None:
        todo.make += [
            f"link add {name} address {names.device_mac(name)} mtu {network.mtu} type vxlan"
            f" id {network.vni} local {tunnel.vtep} dstport {VXLAN_PORT} learning"
            + (" tos inherit" if tunnel.dscp_inherit else ""),
            f"link set {name} alias {names.ALIAS}",
        ]
        todo.devices.append(name)
        return
    if link.get("ifalias") != names.ALIAS:
        todo.make.append(f"link set {name} alias {names.ALIAS}")
    if link["mtu"] != network.mtu:
        todo.make.append(f"link set {name} mtu {network.mtu}")
    if (link["linkinfo"]["info_data"].get("tos") == _INHERIT) != tunnel.dscp_inherit:
        todo.make.append(f"link set {name} type vxlan tos {'inherit' if tunnel.dscp_inherit else 0}")


def _vlan(todo: Work, network: Network, way: str, links: Mapping[str, Link]) -> None:
    """A pair of devices: one in the bridge, at the other end frames get their tag and leave by `way`."""
    if network.vlan is None:
        raise Refused("the plan has no VLAN for it")
    beneath = _wide_enough(network, way, links)
    name = names.vlan(network.id)
    end = names.vlan_end(name)
    link, other = _own(links, name, "veth"), _own(links, end, "veth")
    if link is None or other is None:
        todo.make += [f"link delete {one}" for one, there in ((name, link), (end, other)) if there]
        todo.make += [
            f"link add {name} mtu {network.mtu} address {names.device_mac(name)} type veth"
            f" peer name {end} mtu {network.mtu} address {names.device_mac(end)}",
            f"link set {name} alias {names.ALIAS}",
        ]
        todo.devices += [name, end]
    elif link.get("ifalias") != names.ALIAS:
        todo.make.append(f"link set {name} alias {names.ALIAS}")
    if link is None or other is None or link.get("address") != beneath["address"]:
        # As 802.1q devices have it: unique among hosts. What it is created with is not.
        todo.make.append(f"link set {name} address {beneath['address']}")
    todo.make += [
        f"link set {end} mtu {network.mtu} up",
        f"link set {name} mtu {network.mtu}",
    ]
    former = str((other or {}).get("ifalias", ""))
    todo.vlan = Vlan(way, end, network.vlan, former if former != f"{way} {network.vlan}" else "")
    # Frames for others than this host are for its instances.
    todo.start += [
        f'link set {end} alias "{way} {network.vlan}"',
        f"link set {way} promisc on",
        f"link set {way} up",
    ]


def _same_tunnel(data: Mapping[str, Any], network: Network, vtep: str) -> bool:
    local = data.get("local") or data.get("local6")
    return (data.get("id"), local, data.get("port")) == (network.vni, vtep, VXLAN_PORT)


def _physical(todo: Work, network: Network, device: str, links: Mapping[str, Link]) -> None:
    link = _wide_enough(network, device, links)
    master = link.get("master")
    if master == names.bridge(network.id):
        return
    if master:
        raise Refused(f"{device} belongs to {master}: take it out, or correct bridge_mappings")
    # Moving addresses and routes to the bridge would put the host itself on the network, and a crash in the
    # middle would cut it off; so the operator decides.
    addresses = [
        f"{info['local']}/{info['prefixlen']}"
        for info in link.get("addr_info", ())
        if info.get("scope") != "link" and "local" in info
    ]
    if addresses:
        raise Refused(
            f"{device} carries {', '.join(addresses)}, which would be lost inside a bridge: "
            "move the address to another device"
        )
    todo.devices.append(device)


def _wide_enough(network: Network, device: str, links: Mapping[str, Link]) -> Link:
    link = links.get(device)
    if link is None:
        raise Refused(f"there is no device {device}: plug it, or correct bridge_mappings")
    if link["mtu"] < network.mtu:
        raise Refused(f"{device} has the MTU {link['mtu']}, the network {network.mtu}: raise the device's")
    return link


def _is_hypervisors(link: Link, members: Collection[str]) -> bool:
    """Return whether a bridge that is not ours was made for us.

    Who plugs an instance makes the bridge of its network if that is not there yet. Such a one has no address
    and no alias, and nothing is in it but instances.
    """
    claimed = names.is_ours(link) or link.get("ifalias")
    if claimed or link.get("linkinfo", {}).get("info_kind") != "bridge":
        return False
    addresses = [info for info in link.get("addr_info", ()) if info.get("scope") != "link"]
    return not addresses and all(member.startswith("tap") for member in members)


def _own(links: Mapping[str, Link], name: str, kind: str) -> Link | None:
    link = links.get(name)
    if link is None:
        return None
    if not names.is_ours(link) or link.get("linkinfo", {}).get("info_kind") != kind:
        raise Refused(f"a device {name} that is not ours is in the way: remove or rename it")
    return link


def _is_isolated(link: Link) -> bool:
    return bool(link.get("linkinfo", {}).get("info_slave_data", {}).get("isolated"))


def _is_up(link: Link | None) -> bool:
    return link is not None and "UP" in link["flags"]


def quiet(device: str) -> dict[str, str]:
    """Return the settings that keep the host itself out of a network that it only carries."""
    return {
        f"net/ipv6/conf/{device}/disable_ipv6": "1",
        f"net/ipv4/conf/{device}/forwarding": "0",
        f"net/ipv4/conf/{device}/rp_filter": "1",
    }
