"""The hidden network on which elections are held: one VXLAN device in a namespace of its own.

Its tunnel uses the host's underlay, so the adverts share the fate of the traffic they guard; everything that
is needed to reach the other candidates is permanent, nothing is flooded or learned.
"""

from collections.abc import Iterable
from typing import Any

from deuteron.agent.names import ALIAS
from deuteron.agent.system import bridge, ip, netns, sysctl
from deuteron.plan.units import Election, Peer

PREFIX = "qha-"
_VXLAN_PORT = 4789


def namespace(ha_network: str) -> str:
    """Return the namespace in which the elections of an HA network are held."""
    return f"{PREFIX}{ha_network}"


def device(ha_network: str) -> str:
    """Return the device of an HA network in its namespace."""
    return f"ha-{ha_network[:11]}"


def connect(election: Election, same: Iterable[Election], local_ip: str) -> None:
    """Have the device, with the candidates of all its elections (`same`) as permanent neighbours.

    Raises SystemCommandError, and ValueError when a foreign device has its name.
    """
    inside, name = namespace(election.ha_network), device(election.ha_network)
    netns.create(inside)
    sysctl.write({"net/ipv6/conf/all/disable_ipv6": "1"}, inside)
    _make_device(election, local_ip, inside, name)
    peers = {peer.address: peer for other in same for peer in other.peers}
    _set_neighbours(election, peers, inside, name)
    _set_tunnels({peer.mac: peer.vtep for peer in peers.values()}, inside, name)


def _make_device(election: Election, local_ip: str, inside: str, name: str) -> None:
    found = [link for link in ip.show("link show", inside) if link["ifname"] == name]
    if found and found[0].get("ifalias") != ALIAS and found[0]["address"] != election.mac:
        raise ValueError(f"a foreign device {name} is in namespace {inside}: remove it")
    if found and not _fits(found[0], election, local_ip):
        ip.batch([f"link delete {name}"], inside)  # this host has another address than before
        found = []
    if not found:
        what = f"mtu {election.mtu} address {election.mac}"
        tunnel = f"vxlan id {election.vni} local {local_ip} dstport {_VXLAN_PORT} nolearning"
        ip.batch([f"link add {name} netns {inside} {what} type {tunnel}"])


def _fits(link: dict[str, Any], election: Election, local_ip: str) -> bool:
    data = link.get("linkinfo", {}).get("info_data", {})
    now = (link.get("address"), link.get("mtu"), data.get("id"), data.get("local"))
    return now == (election.mac, election.mtu, election.vni, local_ip)


def _set_neighbours(election: Election, peers: dict[str, Peer], inside: str, name: str) -> None:
    stale = [entry["dst"] for entry in ip.show(f"neigh show dev {name}", inside) if entry["dst"] not in peers]
    commands = [f"link set {name} alias {ALIAS} up", f"addr replace {election.address} dev {name}"]
    commands += [f"neigh delete {address} dev {name}" for address in stale]
    commands += [
        f"neigh replace {address} lladdr {peer.mac} dev {name} nud permanent"
        for address, peer in sorted(peers.items())
    ]
    ip.batch(commands, inside)


def _set_tunnels(vteps: dict[str, str], inside: str, name: str) -> None:
    found = {(entry["mac"], entry.get("dst")) for entry in bridge.show(f"fdb show dev {name}", inside)}
    wanted = set(vteps.items())
    stale = sorted({mac for mac, _ in found} - vteps.keys())
    commands = [f"fdb delete {mac} dev {name}" for mac in stale]
    commands += [
        f"fdb replace {mac} dev {name} dst {vtep} self permanent" for mac, vtep in sorted(wanted - found)
    ]
    bridge.batch(commands, inside)
