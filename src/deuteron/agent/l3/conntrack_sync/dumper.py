"""Sends whole tables to twins, one after the other, no faster than the others can take it."""

import logging
import math
from collections.abc import Iterable, Sequence
from typing import Protocol

from deuteron.agent.l3.conntrack_sync.table import Dump, Table
from deuteron.agent.l3.conntrack_sync.wire import Change

log = logging.getLogger(__name__)

_PER_SECOND = 8000
"""Entries."""
_NOT_AGAIN_BEFORE = 0.25
"""Seconds between two dumps of the same table; when one took longer, as long as it took."""


class Teller(Protocol):
    """Whose table it is: it knows how to tell twins."""

    table: Table | None

    def send_page(self, page: Sequence[Change], twins: Iterable[str]) -> None:
        """Send a part of the table to some twins."""
        ...

    def finish_dump(self, twins: Iterable[str]) -> None:
        """Tell twins that they were sent everything."""
        ...


class Dumper:
    """The queue of tables that twins are to be sent."""

    def __init__(self) -> None:
        self._wanted: dict[Teller, set[str]] = {}
        self._not_before: dict[Teller, float] = {}
        self._current: tuple[Teller, Dump, tuple[str, ...]] | None = None
        self._began = 0.0
        self._pause_until = 0.0

    def want(self, teller: Teller, twins: Iterable[str]) -> None:
        """Send these twins everything soon."""
        self._wanted.setdefault(teller, set()).update(twins)

    def forget(self, teller: Teller) -> None:
        """Send nothing more."""
        self._wanted.pop(teller, None)
        self._not_before.pop(teller, None)
        if self._current and self._current[0] is teller:
            self._end()

    def due(self) -> float:
        """Return when there is something to do: a time of `time.monotonic`, infinity for never."""
        if self._current:
            return self._pause_until
        begin = min((self._not_before.get(teller, 0.0) for teller in self._wanted), default=math.inf)
        return max(begin, self._pause_until)

    def step(self, now: float) -> None:
        """Send a part, if it is due."""
        if now < self.due():
            return
        try:
            if self._current is None:
                self._begin(now)
            self._send_page(now)
        except OSError as error:
            log.warning("a table could not be read: %s; trying again", error)
            if self._current:
                teller, _, twins = self._current
                self.want(teller, twins)
                self._end()

    def _begin(self, now: float) -> None:
        teller = next(teller for teller in self._wanted if self._not_before.get(teller, 0.0) <= now)
        twins = tuple(self._wanted[teller])
        self._not_before[teller] = now + _NOT_AGAIN_BEFORE
        self._began = now
        if teller.table and twins:
            self._current = teller, Dump(teller.table), twins
        del self._wanted[teller]  # only now: when the dump could not begin it is still wanted

    def _send_page(self, now: float) -> None:
        if self._current is None:
            return
        teller, dump, twins = self._current
        page = dump.page()
        if page is None:
            self._end()
            self._not_before[teller] = now + max(_NOT_AGAIN_BEFORE, now - self._began)
            teller.finish_dump(twins)
            return
        teller.send_page(page, twins)
        self._pause_until = now + len(page) / _PER_SECOND

    def _end(self) -> None:
        if self._current:
            self._current[1].close()
            self._current = None
