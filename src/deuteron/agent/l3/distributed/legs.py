"""The pairs of devices between the namespaces of floating IPs and distributed parts, in the kernel."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deuteron.agent import names
from deuteron.agent.l3 import next_hops
from deuteron.agent.l3.distributed.floating import (
    FIP_END,
    NOTHING,
    OUT,
    PRIORITY,
    ROUTER_END,
    ROUTER_SYSCTLS,
    ROUTES,
    TABLE,
    UNTRACKED,
    Leg,
    translation,
)
from deuteron.agent.l3.kernel import CARRIER_SECONDS, LOOK_SECONDS, documents
from deuteron.agent.system import ip, nft, sysctl
from deuteron.agent.system.command import run

_RULE = f"priority {PRIORITY} fwmark {OUT:#x} lookup {ROUTES}"
Route = tuple[str, str, str]
"""(destination, next hops or "", device)"""
Rule = tuple[int, str, str]
"""(priority, device by which it comes or "", routing table)"""


@dataclass(frozen=True)
class View:
    """What is in a namespace."""

    links: Mapping[str, Mapping[str, Any]]
    """Device -> what `ip address show` says of it."""
    routes: Mapping[str, frozenset[Route]]
    """Routing table -> those of its IPv4 routes that are not the kernel's own."""
    rules: frozenset[Rule]

    @property
    def has_rule(self) -> bool:
        """Whether marked packets are led to ROUTES."""
        return any(priority == PRIORITY for priority, _, _ in self.rules)


def look(namespace: str) -> View:
    """Return what is in a namespace. Raises SystemCommandError."""
    queries = "address show\nroute show table all root 0.0.0.0/0 proto static\nrule show\n"
    links, routes, rules = documents(run(["ip", "-j", "-d", "-batch", "-"], queries, namespace))
    found: dict[str, set[Route]] = {}
    for item in routes:
        destination = "0.0.0.0/0" if item["dst"] == "default" else item["dst"]
        destination += "" if "/" in destination else "/32"
        device = (item.get("nexthops") or [item])[0].get("dev", "")
        route = (destination, next_hops.of(item), device)
        found.setdefault(str(item.get("table", "main")), set()).add(route)
    return View(
        links={link["ifname"]: link for link in links},
        routes={table: frozenset(those) for table, those in found.items()},
        rules=frozenset((item["priority"], item.get("iif", ""), str(item.get("table"))) for item in rules),
    )


def connect(leg: Leg, fip_namespace: str, outside: View) -> None:
    """Make a leg so, in both namespaces, but for its translation. Raises SystemCommandError."""
    inside = look(leg.namespace)
    inner, outer = inside.links.get(leg.inner), outside.links.get(leg.outer)
    if inner is None or outer is None:
        if outer is not None:
            ip.batch([f"link delete {leg.outer}"], fip_namespace)
        elif inner is not None:
            ip.batch([f"link delete {leg.inner}"], leg.namespace)
        ip.batch([_pair(leg, fip_namespace)])
        inner = outer = None
    ip.batch(_end(leg.outer, leg.mtu, FIP_END, (ROUTER_END, leg.inner), outer), fip_namespace)
    commands = _end(leg.inner, leg.mtu, ROUTER_END, (FIP_END, leg.outer), inner)
    default: Route = ("0.0.0.0/0", FIP_END, leg.inner)
    if inner is None or default not in inside.routes.get(str(ROUTES), ()):
        commands.append(
            f"route replace default via {FIP_END} dev {leg.inner} onlink table {ROUTES} proto static"
        )
    if not inside.has_rule:
        commands.append(f"rule add {_RULE}")
    ip.batch(commands, leg.namespace)
    if inner is None:
        _wait_for_carrier(leg.outer, fip_namespace)
        _wait_for_carrier(leg.inner, leg.namespace)


def translate(leg: Leg) -> None:
    """Translate what goes by a leg: instances use it from now on. Raises SystemCommandError."""
    if ("inet", TABLE) not in nft.tables(leg.namespace):
        nft.apply(UNTRACKED, leg.namespace)
    nft.apply(translation(leg), leg.namespace)
    sysctl.write(ROUTER_SYSCTLS, leg.namespace)


def disconnect(router: str) -> None:
    """Have no leg in a router's distributed part; its other end goes with it. Raises SystemCommandError."""
    namespace, device = names.router_namespace(router), names.router_to_fip(router)
    inside = look(namespace)
    if ("inet", TABLE) in nft.tables(namespace):
        nft.apply(UNTRACKED, namespace)  # as it began: hooks outlive their rules, too
        nft.apply(NOTHING, namespace)
    commands = [f"rule delete {_RULE}"] if inside.has_rule else []
    if device in inside.links:
        commands.append(f"link delete {device}")
    ip.batch(commands, namespace)


def _pair(leg: Leg, fip_namespace: str) -> str:
    ends = [
        f"name {device} netns {namespace} mtu {leg.mtu} address {names.device_mac(device)}"
        for device, namespace in ((leg.inner, leg.namespace), (leg.outer, fip_namespace))
    ]
    return f"link add {ends[0]} type veth peer {ends[1]}"


def _wait_for_carrier(device: str, namespace: str) -> None:
    """Wait until a device sends: what goes by it between `up` and the notice of its carrier is lost."""
    until = time.monotonic() + CARRIER_SECONDS
    while ip.show(f"link show dev {device}", namespace)[0]["operstate"] != "UP" and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)


def _end(
    device: str, mtu: int, address: str, other: tuple[str, str], link: Mapping[str, Any] | None
) -> list[str]:
    """Return the commands that make one end so; `other` is the address and the device of the other one."""
    commands = []
    if link is None or link["mtu"] != mtu or "UP" not in link["flags"]:
        commands.append(f"link set {device} mtu {mtu} up")
    has: Iterable[Mapping[str, Any]] = link.get("addr_info", ()) if link else ()
    if not any(info.get("local") == address for info in has):
        commands.append(f"address replace {address}/32 dev {device}")
    # Both are known: a question that gets lost would be asked again after a second.
    mac = names.device_mac(other[1])
    commands.append(f"neighbour replace {other[0]} lladdr {mac} nud permanent dev {device}")
    return commands
