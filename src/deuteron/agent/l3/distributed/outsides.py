"""The namespaces of floating IPs on this host, in the kernel."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.l3 import kernel as ports
from deuteron.agent.l3.distributed import extra_routes, floating, kernel, legs
from deuteron.agent.l3.distributed.announcements import announce
from deuteron.agent.l3.distributed.floating import Outside
from deuteron.agent.l3.distributed.legs import Route, View
from deuteron.agent.l3.wanted import asking
from deuteron.agent.system import ip, netns, nft, sysctl
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import DistributedRouter, FloatingGateway, FloatingIP, Unit

log = logging.getLogger(__name__)

_PREFIX = names.fip_namespace("")
_PART = "floating"
Routers = Mapping[str, DistributedRouter]


class Outsides:
    """Builds FloatingGateway units, and the floating IPs that are served by distributed parts here."""

    def __init__(self, context: Context) -> None:
        """Nothing is built before the first `apply`."""
        self._context = context
        self._gateways: dict[str, FloatingGateway] = {}
        self._floating: dict[str, FloatingIP] = {}
        self._built: dict[str, Outside] = {}
        self._compare = True

    def put(self, unit: Unit) -> None:
        """Note a gateway or a floating IP; those of central parts are others' business."""
        if isinstance(unit, FloatingGateway):
            self._gateways[unit.id] = unit
        elif isinstance(unit, FloatingIP):
            self._floating.pop(unit.id, None)
            if unit.distributed:
                self._floating[unit.id] = unit

    def delete(self, kind: str, id_: str) -> None:
        """Note that one is gone."""
        if kind == "floatinggateway":
            self._gateways.pop(id_, None)
        elif kind == "floatingip":
            self._floating.pop(id_, None)

    def recheck(self) -> None:
        """Compare everything at the next `apply`."""
        self._compare = True

    def apply(self, routers: Routers, made: set[str]) -> dict[str, str]:
        """Make it so; return what failed: unit key -> words.

        `routers` are the distributed parts that are here, `made` those of which the namespace may be new.
        """
        problems: dict[str, str] = {}
        if self._compare:
            self._built.clear()
        wanted: dict[str, Outside] = {}
        for network, gateway in self._gateways.items():
            try:
                wanted[network] = floating.outside(gateway, routers, self._floating.values())
            except ValueError as error:
                problems[gateway.key] = str(error)
        connected = {leg.router for outside in wanted.values() for leg in outside.legs}
        before = {leg.router for outside in self._built.values() for leg in outside.legs}
        for router in sorted(((routers.keys() if self._compare else before) & routers.keys()) - connected):
            problems |= _attempt(f"distributedrouter/{router}", partial(legs.disconnect, router))
        for network in sorted((self._present() | self._built.keys()) - self._gateways.keys()):
            problems |= _attempt(f"floatinggateway/{network}", partial(self._remove, network))
        for network, outside in wanted.items():
            problems |= _attempt(f"floatinggateway/{network}", partial(self._make, outside, made))
        self._compare = bool(problems)  # what is there then is not known
        return problems | self._unreachable(routers, connected)

    def _unreachable(self, routers: Routers, connected: set[str]) -> dict[str, str]:
        return {
            unit.key: "it is to be reached here, and the plan has no gateway for it"
            for unit in self._floating.values()
            if unit.router in routers and unit.router not in connected
        }

    def _present(self) -> set[str]:
        """Return the external networks of which there is a namespace that is ours."""
        if not self._compare:
            return set()
        here = {name for name in netns.names() if name.startswith(_PREFIX) and netns.exists(name)}
        return {name.removeprefix(_PREFIX) for name in here if netns.is_ours(name)}

    def _make(self, outside: Outside, made: set[str]) -> None:
        """Make a namespace of floating IPs so. Raises SystemCommandError, ValueError, OSError."""
        before = self._built.get(outside.network)
        changed = [
            leg for leg in outside.legs if before is None or leg not in before.legs or leg.router in made
        ]
        if before == outside and not changed:
            return
        self._built.pop(outside.network, None)
        netns.create(outside.namespace)
        if before is None:
            sysctl.write(floating.SYSCTLS, outside.namespace)
        view = legs.look(outside.namespace)
        taps = {link["ifname"]: link for link in ip.show("link show type veth")}
        self._make_port(outside, view, taps)
        held = view.routes.get("main", frozenset())
        answered = before.answered if before else _answered(outside.namespace, held)
        ip.batch(_leaving(outside, view, held), outside.namespace)
        if before is None or before.rules != outside.rules:
            nft.apply(outside.rules, outside.namespace)
        tap = taps.get(outside.device.tap, {}) if outside.device.inside in view.links else {}
        if plugging := _plug(outside, tap):
            ip.batch(plugging)
            ports.wait_for_bridges([outside.device.tap])  # who is translated needs it at once
        for leg in changed:
            legs.connect(leg, outside.namespace, view)
        new = sorted(outside.routes - held)
        ip.batch([_route("replace", route) for route in new], outside.namespace)
        ip.batch(list(extra_routes.commands(outside, view)), outside.namespace)
        for leg in changed:  # whoever sends by it asks in its name, and is answered to it from then on
            legs.translate(leg)
        self._built[outside.network] = outside
        self._context.status.set_port(outside.device.port, True, _PART)
        self._announce(outside, outside.answered - answered)

    def _make_port(self, outside: Outside, view: View, taps: kernel.Links) -> None:
        """Make the port on the external network, not yet plugged."""
        devices, name = [outside.device], outside.device.inside
        links = {device: link for device, link in view.links.items() if device.startswith("fg-")}
        ip.batch(ports.remove_ports(devices, links), outside.namespace)
        whole = {tap: link for tap, link in taps.items() if name in links and tap == outside.device.tap}
        ip.batch(kernel.make_ports(devices, outside.namespace, taps, whole))
        proxy = {f"net/ipv4/conf/{name}/proxy_arp": "1", f"net/ipv4/neigh/{name}/proxy_delay": "0"}
        sysctl.write(proxy | asking(name, ["ipv4"]), outside.namespace)
        ip.batch(ports.set_ports(devices, links if whole else {}), outside.namespace)

    def _announce(self, outside: Outside, new: frozenset[str]) -> None:
        def still(address: str) -> bool:
            now = self._built.get(outside.network)
            return now is not None and address in now.answered

        device = outside.device
        if new:
            announce(outside.namespace, device.inside, device.mac, sorted(new), still)

    def _remove(self, network: str) -> None:
        name = names.fip_namespace(network)
        before = self._built.pop(network, None)
        if before:
            self._context.status.set_port(before.device.port, False, _PART)
        if netns.exists(name) and netns.is_ours(name):
            taps: dict[str, Any] = {link["ifname"]: link for link in ip.show("link show type veth")}
            ends = [f"tap{device[3:]}" for device in legs.look(name).links if device.startswith("fg-")]
            ip.batch([f"link delete {tap}" for tap in ends if tap in taps and names.is_ours(taps[tap])])
            netns.delete(name)


