"""The kernel's table of connections in a namespace: what happens in it, all that is in it, changes to it."""

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deuteron.agent.l3.conntrack_sync import entries, expectations
from deuteron.agent.l3.conntrack_sync.wire import EXPECTED, GONE, NEW, STATE, Change
from deuteron.agent.system import netlink, netns

_NEW, _GET, _DELETE = (1 << 8 | number for number in (0, 1, 2))
_EXPECT = 2 << 8
_ON_NEW, _ON_CHANGE, _ON_END, _ON_EXPECTED = 1, 2, 4, 8
_EVENTS = _ON_NEW | _ON_CHANGE | _ON_END | _ON_EXPECTED
_F_CREATE_ONLY = netlink.F_REQUEST | netlink.F_CREATE | netlink.F_EXCL
_EVENTS_BUFFER = 8 << 20
"""Bytes: some 25 000 events that wait while this process is not scheduled."""
_ANSWERS_BUFFER = 1 << 20
_BATCH = 200
"""Requests in one go: their refusals must fit into the buffer of answers."""
_ESTABLISHED_TIMEOUT = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established")
_PAGE = 1 << 16
_EVENTS_IN_A_TURN = 1000
_PATIENCE = 5.0

Identity = tuple[int, int]
"""Tells a namespace from another one that had its name before."""


def identity(namespace: str) -> Identity | None:
    """Return which namespace has this name now, None when there is none."""
    try:
        status = os.stat(netns.path(namespace))  # noqa: PTH116 - called for every router every second
    except OSError:
        return None
    return status.st_dev, status.st_ino


class Overflow(Exception):
    """The kernel had more to tell than there was room for: some of it is lost."""


