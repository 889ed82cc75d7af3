"""What the kernel holds of a router, and the commands that make it what it must be."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deuteron.agent import names
from deuteron.agent.l3 import gateways, next_hops
from deuteron.agent.l3.gateways import Rule, Ways
from deuteron.agent.l3.wanted import Device, Twin
from deuteron.agent.system.command import run

Taps = Mapping[str, Mapping[str, Any]]
"""Device on the host -> what `ip link show` says of it."""
_OURS = ("qr-", "qg-", "sg-")
_METRIC = {4: 0, 6: 256}
"""Of routes to subnets, where nothing else is said."""
_FORWARDING = "3"
"""The state of a port of a bridge that takes part in everything."""
CARRIER_SECONDS = 2.0
"""How long the kernel may take to notice a carrier."""
LOOK_SECONDS = 0.002
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True)
class Inside:
    """What is in a router's namespace."""

    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Device -> what `ip address show` says of it, our ports only."""
    routes: frozenset[tuple[str, str]] = frozenset()
    """(destination, next hops) of the routes that are not the kernel's own."""
    rules: frozenset[Rule] = frozenset()
    """Of routing, those that agents make."""


def look(namespace: str) -> Inside:
    """Return what is in a namespace. Raises SystemCommandError."""
    queries = "address show\nroute show root 0.0.0.0/0\nrule show\n"
    links, routes, rules = documents(run(["ip", "-j", "-d", "-batch", "-"], queries, namespace))
    (routes6,) = documents(run(["ip", "-j", "-d", "-6", "route", "show"], netns=namespace))
    return Inside(
        links={link["ifname"]: link for link in links if link["ifname"].startswith(_OURS)},
        routes=frozenset([*_foreign_routes(routes, 4), *_foreign_routes(routes6, 6)]),
        rules=frozenset(_rules(rules)),
    )


def _rules(rules: Iterable[Mapping[str, Any]]) -> Iterable[Rule]:
    for rule in rules:
        if rule["priority"] in (gateways.SPECIFIC, gateways.MARKED, gateways.OWN):
            mark = int(rule.get("fwmark", "0"), 16)
            source = "" if rule["src"] == "all" else rule["src"]
            yield Rule(rule["priority"], str(rule["table"]), mark, source)


