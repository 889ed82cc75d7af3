"""Which routers are built here to take over, and not told all connections yet: what the server waits for."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deuteron.agent.l3.conntrack_sync import progress
from deuteron.agent.l3.conntrack_sync.progress import Progress
from deuteron.agent.l3.conntrack_sync.table import Identity, identity

SILENCE = 3.0
"""Seconds after which nobody is taken to have anything to tell."""
PATIENCE = 20.0
"""Seconds after which the router is to move without the rest. The server waits a little longer."""
_EVERY = 0.1


@dataclass
class Wait:
    """One router that is waited for, in its namespace; times are of time.monotonic()."""

    namespace: str
    since: float
    there: float | None = None
    """Since when the copying process knows it."""

    def over(self, found: Progress | None, namespace: Identity | None, now: float) -> bool:
        """Return whether there is nothing more to wait for, by what the copying process says of it."""
        if now - self.since > PATIENCE:
            return True
        if found is None or found.namespace != namespace:
            return False
        if self.there is None:
            self.there = now
        return found.whole or (not found.heard and now - self.there > SILENCE)


class Arrivals(threading.Thread):
    """Tells for which routers it is waited, whenever that changes."""

    def __init__(self, run_dir: Path, tell: Callable[[frozenset[str]], None]) -> None:
        """Nothing is waited for yet; start() begins."""
        super().__init__(name="arrivals", daemon=True)
        self._run_dir = run_dir
        self._tell = tell
        self._lock = threading.Lock()
        self._some = threading.Event()
        self._waiting: dict[str, Wait] = {}

    def expect(self, router: str, namespace: str) -> None:
        """Wait for the connections of a router, which is in this namespace. From any thread."""
        with self._lock:
            self._waiting.setdefault(router, Wait(namespace, time.monotonic()))
            self._tell(frozenset(self._waiting))
            self._some.set()

    def forget(self, router: str) -> None:
        """Wait no more. From any thread."""
        with self._lock:
            if self._waiting.pop(router, None):
                self._tell(frozenset(self._waiting))

    def run(self) -> None:
        """Look, for ever."""
        while True:
            self._some.wait()
            self.look()
            time.sleep(_EVERY)

    def look(self) -> None:
        """Compare with what the copying process says."""
        found, now = progress.read(self._run_dir), time.monotonic()
        with self._lock:
            for id_, wait in list(self._waiting.items()):
                if wait.over(found.get(id_), identity(wait.namespace), now):
                    del self._waiting[id_]
            self._tell(frozenset(self._waiting))
            if not self._waiting:
                self._some.clear()
