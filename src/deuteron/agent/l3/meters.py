"""Reads what routers here have counted, for the server and for the log."""

import logging
import threading
import time
from collections.abc import Mapping

from deuteron.agent.context import Context
from deuteron.agent.l3 import services, wanted
from deuteron.agent.status import Status
from deuteron.agent.system import netns, nft
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import MeterReport, Router, Unit

log = logging.getLogger(__name__)

Counts = dict[tuple[str, str], tuple[int, int]]
"""(router, label) -> (packets, bytes)"""


class Meters:
    """Notes which routers count; a thread reads it."""

    kinds: tuple[type[Unit], ...] = (Router,)
    pending = False

    def __init__(self, context: Context, interval: float) -> None:
        """Read every `interval` seconds."""
        self._routers: dict[str, str] = {}
        self._reader = Reader(context.status, interval)
        self._reader.start()

    def put(self, unit: Unit) -> None:
        """Note a router that counts, and its namespace."""
        if isinstance(unit, Router):
            self._routers.pop(unit.id, None)
            if unit.services.meters:
                self._routers[unit.id] = wanted.namespace(unit)

    def delete(self, key: str) -> None:
        """Forget a router."""
        self._routers.pop(key.partition("/")[2], None)

    def recheck(self) -> None:
        """Nothing is kept in the kernel."""

    def apply(self) -> dict[str, str]:
        """Have those read that there are now."""
        self._reader.namespaces = dict(self._routers)
        return {}


class Reader(threading.Thread):
    """Reads counters, and says what has changed."""

    def __init__(self, status: Status, interval: float) -> None:
        """Begin with start()."""
        super().__init__(name="meters", daemon=True)
        self.namespaces: Mapping[str, str] = {}
        """Router -> namespace; replaced as a whole."""
        self._status = status
        self._interval = interval
        self._last: Counts = {}

    def run(self) -> None:
        """Read, for ever."""
        while True:
            try:
                self.read()
            except Exception:  # what is not foreseen must not end the reading
                log.exception("meters: goes on")
            time.sleep(self._interval)

    def read(self) -> None:
        """Read all counters once."""
        now: Counts = {}
        for router, namespace in self.namespaces.items():
            now.update(_counted(router, namespace))
        for (router, label), (packets, size) in now.items():
            before = self._last.get((router, label), (0, 0))
            if (packets, size) == before:
                continue
            report = MeterReport(router=router, label=label, packets=packets, bytes=size)
            self._status.set_meter(report)
            grown = (packets - before[0], size - before[1]) if packets >= before[0] else (packets, size)
            log.info("metering label %s, router %s: %d packets, %d bytes more", label, router, *grown)
        self._status.keep_meters(now.keys())
        self._last = now


def _counted(router: str, namespace: str) -> Counts:
    if not netns.exists(namespace):
        return {}
    try:
        found = nft.counters(services.METERS, namespace)
    except (SystemCommandError, OSError, ValueError) as error:
        log.warning("metering of router %s: %s", router, error)
        return {}
    return {(router, services.meter_of(name)): count for name, count in found.items()}