def documents(text: str) -> list[list[dict[str, Any]]]:
    """Return the JSON lists that several commands printed one after the other."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append([item for item in document if item])
        rest = rest[end:].strip()
    return found


def _foreign_routes(routes: Iterable[Mapping[str, Any]], version: int) -> Iterable[tuple[str, str]]:
    """Yield (destination, next hops) of the routes that agents make."""
    for route in routes:
        if route.get("protocol") == "static":
            destination = _DEFAULT[version] if route["dst"] == "default" else route["dst"]
            if "/" not in destination:
                destination += "/32" if version == 4 else "/128"
            yield destination, next_hops.of(route)


def remove_ports(devices: Sequence[Device], links: Taps) -> list[str]:
    """Return the commands in the namespace that remove the ports the router has no more.

    Their routes go first: a device that ends takes nothing more for a moment before the kernel forgets them,
    and another port may be there for the same network.
    """
    wanted = {device.inside for device in devices}
    gone = sorted(links.keys() - wanted)
    return [*(f"address flush dev {name}" for name in gone), *(f"link delete {name}" for name in gone)]


def remove_addresses(devices: Sequence[Device], links: Taps) -> list[str]:
    """Return the commands in the namespace that remove the addresses its ports have no more."""
    commands = []
    for device in devices:
        has = _addresses(links.get(device.inside, {})).keys()
        commands += [f"address delete {a} dev {device.inside}" for a in sorted(has - {*device.addresses})]
    return commands


def make_ports(twin: Twin, taps: Taps, whole: Taps) -> list[str]:
    """Return the commands on the host that make the ports; raises ValueError when a foreign device is there.

    `taps` are all that there are, `whole` those of the router whose other end is where it must be. A tap has
    the router's number as its group from its first moment, so the gate holds for it.
    """
    commands: list[str] = []
    for device in twin.kernel.devices:
        if device.tap in whole:
            commands += _correct_tap(twin, device, whole[device.tap])
            continue
        if device.tap in taps:
            if not names.is_ours(taps[device.tap]):
                raise ValueError(f"a foreign device {device.tap} is in the way: remove or rename it")
            commands.append(f"link delete {device.tap}")
        commands += [
            f"link add {device.tap} group {twin.number} mtu {device.mtu}"
            f" address {names.device_mac(device.tap)} type veth"
            f" peer name {device.inside} mtu {device.mtu} address {device.mac} netns {twin.namespace}",
            f"link set {device.tap} alias {names.ALIAS} addrgenmode none",
        ]
    return commands


def _correct_tap(twin: Twin, device: Device, tap: Mapping[str, Any]) -> Iterable[str]:
    if tap.get("group") != str(twin.number):
        yield f"link set {device.tap} group {twin.number}"
    if tap.get("mtu") != device.mtu:
        yield f"link set {device.tap} mtu {device.mtu}"
    if tap.get("ifalias") != names.ALIAS:
        yield f"link set {device.tap} alias {names.ALIAS} addrgenmode none"


def plug_ports(twin: Twin, whole: Taps) -> dict[str, list[str]]:
    """Return the commands on the host that put the ports on their bridges: tap -> commands."""
    commands = {}
    for device in twin.kernel.devices:
        tap = whole.get(device.tap, {})
        if tap.get("master") != device.bridge or "UP" not in tap.get("flags", ()):
            commands[device.tap] = [f"link set {device.tap} master {device.bridge} up"]
    return commands


def wait_for_bridges(taps: Iterable[str]) -> None:
    """Wait until bridges forward what comes by these ports: they learn of a carrier some time after it."""
    until = time.monotonic() + CARRIER_SECONDS
    for tap in taps:
        state = Path("/sys/class/net", tap, "brport", "state")
        while time.monotonic() < until and state.exists() and state.read_text().strip() != _FORWARDING:
            time.sleep(LOOK_SECONDS)


def set_ports(devices: Sequence[Device], links: Taps) -> list[str]:
    """Return the commands in the namespace that give the ports their addresses."""
    commands = []
    for device in devices:
        link = links.get(device.inside)
        if link is None or link["mtu"] != device.mtu or "UP" not in link["flags"]:
            commands.append(f"link set {device.inside} mtu {device.mtu} up")
        if link is not None and link["address"] != device.mac:
            commands.append(f"link set {device.inside} address {device.mac}")
        has = _addresses(link or {})
        for address in device.addresses:
            version = 6 if ":" in address else 4
            metric = device.metric or _METRIC[version]
            if has.get(address) != metric:
                nodad = " nodad" if version == 6 else ""
                commands.append(f"address replace {address} dev {device.inside} metric {metric}{nodad}")
    return commands


def _addresses(link: Mapping[str, Any]) -> dict[str, int]:
    """Return address -> the metric of its subnet's route."""
    return {
        f"{info['local']}/{info['prefixlen']}": info.get("metric", _METRIC[6 if ":" in info["local"] else 4])
        for info in link.get("addr_info", ())
        if info.get("scope") != "link" or info.get("family") == "inet"
    }


def set_routes(twin: Twin, inside: Inside) -> dict[str, list[str]]:
    """Return the commands in the namespace that set the routes: destination -> commands."""
    kept = {route.destination for route in twin.kernel.routes}
    commands: dict[str, list[str]] = {}
    for destination, hops in sorted(inside.routes):
        if destination not in kept:
            commands.setdefault(destination, []).append(next_hops.delete(destination, hops, "proto static"))
    for route in twin.kernel.routes:
        if route.key not in inside.routes:
            command = next_hops.replace(route.destination, route.hops, "proto static")
            commands.setdefault(route.destination, []).append(command)
    return commands


def set_ways(ways: Ways, inside: Inside) -> list[str]:
    """Return the commands in the namespace that have packets take the right gateway; routes before rules."""
    commands = [f"route replace {route}" for route in ways.routes]
    commands += [f"rule add {_rule(one)}" for one in ways.rules if one not in inside.rules]
    gone = sorted(inside.rules - {*ways.rules}, key=_rule)
    return [*commands, *(f"rule delete {_rule(one)}" for one in gone)]


def _rule(rule: Rule) -> str:
    words = f"pref {rule.preference} from {rule.source or 'all'}"
    words += f" fwmark {rule.mark}" if rule.mark else ""
    only_specific = " suppress_prefixlength 0" if rule.preference == gateways.SPECIFIC else ""
    return f"{words} lookup {rule.table}{only_specific}"
