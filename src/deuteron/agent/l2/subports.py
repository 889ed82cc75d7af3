"""Subports of trunks: each gets a device of its own, as if it had been plugged.

Its frames come and go by the parent's device with a VLAN tag. All else about it is as for any other port:
what waits for devices that are plugged finds this one too.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from deuteron.agent import names
from deuteron.agent.system import ip, vlan
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Port, Unit


class SubportManager:
    """Makes the devices of subports whose parent's device is there."""

    kinds: tuple[type[Unit], ...] = (Port,)
    pending = False

    def __init__(self) -> None:
        """Know of nothing yet."""
        self._ports: dict[str, Port] = {}
        self._gone: dict[str, Port] = {}
        self._dirty: set[str] = set()
        self._compare = True

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        assert isinstance(unit, Port)
        before = self._ports.get(unit.id)
        if before and (before.parent, before.vlan) != (unit.parent, unit.vlan):
            self.delete(unit.key)
        if unit.parent:
            self._ports[unit.id] = unit
            self._dirty.add(unit.id)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        port = self._ports.pop(key.partition("/")[2], None)
        if port is not None:
            self._gone[port.id] = port
            self._dirty.discard(port.id)

    def recheck(self) -> None:
        """Compare everything at the next turn."""
        self._compare = True

    def concerns(self, device: str) -> bool:
        """Return whether it may be a parent's device."""
        return device.startswith("tap")

    def device_changed(self, device: str) -> None:
        """Note that a device came, went or changed."""
        self._dirty |= {port.id for port in self._ports.values() if names.tap(port.parent) == device}

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        problems: dict[str, str] = {}
        for port in [*self._gone.values()]:
            _remove(names.tap(port.id), names.subport(port.id), names.tap(port.parent), port.vlan)
            del self._gone[port.id]
        if self._compare:
            self._remove_strangers()
            self._dirty = set(self._ports)
            self._compare = False
        for identity in sorted(self._dirty):
            port = self._ports[identity]
            try:
                self._build(port)
            except SystemCommandError as error:
                problems[port.key] = str(error)
            else:
                self._dirty.discard(identity)
        return problems

    def _remove_strangers(self) -> None:
        """Remove what an agent before this one made and nobody wants."""
        wanted = {names.subport(port.id) for port in self._ports.values()}
        for link in ip.show("link show type veth"):
            name = link["ifname"]
            if names.is_subport(name) and names.is_ours(link) and name not in wanted:
                parent, _, tag = link.get("ifalias", "").partition(" ")
                _remove("", name, parent, int(tag) if tag.isdigit() else 0)

    def _build(self, port: Port) -> None:
        device, end, parent = names.tap(port.id), names.subport(port.id), names.tap(port.parent)
        if not ip.exists(parent):
            _remove(device, end, parent, port.vlan)
            return
        link = _link(end)
        if link is not None and not names.is_ours(link):
            raise SystemCommandError(f"subport {port.id}", f"a device {end} that is not ours is in the way")
        if link is None or not ip.exists(device):
            ip.batch(
                [
                    *([f"link delete {end}"] if link is not None else []),
                    f"link add {end} mtu {port.mtu} address {names.device_mac(end)} type veth"
                    f" peer name {device} mtu {port.mtu} address {names.device_mac(device)}",
                ]
            )
        ip.batch([f'link set {end} alias "{parent} {port.vlan}"', f"link set {end} mtu {port.mtu} up"])
        vlan.steer(parent, end, port.vlan)


def _remove(device: str, end: str, parent: str, tag: int) -> None:
    """Remove a subport's device, and leave its tag's frames to the parent's; what is not there is gone."""
    with contextlib.suppress(SystemCommandError):
        vlan.forget(parent, tag)
    for name in (end, device):
        if (link := _link(name)) is not None and names.is_ours(link):
            ip.batch([f"link delete {name}"])
            return


def _link(device: str) -> Mapping[str, Any] | None:
    if not device or not ip.exists(device):
        return None
    found = ip.show(f"link show dev {device}")
    return found[0] if found else None
