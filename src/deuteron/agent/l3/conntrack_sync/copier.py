"""One router: copies its connections to its twins while it is open here, and theirs to it while it is not."""

import os
import random
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deuteron.agent.l3.conntrack_sync import wire
from deuteron.agent.l3.conntrack_sync.counters import Counters
from deuteron.agent.l3.conntrack_sync.dumper import Dumper
from deuteron.agent.l3.conntrack_sync.outbox import Outbox
from deuteron.agent.l3.conntrack_sync.progress import Progress
from deuteron.agent.l3.conntrack_sync.table import Overflow, Table
from deuteron.agent.l3.conntrack_sync.underlay import Underlay
from deuteron.agent.l3.conntrack_sync.wire import ASK, DONE, ENTRIES, Change, Datagram
from deuteron.agent.l3.switch.records import Router

_MODULO = 1 << 32
_ASK_AGAIN = (1.0, 30.0)
"""Seconds until an unanswered question is asked again: the first time, and at most."""
_REFRESH = (45.0, 75.0)
"""Seconds between refreshes, at random so that routers do not all refresh at once; see entries.LIFETIME."""
_LAST_WORDS = 10
"""Turns in which the events are read that still wait when a gate closes."""


@dataclass(slots=True)
class _Hearing:
    """What was heard of one twin."""

    sender: int
    expected: int


