"""Whom a router's central part knows on a network, told to another port of it that is to send there.

On its way to be distributed, or back, a router sends to its networks by other ports from one moment to the
next. It would ask for the MAC addresses of all its instances at once, while their packets wait; and where a
question gets lost, for a second.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deuteron.agent.l3.wanted import Device
from deuteron.agent.system import ip

Known = Mapping[str, Mapping[str, str]]
"""Device -> address -> MAC address."""
_USABLE = {"REACHABLE", "STALE", "DELAY", "PROBE"}


def successions(
    devices: Sequence[Device], links: Iterable[str], taps: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Return (device, device that is to know whom it knows) of those that share a network.

    `links` are the devices that there are in the namespace. Only what comes or goes makes a succession.
    """
    wanted = {device.inside: device.bridge for device in devices}
    there = {name: taps.get(f"tap{name[3:]}", {}).get("master", "") for name in links}
    return [
        (old, new)
        for new, bridge in sorted(wanted.items())
        for old in sorted(there)
        if old != new and there[old] == bridge and (old not in wanted or new not in there)
    ]


def look(namespace: str) -> Known:
    """Return whom the devices of a namespace know. Raises SystemCommandError."""
    known: dict[str, dict[str, str]] = {}
    for item in ip.show("neighbour show", namespace):
        alone = ipaddress.ip_address(item["dst"]).is_link_local
        if "lladdr" in item and not alone and _USABLE.intersection(item.get("state", ())):
            known.setdefault(item["dev"], {})[item["dst"]] = item["lladdr"]
    return known


def introduce(pairs: Iterable[tuple[str, str]], known: Known, there: Iterable[str]) -> list[str]:
    """Return the commands that tell the devices that are there what others knew, and they do not."""
    present = set(there)
    return [
        f"neighbour replace {address} lladdr {mac} nud stale dev {new}"
        for old, new in pairs
        if new in present
        for address, mac in sorted(known.get(old, {}).items())
        if address not in known.get(new, {})
    ]
