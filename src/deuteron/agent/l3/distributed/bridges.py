"""The ports of distributed parts on their bridges, and the table that keeps what they are on this host.

A port that opens or closes does it in steps, so that there is always somebody who forwards: while the bridge
changes its mind about where a gateway is, frames to it may also leave the host.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deuteron.agent.firewall.identity import link_local
from deuteron.agent.l3.distributed import kernel, table
from deuteron.agent.l3.distributed.table import Tunnel
from deuteron.agent.l3.wanted import Device
from deuteron.agent.system import bridge, ip, nft
from deuteron.agent.system.errors import SystemCommandError


@dataclass(frozen=True)
class PartPort:
    """A port of a distributed part."""

    router: str
    device: Device
    uplink: str
    """The way out of this host of the network that it is on."""
    mac: str
    """This host's DVR MAC."""
    is_open: bool
    """Whether it is to take part in traffic."""
    is_complete: bool
    """Whether the part is as it must be: one that is not does not begin to take part, nor end to."""

    @property
    def tap(self) -> str:
        """Its name on the host's side."""
        return self.device.tap


class Bridges:
    """What bridges hold of distributed parts."""

    def __init__(self) -> None:
        self._text: str | None = None
        """The table as it is; None when that is not known."""
        self._done: frozenset[PartPort] | None = None

    def forget(self) -> None:
        """Look at everything again."""
        self._text = None
        self._done = None

    def apply(self, wanted: Sequence[PartPort]) -> dict[str, str]:
        """Make it so; return what failed: router -> words."""
        if self._done == frozenset(wanted):
            return {}
        try:
            problems = self._apply(wanted)
        except (SystemCommandError, ValueError) as error:
            problems = {port.router: str(error) for port in wanted} or {"*": str(error)}
        self._done = None if problems else frozenset(wanted)
        return problems

    def _apply(self, wanted: Sequence[PartPort]) -> dict[str, str]:
        here = _gateways_here(wanted) if wanted else set()
        is_open = {port.tap: port.is_open and (port.is_complete or port.tap in here) for port in wanted}
        moving = {tap for tap in is_open if is_open[tap] != (tap in here)}
        self._write(wanted, {tap for tap in is_open if is_open[tap] or tap in moving}, moving)
        failed = _plug([port for port in wanted if port.is_complete])
        entries = {port.tap: _entry(port, is_open[port.tap]) for port in wanted if port.tap in moving}
        failed |= bridge.batch_groups({tap: [e] for tap, e in entries.items() if tap not in failed})
        # One that closes is muted now. Whatever still goes to it is for others too.
        stuck = moving & failed.keys()
        self._write(wanted, {tap for tap in is_open if is_open[tap] or tap in stuck}, stuck)
        problems: dict[str, list[str]] = {}
        for port in wanted:
            if port.tap in failed:
                problems.setdefault(port.router, []).append(failed[port.tap])
        return {router: "; ".join(words) for router, words in problems.items()}

    def _write(self, wanted: Sequence[PartPort], opened: set[str], moving: set[str]) -> None:
        """Write the table if it is another one; bridges do not know of those of `opened` that move."""
        closed = (port.tap for port in wanted if port.tap not in opened)
        text = table.render(closed, tunnels([port for port in wanted if port.tap in opened], moving))
        if text != self._text:
            self._text = None
            nft.apply(text)
            self._text = text


def _plug(wanted: Sequence[PartPort]) -> dict[str, str]:
    """Put ports on their bridges; return what failed: tap -> words."""
    links = {link["ifname"]: link for link in ip.show("link show type veth")} if wanted else {}
    plugs = {port.tap: kernel.plug_port(port.device, links.get(port.tap, {})) for port in wanted}
    return ip.batch_groups({tap: commands for tap, commands in plugs.items() if commands})


def _gateways_here(wanted: Iterable[PartPort]) -> set[str]:
    """Return the taps of which the bridge knows that their gateway is there."""
    macs = {port.tap: port.device.mac for port in wanted}
    return {
        item["ifname"]
        for item in bridge.show("fdb show")
        if item["mac"] == macs.get(item["ifname"], "") and item.get("state") == "static" and "master" in item
    }


def _entry(port: PartPort, is_open: bool) -> str:
    entry = f"{port.device.mac} dev {port.tap} master"
    return f"fdb replace {entry} static sticky" if is_open else f"fdb del {entry}"


def tunnels(opened: Iterable[PartPort], moving: set[str]) -> list[Tunnel]:
    """Return what must not pass by each way out, in order."""
    by_way: dict[str, list[PartPort]] = {}
    for port in opened:
        by_way.setdefault(port.uplink, []).append(port)
    made = []
    for way, ports in sorted(by_way.items()):
        found = {ipaddress.ip_interface(text).ip for port in ports for text in port.device.addresses}
        found |= {ipaddress.ip_address(link_local(port.device.mac)) for port in ports}
        addresses = sorted(found, key=int)
        made.append(
            Tunnel(
                device=way,
                macs=tuple(sorted({port.device.mac for port in ports})),
                settled=tuple(sorted({port.device.mac for port in ports if port.tap not in moving})),
                addresses=tuple(str(address) for address in addresses if address.version == 4),
                addresses6=tuple(str(address) for address in addresses if address.version == 6),
                mac=ports[0].mac,
            )
        )
    return made