class Table:
    """The connections of one namespace.

    Its nf_conntrack_events must be 1, not automatic: connections that begin while nobody listens would never
    tell of themselves.
    """

    def __init__(self, namespace: str) -> None:
        """Open the table; raises OSError when the namespace is gone or unusable."""
        self.namespace = namespace
        self.identity = identity(namespace)
        with netns.entered(namespace):
            self._established_seconds = int(_ESTABLISHED_TIMEOUT.read_text())
            self._requests = netlink.open_socket(receive_buffer=_ANSWERS_BUFFER)
        self._requests.setblocking(False)
        self._own = self._requests.getsockname()[0]
        self.events: socket.socket | None = None

    def close(self) -> None:
        """Let go of the namespace."""
        self.deafen()
        self._requests.close()

    def listen(self) -> socket.socket:
        """Hear what happens from now on; return what to wait for. Raises OSError."""
        if self.events is None:
            with netns.entered(self.namespace):
                self.events = netlink.open_socket(_EVENTS, _EVENTS_BUFFER)
            self.events.setblocking(False)
        return self.events

    def deafen(self) -> None:
        """Hear no more."""
        if self.events:
            self.events.close()
            self.events = None

    def heard(self) -> Iterable[Change]:
        """Yield what happened, but for what this process did; a bounded number. Raises Overflow, OSError."""
        if self.events is None:
            return
        receive = self.events.recv
        unpack = netlink.HEADER.unpack_from
        for _ in range(_EVENTS_IN_A_TURN):
            try:
                data = receive(8192)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    raise Overflow from None
                raise
            length, kind, flags, _, port = unpack(data)
            if port == self._own or length > len(data):
                continue
            if kind == _DELETE:
                yield GONE, data[16:length]
            elif kind == _NEW:
                yield (NEW if flags & netlink.F_CREATE else STATE), data[16:length]
            elif kind == _EXPECT:
                yield from self._expectation(data[16:length])

    def apply(self, changes: Sequence[Change], learn_only: bool) -> "Outcome":
        """Make the table follow changes; with `learn_only`, add what is not known and leave the rest.

        Raises OSError when the table cannot be asked at all.
        """
        outcome = Outcome()
        for start in range(0, len(changes), _BATCH):
            part = changes[start : start + _BATCH]
            batch = _understood((one for one in part if one[0] != EXPECTED), outcome)
            if learn_only:
                self._create([known for known in batch if known.change != GONE], outcome)
            else:
                self._follow(batch, outcome)
                self._expect((message for change, message in part if change == EXPECTED), outcome)
        return outcome

    def prolong(self, page: Iterable[Change]) -> None:
        """Give established connections of TCP the time that they have where they are no copies."""
        wanted = (entries.prolonging(message, self._established_seconds) for _, message in page)
        requests = [(_NEW, netlink.F_REQUEST, request) for request in wanted if request]
        for start in range(0, len(requests), _BATCH):
            self._send(requests[start : start + _BATCH])

    def _expectation(self, message: bytes) -> Iterator[Change]:
        """Yield that a connection is expected, and how the one is now that asked for it.

        Nothing else tells by how much its helper has moved sequence numbers.
        """
        try:
            question = expectations.question(message)
        except entries.Unusable:
            return
        self._requests.send(netlink.message(_GET, netlink.F_REQUEST, 0, question))
        yield from [(STATE, bytes(found)) for kind, _, found in self._answers() if kind == _NEW]
        yield EXPECTED, message

    def _expect(self, messages: Iterable[bytes], outcome: "Outcome") -> None:
        requests = []
        for message in messages:
            try:
                requests.append(
                    (_EXPECT, netlink.F_REQUEST | netlink.F_CREATE, expectations.creation(message))
                )
            except entries.Unusable as error:
                outcome.failed[str(error)] += 1
        for code in self._send(requests).values():
            if code not in (errno.EBUSY, errno.EOPNOTSUPP):  # another has its place; the helper is not there
                outcome.fail(code)

    def _follow(self, batch: Sequence["_Known"], outcome: "Outcome") -> None:
        missing, wrong = [], []
        for known, code in self._ask(batch, _first, outcome):
            if not code:
                outcome.count(known.change)
            elif code == errno.ENOENT:
                missing += [known] if known.change == STATE else []
            elif code in (errno.EEXIST, errno.EBUSY):
                wrong.append(known)  # of an earlier connection between the same ends
            else:
                outcome.fail(code)
        if missing or wrong:
            last = {entries.key(known.message): known.change for known in batch}
            lives = {key for key, change in last.items() if change != GONE}
            missing = [known for known in missing if entries.key(known.message) in lives]
            wrong = [known for known in wrong if entries.key(known.message) in lives]
            self._replace([*wrong, *self._create(missing, outcome)], outcome)

    def _create(self, batch: Sequence["_Known"], outcome: "Outcome") -> list["_Known"]:
        """Create copies; return those that are there already, or whose place is taken."""
        taken = []
        for known, code in self._ask(batch, _creation, outcome):
            if code == errno.EEXIST:
                taken.append(known)
            elif code:
                outcome.fail(code)
            else:
                outcome.created += 1
        return taken

    def _replace(self, batch: Sequence["_Known"], outcome: "Outcome") -> None:
        """Create copies in the place of whatever has the same ends, in either direction."""
        _, deletions = _built(batch, _deletion, outcome)
        usable, reply_deletions = _built(batch, _reply_deletion, outcome)
        self._send(deletions)
        self._send(reply_deletions)
        for _ in self._create(usable, outcome):
            outcome.fail(errno.EEXIST)

    def _ask(
        self, batch: Iterable["_Known"], build: Callable[["_Known"], "_Request"], outcome: "Outcome"
    ) -> list[tuple["_Known", int]]:
        """Send what is built of each; return what the kernel says to it: 0 or an errno.

        A connection whose helper is not there is copied without.
        """
        usable, requests = _built(batch, build, outcome)
        refused = self._send(requests)
        said = [(known, refused.get(place, 0)) for place, known in enumerate(usable)]
        lacking = {
            place
            for place, (known, code) in enumerate(said)
            if code == errno.EOPNOTSUPP and entries.HELPER in known.entry
        }
        if not lacking:
            return said
        plain = [_plain(said[place][0]) for place in sorted(lacking)]
        rest = [one for place, one in enumerate(said) if place not in lacking]
        return rest + self._ask(plain, build, outcome)

    def _send(self, requests: Sequence["_Request"]) -> dict[int, int]:
        """Send requests; return the errno of those that were refused, by their place."""
        if not requests:
            return {}
        data = [netlink.message(*request[:2], place, request[2]) for place, request in enumerate(requests)]
        self._requests.send(b"".join(data))  # the kernel is done with them when this returns
        errors = [one for one in self._answers() if one[0] == netlink.TYPE_ERROR]
        return {place: netlink.error_code(payload) for _, place, payload in errors}

    def _answers(self) -> Iterator[tuple[int, int, memoryview]]:
        """Yield what the kernel says: type, place of the request, message."""
        while True:
            try:
                answer = self._requests.recv(_PAGE)
            except BlockingIOError:
                return
            for kind, place, _, payload in netlink.messages(answer):
                yield kind, place, payload


