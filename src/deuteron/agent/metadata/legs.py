"""The way from a network's bridge to metadata, as commands. Pure: from what is there to what to do.

One namespace a host, with the addresses of metadata; each network with an instance here has a leg into it, a
veth pair with the same MAC address everywhere. Networks may have the same addresses: whoever listens listens
on one leg, and answers by it.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deuteron.agent import names
from deuteron.plan.units import Instance

NAMESPACE = "qmeta"
ADDRESS = "169.254.169.254"
ADDRESS_V6 = "fe80::a9fe:a9fe"
MAC = "02:00:a9:fe:a9:fe"
SYSCTLS = {
    "net/ipv4/ip_forward": "0",
    "net/ipv6/conf/all/forwarding": "0",
    # The namespace has routes to nobody: answers leave by the leg that their question came by.
    **{f"net/ipv4/conf/{which}/rp_filter": "0" for which in ("all", "default")},
    **{f"net/ipv6/conf/{which}/accept_ra": "0" for which in ("all", "default")},
    # Every host has these addresses: none may ask whether another has them.
    **{f"net/ipv6/conf/{which}/accept_dad": "0" for which in ("all", "default")},
}
_ONE_QUEUE = "numtxqueues 1 numrxqueues 1"
"""Else the kernel makes one for each processor, and a leg costs more than all that it will ever carry."""

Link = Mapping[str, Any]
"""A device as `ip -j -d address show` prints it."""


class Refused(Exception):
    """A leg cannot be made; the text says why and what to do."""


@dataclass(frozen=True)
class Leg:
    """A network's way to metadata on this host."""

    network: str
    mtu: int
    neighbours: Mapping[str, str]
    """Address -> MAC address of each instance: answers go to its port, whoever asked in its name."""

    @property
    def tap(self) -> str:
        """The end on the network's bridge."""
        return names.metadata_tap(self.network)

    @property
    def device(self) -> str:
        """The end in the namespace."""
        return names.metadata_device(self.network)


def legs(instances: Iterable[Instance]) -> dict[str, Leg]:
    """Return the legs that instances need, by network. Raises ValueError when an address is none."""
    found: dict[str, tuple[int, dict[str, str]]] = {}
    for instance in instances:
        _, neighbours = found.setdefault(instance.network, (instance.mtu, {}))
        neighbours.update(dict.fromkeys(known_addresses(instance), instance.mac))
    return {network: Leg(network, mtu, neighbours) for network, (mtu, neighbours) in sorted(found.items())}


def known_addresses(instance: Instance) -> list[str]:
    """Return by which addresses an instance asks: its IPv4 ones, and the IPv6 one of its MAC address."""
    fixed = (ipaddress.ip_interface(one.address).ip for one in instance.addresses)
    return [*(str(address) for address in fixed if address.version == 4), link_local(instance.mac)]


def link_local(mac: str) -> str:
    """Return the IPv6 address that a machine makes of its MAC address (EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def make(leg: Leg, outside: Link | None, inside: Link | None) -> list[str]:
    """Return the commands on the host that make a leg. Raises Refused."""
    if outside and not names.is_ours(outside):
        raise Refused(f"a device {leg.tap} that is not ours is in the way: remove or rename it")
    if outside and inside:
        commands = [] if outside["mtu"] == leg.mtu else [f"link set {leg.tap} mtu {leg.mtu}"]
        if outside.get("ifalias") != names.ALIAS:
            commands.append(f"link set {leg.tap} alias {names.ALIAS} addrgenmode none")
        return commands
    return [
        *([f"link delete {leg.tap}"] if outside else []),
        f"link add {leg.tap} address {names.device_mac(leg.tap)} mtu {leg.mtu} {_ONE_QUEUE} type veth"
        f" peer name {leg.device} address {MAC} mtu {leg.mtu} {_ONE_QUEUE} netns {NAMESPACE}",
        f"link set {leg.tap} alias {names.ALIAS} addrgenmode none",
    ]


def equip(leg: Leg, inside: Link | None, neighbours: Mapping[str, str]) -> list[str]:
    """Return the commands in the namespace; `neighbours` are the lasting ones that the leg has."""
    device, commands = leg.device, []
    if inside is None:
        commands.append(f"link set {device} addrgenmode none")
    if inside is None or inside["address"] != MAC or inside["mtu"] != leg.mtu or "UP" not in inside["flags"]:
        commands.append(f"link set {device} address {MAC} mtu {leg.mtu} up")
    if not any(info.get("local") == ADDRESS_V6 for info in (inside or {}).get("addr_info", ())):
        commands.append(f"address add {ADDRESS_V6}/64 dev {device} nodad")
    return commands + meet(leg, neighbours)


def meet(leg: Leg, neighbours: Mapping[str, str]) -> list[str]:
    """Return the commands in the namespace for the neighbours alone; `neighbours` are those that it has."""
    gone = sorted(neighbours.keys() - leg.neighbours.keys())
    return [f"neigh delete {address} dev {leg.device}" for address in gone] + [
        f"neigh replace {address} lladdr {mac} dev {leg.device} nud permanent"
        for address, mac in sorted(leg.neighbours.items())
        if neighbours.get(address) != mac
    ]


def is_plugged(leg: Leg, outside: Link | None) -> bool:
    """Return whether a leg's end is on its bridge."""
    if outside is None or outside.get("master") != names.bridge(leg.network) or "UP" not in outside["flags"]:
        return False
    port = outside.get("linkinfo", {}).get("info_slave_data", {})
    return not port.get("learning", True) and not port.get("flood", True) and bool(port.get("isolated"))


def plug(leg: Leg) -> list[str]:
    """Return the commands on the host that put a leg's end on its bridge.

    It is isolated as the way to other hosts is: nothing passes between the two.
    """
    return [
        f"link set {leg.tap} master {names.bridge(leg.network)}",
        f"link set {leg.tap} type bridge_slave isolated on learning off flood off",
        f"link set {leg.tap} up",
    ]


def entry(leg: Leg) -> str:
    """Return the `bridge` command by which a bridge knows where metadata is, whoever sends in its name."""
    return f"fdb replace {MAC} dev {leg.tap} master static sticky"