class Copier:
    """The copying of one router's connections. `table` is None as long as its namespace is not there."""

    def __init__(self, router: Router, underlay: Underlay, dumper: Dumper, counters: Counters) -> None:
        """Nothing is copied before there is a table."""
        self.router = router
        self.twins: tuple[str, ...] = tuple(_plain(twin) for twin in router.twins)
        self.table: Table | None = None
        self.outbox = Outbox()
        self.inbox: list[Change] = []
        self._underlay = underlay
        self._dumper = dumper
        self._counters = counters
        self._sender = int.from_bytes(os.urandom(4), "big")
        self._sequences: dict[str, int] = {}
        self._hearings: dict[str, _Hearing] = {}
        self._ask_at: float | None = None
        self._ask_pause = _ASK_AGAIN[0]
        self._torn = False
        self._heard = self._whole = False
        self._refresh_at = 0.0
        self._lives_on_copies = False
        """Whether the router has just opened, so that what is in its table came from twins."""

    @property
    def is_open(self) -> bool:
        """Whether this host carries the router's traffic, and so tells the others."""
        return self.table is not None and self.table.events is not None

    @property
    def progress(self) -> Progress | None:
        """How far the copying to here is; None where the router is open, or not there."""
        here = self.table.identity if self.table and not self.is_open else None
        return Progress(here, self._heard, self._whole) if here else None

    def set_router(self, router: Router) -> None:
        """Take what is new of the router: twins that join are sent everything."""
        twins = tuple(_plain(twin) for twin in router.twins)
        if self.is_open and set(twins) - set(self.twins):
            self._dumper.want(self, set(twins) - set(self.twins))
        self.router, self.twins = router, twins

    def set_table(self, table: Table | None, now: float) -> None:
        """Take the table of a namespace that appeared, or let go of one that is gone."""
        if self.table:
            self.table.close()
        self.table = table
        self._heard = self._whole = False
        self.inbox.clear()
        if table:
            self._ask_at, self._ask_pause = now, _ASK_AGAIN[0]

    def open(self, now: float) -> socket.socket:
        """Begin to tell the twins; return what to wait for. Raises OSError."""
        assert self.table
        events = self.table.listen()
        self.refresh(now)
        self._lives_on_copies = True
        self._ask_at = None
        return events

    def close(self, now: float) -> None:
        """Tell the twins the last that happened, then be quiet, and soon ask what happened since."""
        if self.table:
            try:
                for _ in range(_LAST_WORDS):
                    if not self.hear_kernel():
                        break
                self.tell()
            finally:
                self.table.deafen()
                self._dumper.forget(self)
                self._ask_at, self._ask_pause = now + _ASK_AGAIN[0], _ASK_AGAIN[0]

    def refresh(self, now: float) -> None:
        """Have everything sent to all twins soon, and again after a while."""
        self._dumper.want(self, self.twins)
        self._refresh_at = now + random.uniform(*_REFRESH)

    def refresh_when_due(self, now: float) -> None:
        """Refresh the copies of quiet connections, and what got lost."""
        if self.is_open and now >= self._refresh_at:
            self.refresh(now)

    def hear_kernel(self) -> bool:
        """Gather what happened in the table; return whether anything did. Raises OSError."""
        assert self.table
        heard = False
        try:
            for change, message in self.table.heard():
                heard = True
                self.outbox.add(change, message)
        except Overflow:
            self._counters.overflows += 1
            self._dumper.want(self, self.twins)
            return True
        return heard

    def tell(self) -> None:
        """Send what was gathered to all twins."""
        changes = list(self.outbox.take())
        self._counters.failed += self.outbox.unusable
        self.outbox.unusable = 0
        self.send(changes, self.twins)

    def send(self, changes: Sequence[Change], twins: Iterable[str]) -> None:
        """Send changes to some twins."""
        self._counters.sent += len(changes)
        for body in wire.bodies(changes):
            for twin in twins:
                self._underlay.send(twin, self._header(ENTRIES, twin), body)

    def send_page(self, page: Sequence[Change], twins: Iterable[str]) -> None:
        """Send a part of the table to some twins. Raises OSError."""
        if self._lives_on_copies and self.table:
            self.table.prolong(page)
        self.send([change for change in page if wire.fits(change[1])], twins)

    def finish_dump(self, twins: Iterable[str]) -> None:
        """Tell twins that they were sent everything."""
        self._lives_on_copies = False
        self._counters.dumps += 1
        for twin in twins:
            self._underlay.send(twin, self._header(DONE, twin))

    def ask_when_due(self, now: float) -> None:
        """Ask the twins for everything, if something is missing here."""
        if self._ask_at is None or now < self._ask_at or self.is_open or not self.table:
            return
        self._torn = False
        for twin in self.twins:
            self._underlay.send(twin, self._header(ASK, twin))
        self._ask_at = now + self._ask_pause * random.uniform(0.75, 1.25)
        self._ask_pause = min(self._ask_pause * 2, _ASK_AGAIN[1])

    def hear_twin(self, twin: str, datagram: Datagram, now: float) -> None:
        """Take a datagram of a known twin; raises ValueError when it is malformed."""
        self._count_lost(twin, datagram, now)
        if datagram.kind == ASK:
            if self.is_open:
                self._dumper.want(self, (twin,))
        elif datagram.kind == ENTRIES:
            changes = wire.entries(datagram.body)
            self._counters.received += len(changes)
            if self.table:
                self._heard = True
                self.inbox += changes
        elif datagram.kind == DONE and not self._torn:
            self._ask_at, self._ask_pause = None, _ASK_AGAIN[0]
            self._whole = self.table is not None

    def copy(self) -> dict[str, int]:
        """Make the table as the twins said; return what failed: why -> how often. Raises OSError.

        What an open router knows itself is newer than what a twin says of it.
        """
        changes, self.inbox = self.inbox, []
        if not self.table:
            return {}
        outcome = self.table.apply(changes, learn_only=self.is_open)
        counters = self._counters
        counters.created += outcome.created
        counters.updated += outcome.updated
        counters.removed += outcome.removed
        counters.failed += outcome.failed.total()
        return outcome.failed

    def _count_lost(self, twin: str, datagram: Datagram, now: float) -> None:
        hearing = self._hearings.get(twin)
        if hearing is None or hearing.sender != datagram.sender:
            hearing = self._hearings[twin] = _Hearing(datagram.sender, datagram.sequence)
        missing = (datagram.sequence - hearing.expected) % _MODULO
        if missing >= _MODULO // 2:
            return  # late: it was counted as lost
        hearing.expected = (datagram.sequence + 1) % _MODULO
        if missing:
            self._counters.lost += missing
            self._torn = True
            if self._ask_at is None:
                self._ask_at = now + _ASK_AGAIN[0]

    def _header(self, kind: int, twin: str) -> bytes:
        sequence = self._sequences.get(twin, 0)
        self._sequences[twin] = (sequence + 1) % _MODULO
        return wire.header(kind, self.router.number, self._sender, sequence)


def _plain(address: str) -> str:
    """Return an address as the kernel writes it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, address))
