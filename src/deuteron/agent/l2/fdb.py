"""Forwarding entries of a VXLAN device: what it should hold, what it holds, and the difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deuteron.plan.units import Network, Remote

_FLOOD = "00:00:00:00:00:00"


@dataclass
class Entries:
    """Forwarding entries of one device."""

    flood: set[str] = field(default_factory=set)
    """The head-end list: VTEPs that get what has no entry of its own."""
    fixed: dict[str, str] = field(default_factory=dict)
    """MAC address -> VTEP."""
    hints: dict[str, str] = field(default_factory=dict)
    """The same, for addresses that move: overridden by what the device learns."""


def wanted(network: Network, remotes: Iterable[Remote]) -> Entries:
    """Return what the device of a network should hold."""
    entries = Entries(flood=set(network.vteps))
    for remote in remotes:
        (entries.hints if remote.moves else entries.fixed)[remote.mac] = remote.vtep
    for mac in entries.fixed:
        entries.hints.pop(mac, None)
    return entries


def held(dump: Iterable[Mapping[str, Any]]) -> dict[str, Entries]:
    """Return what the devices hold: device -> entries; `dump` is of `bridge -j fdb show`.

    Learned entries count as hints: whether they were learned or hinted at, they are newer than what we know.
    """
    found: dict[str, Entries] = {}
    for item in dump:
        if "dst" not in item or "self" not in item.get("flags", ()):
            continue
        entries = found.setdefault(item["ifname"], Entries())
        if item["mac"] == _FLOOD:
            entries.flood.add(item["dst"])
        elif item.get("state") == "permanent":
            entries.fixed[item["mac"]] = item["dst"]
        else:
            entries.hints[item["mac"]] = item["dst"]
    return found


def after_restart(have: Entries, want: Entries) -> Entries:
    """Return `have` with every hint that has been followed or overridden counted as given."""
    hints = {mac: vtep for mac, vtep in want.hints.items() if mac in have.hints}
    return Entries(have.flood, have.fixed, hints)


def difference(device: str, have: Entries, want: Entries) -> list[str]:
    """Return the `bridge` commands that lead from one to the other; no frame finds its entry missing."""
    commands = [
        f"fdb append {_FLOOD} dev {device} dst {vtep} self permanent"
        for vtep in sorted(want.flood - have.flood)
    ]
    commands += [
        f"fdb replace {mac} dev {device} dst {vtep} self permanent"
        for mac, vtep in sorted(want.fixed.items())
        if have.fixed.get(mac) != vtep
    ]
    commands += [
        f"fdb replace {mac} dev {device} dst {vtep} self dynamic"
        for mac, vtep in sorted(want.hints.items())
        if have.hints.get(mac) != vtep
    ]
    commands += [f"fdb del {_FLOOD} dev {device} dst {vtep} self" for vtep in sorted(have.flood - want.flood)]
    kept = want.fixed.keys() | want.hints.keys()
    commands += [
        f"fdb del {mac} dev {device} dst {vtep} self"
        for mac, vtep in sorted(have.fixed.items())
        if mac not in kept
    ]
    for mac, vtep in sorted(have.hints.items()):
        if mac not in kept and mac not in have.fixed:
            # It may have aged out already, and deleting what is not there would be an error.
            commands.append(f"fdb replace {mac} dev {device} dst {vtep} self dynamic")
            commands.append(f"fdb del {mac} dev {device} dst {vtep} self")
    return commands
