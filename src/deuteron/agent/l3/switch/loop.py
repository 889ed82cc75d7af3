"""One thread that waits for descriptors and times; what it calls must not block."""

import heapq
import itertools
import logging
import selectors
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)

Function = Callable[[], None]
_PAUSE = 0.01


class HasFileno(Protocol):
    """What can be waited for."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


class Loop:
    """Calls functions when something is readable, or when their time has come."""

    def __init__(self) -> None:
        """Nothing to wait for yet."""
        self._selector = selectors.DefaultSelector()
        self._times: list[tuple[float, int, Function]] = []
        self._order = itertools.count()
        self.stopped = False

    def on_readable(self, source: HasFileno, function: Function) -> None:
        """Call a function whenever a source has something to read or has ended."""
        self._selector.register(source.fileno(), selectors.EVENT_READ, function)

    def forget(self, descriptor: int) -> None:
        """Do not wait for a descriptor any more; call it before it is closed."""
        self._selector.unregister(descriptor)

    def later(self, seconds: float, function: Function) -> None:
        """Call a function once, in so many seconds."""
        heapq.heappush(self._times, (time.monotonic() + seconds, next(self._order), function))

    def run(self) -> None:
        """Run until `stopped`."""
        while not self.stopped:
            pause = max(0.0, self._times[0][0] - time.monotonic()) if self._times else None
            for key, _ in self._selector.select(pause):
                _call(key.data)
            while self._times and self._times[0][0] <= time.monotonic():
                _call(heapq.heappop(self._times)[2])


def _call(function: Function) -> None:
    try:
        function()
    except Exception:
        log.exception("the switch goes on after this")
        time.sleep(_PAUSE)  # should it come again at once: this runs before all else on a processor
