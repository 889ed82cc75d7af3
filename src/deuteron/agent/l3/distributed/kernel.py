"""What the kernel holds of a distributed part, and the commands that make it what it must be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deuteron.agent import names
from deuteron.agent.l3 import next_hops
from deuteron.agent.l3.distributed.wanted import PRIORITY, Neighbours, Part, Route, Rule, Version
from deuteron.agent.l3.kernel import documents
from deuteron.agent.l3.wanted import Device
from deuteron.agent.system.command import run

Links = Mapping[str, Mapping[str, Any]]
"""Device -> what `ip link show` says of it."""
_OURS = "qr-"
_EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
_WIDTH = {4: 32, 6: 128}
_NAMED = {"main": 254}


@dataclass(frozen=True)
class Inside:
    """What is in the namespace of a distributed part."""

    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Device -> what `ip address show` says of it, our ports only."""
    routes: frozenset[Route] = frozenset()
    """Those that are not the kernel's own, by our ports."""
    rules: frozenset[Rule] = frozenset()
    neighbours: Neighbours = field(default_factory=dict)


def look(namespace: str) -> Inside:
    """Return what is in a namespace. Raises SystemCommandError."""
    both = "address show\nneighbour show nud permanent\n"
    links, neighbours = documents(run(["ip", "-j", "-d", "-batch", "-"], both, namespace))
    routes: set[Route] = set()
    rules: set[Rule] = set()
    for version in (4, 6):
        family = "route show table all proto static\nrule show\n"
        text = run(["ip", f"-{version}", "-j", "-d", "-batch", "-"], family, namespace)
        dump, selectors = documents(text)
        routes.update(_routes(dump, version))
        rules.update(_rules(selectors, 6 if version == 6 else 4))
    return Inside(
        links={link["ifname"]: link for link in links if link["ifname"].startswith(_OURS)},
        routes=frozenset(routes),
        rules=frozenset(rules),
        neighbours={
            (item["dev"], item["dst"]): item["lladdr"]
            for item in neighbours
            if item["dev"].startswith(_OURS) and "lladdr" in item
        },
    )


def _routes(dump: Iterable[Mapping[str, Any]], version: int) -> Iterable[Route]:
    for item in dump:
        if not item.get("dev", _OURS).startswith(_OURS):
            continue
        destination = _EVERYTHING[version] if item["dst"] == "default" else item["dst"]
        if "/" not in destination:
            destination += f"/{_WIDTH[version]}"
        table = item.get("table", "main")
        number = _NAMED.get(table) or int(table)
        # In the main table the next hop alone decides by which device it leaves.
        device = "" if number == _NAMED["main"] else item.get("dev", "")
        yield Route(number, destination, next_hops.of(item), device)


def _rules(dump: Iterable[Mapping[str, Any]], version: Version) -> Iterable[Rule]:
    for item in dump:
        if item.get("priority") == PRIORITY and "iif" in item and item["table"].isdigit():
            yield Rule(version, item["iif"], int(item["table"]))


def make_ports(devices: Iterable[Device], namespace: str, taps: Links, whole: Links) -> list[str]:
    """Return the commands on the host that make veth pairs; raises ValueError when a foreign device is there.

    `taps` are all that there are, `whole` those whose other end is where it must be.
    """
    commands: list[str] = []
    for device in devices:
        tap = whole.get(device.tap)
        if tap is not None:
            if tap.get("mtu") != device.mtu:
                commands.append(f"link set {device.tap} mtu {device.mtu}")
            if tap.get("ifalias") != names.ALIAS:
                commands.append(f"link set {device.tap} alias {names.ALIAS} addrgenmode none")
            continue
        if device.tap in taps:
            if not names.is_ours(taps[device.tap]):
                raise ValueError(f"a foreign device {device.tap} is in the way: remove or rename it")
            commands.append(f"link delete {device.tap}")
        commands += [
            f"link add {device.tap} mtu {device.mtu} address {names.device_mac(device.tap)} type veth"
            f" peer name {device.inside} mtu {device.mtu} address {device.mac} netns {namespace}",
            f"link set {device.tap} alias {names.ALIAS} addrgenmode none",
        ]
    return commands


def plug_port(device: Device, tap: Mapping[str, Any]) -> list[str]:
    """Return the commands on the host that put a port on its bridge, which is to learn nothing of it."""
    commands = []
    if tap.get("master") != device.bridge:
        commands.append(f"link set {device.tap} master {device.bridge}")
    if tap.get("master") != device.bridge or _learns(tap):
        commands.append(f"link set {device.tap} type bridge_slave learning off")
    if "UP" not in tap.get("flags", ()):
        commands.append(f"link set {device.tap} up")
    return commands


def _learns(tap: Mapping[str, Any]) -> bool:
    return bool(tap.get("linkinfo", {}).get("info_slave_data", {}).get("learning", True))


def set_routes(part: Part, inside: Inside) -> dict[str, list[str]]:
    """Return the commands in the namespace that set the routes: destination -> commands."""
    commands: dict[str, list[str]] = {}
    kept = {(route.table, route.destination) for route in part.routes}
    for route in sorted(inside.routes):
        if (route.table, route.destination) not in kept:
            commands.setdefault(route.destination, []).append(_route("delete", route))
    for route in sorted(part.routes - inside.routes):
        commands.setdefault(route.destination, []).append(_route("replace", route))
    return commands


def _route(verb: str, route: Route) -> str:
    rest = f"table {route.table} proto static"
    if verb == "delete":
        through = f"dev {route.device} " if route.device else ""
        return next_hops.delete(route.destination, route.hops, through + rest)
    hops = [(hop, route.device) for hop in route.hops.split(",")]
    return next_hops.replace(route.destination, hops, rest)


def set_rules(part: Part, inside: Inside, version: Version) -> dict[str, list[str]]:
    """Return the commands of one version of IP that set the rules: what -> commands."""
    commands: dict[str, list[str]] = {}
    for verb, rules in (("delete", inside.rules - part.rules), ("add", part.rules - inside.rules)):
        for rule in sorted(rules):
            if rule.version == version:
                commands.setdefault(f"rule of {rule.device}", []).append(_rule(verb, rule))
    return commands


def _rule(verb: str, rule: Rule) -> str:
    return f"rule {verb} priority {PRIORITY} iif {rule.device} lookup {rule.table}"


def set_neighbours(have: Neighbours, want: Neighbours) -> dict[str, list[str]]:
    """Return the commands in the namespace that lead from one to the other: address -> commands."""
    commands = {
        f"{address} on {device}": [f"neighbour delete {address} dev {device}"]
        for device, address in sorted(have.keys() - want.keys())
    }
    for (device, address), mac in sorted(want.items()):
        if have.get((device, address)) != mac:
            command = f"neighbour replace {address} lladdr {mac} nud permanent dev {device}"
            commands[f"{address} on {device}"] = [command]
    return commands