def _answered(namespace: str, held: frozenset[Route]) -> frozenset[str]:
    """Return the floating IPs for which a namespace answers, as its kernel has it."""
    known = {to.removesuffix("/32") for to, _, device in held if device.startswith("fpr-")}
    return frozenset(known - nft.keys("arp", floating.SILENT, table=floating.TABLE, netns=namespace))


def _leaving(outside: Outside, view: View, held: frozenset[Route]) -> list[str]:
    """Return the commands that remove what is to be reached here no more."""
    kept = {to for to, _, _ in outside.routes}
    commands = [_route("delete", route) for route in sorted(held) if route[0] not in kept]
    wanted = {leg.outer for leg in outside.legs}
    unwanted = {device for device in view.links if device.startswith("fpr-")} - wanted
    return commands + [f"link delete {device}" for device in sorted(unwanted)]


def _route(verb: str, route: Route) -> str:
    destination, nexthop, device = route
    via = f" via {nexthop}" if nexthop else " scope link"
    onlink = " onlink" if nexthop and verb != "delete" else ""
    return f"route {verb} {destination}{via} dev {device}{onlink} proto static"


def _plug(outside: Outside, tap: Mapping[str, Any]) -> list[str]:
    device = outside.device
    if tap.get("master") == device.bridge and "UP" in tap.get("flags", ()):
        return []
    return [f"link set {device.tap} master {device.bridge} up"]


def _attempt(key: str, job: Callable[[], None]) -> dict[str, str]:
    try:
        job()
    except (SystemCommandError, OSError, ValueError) as error:
        return {key: str(error)}
    return {}
