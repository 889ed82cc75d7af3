"""Whether the next hops of routers' gateways answer this host, whether it is active or not."""

import logging
import select
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.l3 import gateways, questions
from deuteron.plan.units import Network, Router, Unit, UplinkReport

log = logging.getLogger(__name__)

MISSES, ANSWERS = 3, 2
"""In a row, until a next hop counts as silent, and as there."""

Way = tuple[str, str]
"""An external network and the address of a next hop there."""


@dataclass
class Health:
    """What the answers of one next hop come to."""

    ok: bool | None = None
    """None as long as nothing is known."""
    since: float = 0.0
    _row: int = 0
    _last: bool | None = None
    _began: float = 0.0

    def note(self, answered: bool, asked: float) -> bool:
        """Take a result of a question, by the time at which it was asked; return whether `ok` changed."""
        if answered != self._last:
            self._last, self._row, self._began = answered, 0, asked
        self._row += 1
        if self.ok is answered or self._row < (ANSWERS if answered else MISSES):
            return False
        self.ok, self.since = answered, self._began
        return True


class Uplinks:
    """Notes which next hops there are; a thread asks them."""

    kinds: tuple[type[Unit], ...] = (Network, Router)
    pending = False

    def __init__(self, context: Context, interval: float) -> None:
        """Ask every `interval` seconds, 0 for never."""
        self._mappings = context.bridge_mappings
        self._networks: dict[str, str] = {}
        self._routers: dict[str, set[Way]] = {}
        self._checker = Checker(context, interval) if interval > 0 else None
        if self._checker is not None:
            self._checker.start()

    def put(self, unit: Unit) -> None:
        """Note a router's next hops, and by which device a network is reached."""
        if isinstance(unit, Router):
            outsides = gateways.of(unit)
            self._routers[unit.id] = {(one.port.network, hop) for one in outsides for hop in one.nexthops}
        elif isinstance(unit, Network) and (device := self._mappings.get(unit.physical_network or "")):
            self._networks[unit.id] = names.vlan(unit.id) if unit.type == "vlan" else device

    def delete(self, key: str) -> None:
        """Forget a router or a network."""
        kind, _, id_ = key.partition("/")
        (self._routers if kind == "router" else self._networks).pop(id_, None)

    def recheck(self) -> None:
        """Nothing is kept in the kernel."""

    def apply(self) -> dict[str, str]:
        """Have the next hops asked that there are now."""
        if self._checker is not None:
            ways = {way for found in self._routers.values() for way in found}
            self._checker.wanted = {way: self._networks[way[0]] for way in ways if way[0] in self._networks}
        return {}


class Checker(threading.Thread):
    """Asks every next hop once in an interval, and says what it has found out when it changes."""

    def __init__(self, context: Context, interval: float) -> None:
        """Begin with start()."""
        super().__init__(name="uplinks", daemon=True)
        self.wanted: Mapping[Way, str] = {}
        """Next hop -> the device by which its network is reached; replaced as a whole."""
        self._status = context.status
        self._interval = interval
        self._health: dict[Way, Health] = {}
        self._macs: dict[Way, bytes] = {}
        self._sockets: dict[tuple[str, int], socket.socket] = {}

    def run(self) -> None:
        """Ask, for ever."""
        while True:
            try:
                self._round()
            except Exception:  # what is not foreseen must not end the checking
                log.exception("uplinks: goes on")
                time.sleep(self._interval)

    def _round(self) -> None:
        """Ask once, wait for the answers, and weigh them."""
        wanted, asked = self.wanted, time.time()
        for way, device in wanted.items():
            self._ask(way, device)
        answered = self._listen(wanted, self._interval)
        self._weigh(wanted, answered, asked)
        self._close_unused(wanted)

    def _ask(self, way: Way, device: str) -> None:
        network, address = way
        try:
            mac = bytes.fromhex(Path(f"/sys/class/net/{device}/address").read_text().strip().replace(":", ""))
            opened = self._socket(names.bridge(network), questions.protocol(address))
            opened.send(questions.question(address, mac, self._macs.get(way)))
        except (OSError, ValueError) as error:
            log.debug("%s on %s cannot be asked: %s", address, device, error)
            self._close(names.bridge(network), questions.protocol(address))

    def _socket(self, bridge: str, kind: int) -> socket.socket:
        if (bridge, kind) not in self._sockets:
            self._sockets[bridge, kind] = questions.listen(bridge, kind)
        return self._sockets[bridge, kind]

    def _listen(self, wanted: Iterable[Way], seconds: float) -> set[Way]:
        """Collect answers for so long."""
        answered: set[Way] = set()
        until = time.monotonic() + seconds
        known = {names.bridge(network): network for network, _ in wanted}
        opened = {one: known.get(bridge, "") for (bridge, _), one in self._sockets.items()}
        while (left := until - time.monotonic()) > 0:
            for one in select.select(list(opened), [], [], left)[0]:
                try:
                    found = questions.answer(one.recv(2048))
                except OSError:
                    del opened[one]  # its device is gone
                    continue
                if found:
                    way = (opened[one], found[0])
                    self._macs[way] = found[1]
                    answered.add(way)
        return answered

    def _weigh(self, wanted: Iterable[Way], answered: set[Way], asked: float) -> None:
        self._health = {way: self._health.get(way) or Health() for way in wanted}
        self._macs = {way: mac for way, mac in self._macs.items() if way in answered}
        changed = []
        for way, health in self._health.items():
            if health.note(way in answered, asked):
                changed.append(way)
        for network, address in changed:
            word = "answers" if self._health[network, address].ok else "does not answer"
            log.info("uplink %s: next hop %s %s", names.bridge(network), address, word)
        self._status.set_uplinks(
            UplinkReport(network=network, address=address, ok=health.ok, since=health.since)
            for (network, address), health in sorted(self._health.items())
            if health.ok is not None
        )

    def _close_unused(self, wanted: Iterable[Way]) -> None:
        used = {(names.bridge(network), questions.protocol(address)) for network, address in wanted}
        for bridge, kind in self._sockets.keys() - used:
            self._close(bridge, kind)

    def _close(self, bridge: str, kind: int) -> None:
        opened = self._sockets.pop((bridge, kind), None)
        if opened is not None:
            opened.close()