_Request = tuple[int, int, bytes]
"""Type, flags, message."""


class Outcome:
    """What became of changes."""

    def __init__(self) -> None:
        self.created = self.updated = self.removed = 0
        self.failed: Counter[str] = Counter()
        """Why -> how often."""

    def count(self, change: int) -> None:
        """Note that a change was made."""
        if change == NEW:
            self.created += 1
        elif change == STATE:
            self.updated += 1
        else:
            self.removed += 1

    def fail(self, code: int) -> None:
        """Note that the kernel refused a change."""
        self.failed[os.strerror(code)] += 1


@dataclass(frozen=True, slots=True)
class _Known:
    """A change, taken apart."""

    change: int
    message: bytes
    entry: entries.Attributes


def _plain(known: _Known) -> _Known:
    """Return what to make where the kernel lacks the helper."""
    return replace(known, entry=entries.without_helper(known.entry))


def _first(known: _Known) -> _Request:
    if known.change == NEW:
        return _creation(known)
    if known.change == GONE:
        return _deletion(known)
    return _NEW, netlink.F_REQUEST, entries.update(known.message, known.entry)


def _creation(known: _Known) -> _Request:
    return _NEW, _F_CREATE_ONLY, entries.creation(known.message, known.entry)


def _deletion(known: _Known) -> _Request:
    return _DELETE, netlink.F_REQUEST, entries.deletion(known.message, known.entry)


def _reply_deletion(known: _Known) -> _Request:
    return _DELETE, netlink.F_REQUEST, entries.reply_deletion(known.message, known.entry)


def _understood(changes: Iterable[Change], outcome: Outcome) -> list[_Known]:
    found = []
    for change, message in changes:
        try:
            found.append(_Known(change, message, entries.read(message)))
        except entries.Unusable as error:
            outcome.failed[str(error)] += 1
    return found


def _built(
    batch: Iterable[_Known], build: Callable[[_Known], _Request], outcome: Outcome
) -> tuple[list[_Known], list[_Request]]:
    """Return those of which a request could be built, and the requests."""
    usable, requests = [], []
    for known in batch:
        try:
            requests.append(build(known))
        except entries.Unusable as error:
            outcome.failed[str(error)] += 1
        else:
            usable.append(known)
    return usable, requests


class Dump:
    """Everything in a table, page by page."""

    def __init__(self, table: Table) -> None:
        """Begin; raises OSError."""
        with netns.entered(table.namespace):
            self._socket = netlink.open_socket()
        self._socket.settimeout(_PATIENCE)
        self._over = False
        every_family = netlink.GENERIC.pack(socket.AF_UNSPEC, 0, 0)
        self._socket.send(netlink.message(_GET, netlink.F_REQUEST | netlink.F_DUMP, 1, every_family))

    def page(self) -> list[Change] | None:
        """Return some more, None after the end. Raises OSError."""
        found: list[Change] = []
        if self._over:
            return None
        for kind, _, _, payload in netlink.messages(self._socket.recv(_PAGE)):
            if kind in (netlink.TYPE_DONE, netlink.TYPE_ERROR):
                code = netlink.error_code(payload) if len(payload) >= 4 else 0
                if code:
                    raise OSError(code, os.strerror(code))
                self._over = True
                return found
            found.append((STATE, bytes(payload)))
        return found

    def close(self) -> None:
        """End it, finished or not."""
        self._socket.close()
