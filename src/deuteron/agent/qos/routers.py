"""Keeps what floating IPs and the gateways of routers are held to as planned."""

from collections.abc import Mapping
from typing import Any

from deuteron.agent import names
from deuteron.agent.qos import addresses, shaping
from deuteron.agent.qos.addresses import NOTHING, Trees, Wanted, Way
from deuteron.agent.qos.shaping import Held
from deuteron.agent.system import ip, netns, tc
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import FloatingIP, Router, Unit


class AddressLimits:
    """Limits of the bandwidth of addresses, in the namespaces of routers, which others build."""

    kinds: tuple[type[Unit], ...] = (Router, FloatingIP)
    pending = False

    def __init__(self, lacks: str) -> None:
        """`lacks` says why this host cannot limit bandwidth; "" when it can."""
        self._lacks = lacks
        self._routers: dict[str, Router] = {}
        self._floating: dict[str, dict[str, FloatingIP]] = {}  # router -> id -> floating IP
        self._router_of: dict[str, str] = {}  # floating IP -> router
        self._held: dict[str, dict[Way, Trees]] = {}  # router -> what its ways out have
        self._dirty: set[str] = set()  # routers
        self._compare = True
        self._left = True
        """Whether something of a former agent may be there."""

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        if isinstance(unit, Router):
            self._routers[unit.id] = unit
            self._dirty.add(unit.id)
        elif isinstance(unit, FloatingIP):
            self._forget(unit.id)
            self._floating.setdefault(unit.router, {})[unit.id] = unit
            self._router_of[unit.id] = unit.router
            self._dirty.add(unit.router)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, id_ = key.partition("/")
        if kind == "floatingip":
            self._forget(id_)
        elif self._routers.pop(id_, None):
            self._dirty.add(id_)

    def _forget(self, floating_ip: str) -> None:
        router = self._router_of.pop(floating_ip, None)
        if router is not None:
            del self._floating[router][floating_ip]
            if not self._floating[router]:
                del self._floating[router]
            self._dirty.add(router)

    def recheck(self) -> None:
        """Compare with the kernel at the next turn."""
        self._compare = True

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        if self._compare:
            self._dirty |= self._routers.keys() | self._floating.keys() | self._held.keys()
        problems: dict[str, str] = {}
        namespaces = netns.names() if self._dirty else set()
        for router in sorted(self._dirty):
            try:
                self._limit(router, namespaces)
                self._dirty.discard(router)
            except (SystemCommandError, ValueError) as error:
                self._held.pop(router, None)
                problems[f"limits/{router}"] = str(error)
        self._compare = False
        self._left = self._left and bool(problems)
        return problems

    def _limit(self, router: str, namespaces: set[str]) -> None:
        """Give a router's ways out their limits. Raises ValueError or SystemCommandError."""
        unit = self._routers.get(router)
        known = self._held.get(router, {})
        wanted = addresses.ways(router, unit, self._floating.get(router, {}).values())
        for way in {*known, *wanted}:
            limits = wanted.get(way, NOTHING)
            idle = limits == NOTHING and way not in known
            if way.namespace in namespaces and not (idle and not self._left):
                trees = _limit(way, known.get(way), limits, self._lacks)
                known = {**known, way: trees}
            elif limits != NOTHING:
                raise ValueError(f"{way.namespace} is not built yet")
            if limits == NOTHING:
                known = {other: trees for other, trees in known.items() if other != way}
        self._held[router] = known
        if not known:
            del self._held[router]


def _limit(way: Way, trees: Trees | None, wanted: Wanted, lacks: str) -> Trees:
    """Give a way out its limits; return what it has then."""
    if wanted != NOTHING and lacks:
        raise ValueError(lacks)
    held = shaping.held(tc.show("qdisc show", way.namespace))
    links = {link["ifname"]: link for link in ip.show("link show", way.namespace)}
    if trees is None or not _is_there(way, trees, held):
        _clear(way, held, links)
        trees, held = Trees(), shaping.held(tc.show("qdisc show", way.namespace))
    if wanted != NOTHING and way.device not in links:
        raise ValueError(f"{way.device} in {way.namespace} is not built yet")
    has = held.get(way.device, Held())
    if wanted.egress and has.foreign:
        raise ValueError(f"{way.device} has a queueing discipline {has.kind} that is not ours: remove it")
    todo = addresses.work(way, trees, wanted, filters=has.filters)
    ip.batch(todo.make, way.namespace)
    tc.batch(todo.queue, way.namespace)
    ip.batch(todo.remove, way.namespace)
    return trees


def _is_there(way: Way, trees: Trees, held: Mapping[str, Held]) -> bool:
    """Return whether the kernel has what it was given."""
    pairs = ((way.device, trees.egress), (way.shaper, trees.ingress))
    return all(held.get(device, Held()).ours == bool(tree.classes) for device, tree in pairs)


def _clear(way: Way, held: Mapping[str, Held], links: Mapping[str, Mapping[str, Any]]) -> None:
    """Take away what is ours, whatever it is."""
    has = held.get(way.device, Held())
    if has.filters:
        tc.batch_groups({way.device: shaping.straight(way.device)}, way.namespace)
    tc.batch(shaping.root(way.device, None, has), way.namespace)
    if way.shaper in links and names.is_ours(links[way.shaper]):
        ip.batch([f"link delete {way.shaper}"], way.namespace)
