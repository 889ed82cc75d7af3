"""What is to be told of a router in this turn: of each connection only how it is at the end."""

from collections.abc import Iterator

from deuteron.agent.l3.conntrack_sync import entries, wire
from deuteron.agent.l3.conntrack_sync.wire import EXPECTED, GONE, NEW, Change


class Outbox:
    """Gathers changes and gives them back, fewer: first the ends, then the beginnings and states.

    What connections have expected comes last.

    In this order nobody finds the place of its translation taken by a connection that has ended.
    """

    def __init__(self) -> None:
        self._ended: dict[bytes, bytes] = {}
        self._alive: dict[bytes, Change] = {}
        self._expected: dict[bytes, Change] = {}
        self.unusable = 0

    def add(self, change: int, message: bytes) -> None:
        """Take a change; what cannot be told is counted in `unusable`."""
        if change == EXPECTED:
            self._expected[message] = change, message
            return
        try:
            key = entries.key(message)
            if change == GONE:
                self._alive.pop(key, None)
                self._ended[key] = entries.gone(message)
                return
        except entries.Unusable:
            self.unusable += 1
            return
        if not wire.fits(message):
            self.unusable += 1
            return
        before = self._alive.get(key)
        if before is not None and change != NEW:
            change, message = before[0], entries.merge(before[1], message)
        self._alive[key] = change, message

    def take(self) -> Iterator[Change]:
        """Give all back."""
        ended, self._ended = self._ended, {}
        alive, self._alive = self._alive, {}
        expected, self._expected = self._expected, {}
        for message in ended.values():
            yield GONE, message
        yield from alive.values()
        yield from expected.values()

    def __bool__(self) -> bool:
        return bool(self._ended or self._alive or self._expected)
