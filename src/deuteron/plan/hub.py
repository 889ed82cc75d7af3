"""The hub: from the change feed to the plan of each host, ready to be sent.

One thread reads the change log as soon as something is committed (or every second, should a doorbell be
lost), brings the state and the plans of the hosts that are followed up to date, and keeps each host's last
deltas, encoded. Whoever streams asks `since(host, revision)` and is called when there is more. All methods
may be called from any thread; none of them waits for the database.

A revision is `hub-number`: the hub's own random name, and how many deltas the host had. One that this hub
does not know, or knows no more, is answered with a whole plan.
"""

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec

from deuteron.plan import loading
from deuteron.plan.plans import Delta, Plans
from deuteron.plan.rows import Candidate, Part
from deuteron.plan.state import State
from deuteron.plan.units import Delete, InSync, Message, Put, Snapshot
from deuteron.store import Database, TooOld, identity

POLL_SECONDS = 1.0
PAUSE_SECONDS = 0.02
KEPT_DELTAS = 512
FORGET_SECONDS = 600.0

T = TypeVar("T")
Wake = Callable[[], None]

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


def line(message: Message) -> bytes:
    """Return a message as one line of the stream."""
    return _encode(message) + b"\n"


class Batch(msgspec.Struct, frozen=True):
    """Lines that end with an `InSync`, and its revision."""

    lines: bytes
    revision: str


class _Host:
    """What is kept of a host that is followed."""

    def __init__(self) -> None:
        self.number = 0
        self.deltas: deque[tuple[int, dict[str, bytes]]] = deque(maxlen=KEPT_DELTAS)
        self.changed: dict[str, int] = {}
        self.wakes: list[Wake] = []
        self.asked: dict[str, tuple[int, int]] = {}
        """Id of a part -> its version, and the delta from which on the host has been told all of it."""
        self.last_wanted = time.monotonic()

    def append(self, delta: Delta) -> None:
        self.number += 1
        lines = {key: line(Put(unit) if unit else Delete(key)) for key, unit in delta.items()}
        self.deltas.append((self.number, lines))
        for key, unit in delta.items():
            if unit is None:
                self.changed.pop(key, None)
            else:
                self.changed[key] = self.number


def _told(asked: tuple[int, int] | None, version: int, known: int) -> bool:
    """Whether a host that knows so many deltas has been told of a part in this version."""
    return asked is not None and asked[0] == version and asked[1] <= known


class Hub:
    """Follows the database and knows what each host must look like."""

    def __init__(self, db: Database, dns_domain: str, stopping: threading.Event) -> None:
        self._db = db
        self._name = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._rung = threading.Event()
        self._stopping = stopping
        self._broken = False
        self._hosts: dict[str, _Host] = {}
        state, self._cursor = db.read_now(loading.snapshot)
        self._plans = Plans(state, dns_domain)
        self._database = db.read_now(identity.read)
        self._thread = threading.Thread(target=self._follow, name="hub", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._db.on_commit(self._rung.set)
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._stopping.set()
        self._rung.set()
        self._thread.join(5)

    def listen(self, host: str, wake: Wake) -> None:
        """Call `wake`, in the hub's thread, whenever a host's plan has changed."""
        with self._lock:
            self._followed(host).wakes.append(wake)

    def unlisten(self, host: str, wake: Wake) -> None:
        """End a `listen`."""
        with self._lock:
            followed = self._hosts.get(host)
            if followed and wake in followed.wakes:
                followed.wakes.remove(wake)
                followed.last_wanted = time.monotonic()

    def since(self, host: str, revision: str) -> Batch | None:
        """Return what a host must be told that knows `revision`; None if it knows all.

        The first question about a host computes its whole plan: ask it outside of an event loop.
        """
        with self._lock:
            followed = self._followed(host)
            current = f"{self._name}-{followed.number}"
            known = self._number(followed, revision)
            if known == followed.number:
                return None
            if known is not None and followed.deltas and known >= followed.deltas[0][0] - 1:
                merged: dict[str, bytes] = {}
                for number, delta in followed.deltas:
                    if number > known:
                        merged.update(delta)
                return Batch(b"".join(merged.values()) + line(InSync(current)), current)
            plan = list(self._plans.follow(host).values())
        whole = b"".join(line(Put(unit)) for unit in plan)
        return Batch(line(Snapshot(self._database)) + whole + line(InSync(current)), current)

    def acknowledged(self, host: str, revision: str, problems: frozenset[str]) -> list[Candidate]:
        """Return the router candidates of a host whose latest version is in what its agent has applied.

        `problems` are the keys of units that are not applied. Those acknowledged before are left out.
        """
        with self._lock:
            followed = self._hosts.get(host)
            known = self._number(followed, revision) if followed else None
            if followed is None or known is None:
                return []
            return [
                candidate
                for candidate in self._plans.state.candidates.by("host", host)
                if candidate.applied < candidate.version
                and followed.changed.get(f"router/{candidate.router}", 0) <= known
                and not problems & {f"router/{candidate.router}", f"election/{candidate.election}"}
            ]

    def told(self, host: str, copying: Collection[str]) -> list[Candidate]:
        """Return the router candidates of a host that begin or end to be `copying`, as they are now."""
        with self._lock:
            return [
                msgspec.structs.replace(candidate, copying=candidate.router in copying)
                for candidate in self._plans.state.candidates.by("host", host)
                if candidate.copying != (candidate.router in copying)
            ]

    def followed(self, host: str, revision: str, problems: frozenset[str]) -> list[Part]:
        """Return those parts of routers being converted that a host has followed, and did not before.

        `problems` are the keys of units that are not applied.
        """
        with self._lock:
            followed = self._hosts.get(host)
            known = self._number(followed, revision) if followed else None
            if followed is None or known is None:
                return []
            return [
                part
                for part in self._plans.state.parts.by("host", host)
                if _told(followed.asked.get(part.id), part.version, known)
                and not problems & {f"router/{part.router}", f"distributedrouter/{part.router}"}
            ]

    def look(self, ask: Callable[[State], T]) -> T:
        """Return what a function finds in the state; it may keep rows, not tables."""
        with self._lock:
            return ask(self._plans.state)

    def _followed(self, host: str) -> _Host:
        if host not in self._hosts:
            self._plans.follow(host)
            self._hosts[host] = _Host()
        return self._hosts[host]

    def _number(self, followed: _Host, revision: str) -> int | None:
        name, _, number = revision.rpartition("-")
        if name != self._name or not number.isdecimal() or int(number) > followed.number:
            return None
        return int(number)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self._rung.wait(POLL_SECONDS)
            self._rung.clear()
            try:
                self.catch_up()
            except Exception:  # the database may be away; every host keeps its plan meanwhile
                if self._stopping.is_set():
                    return
                log.exception("hub: the change log cannot be followed; again in %g s", POLL_SECONDS)
                self._broken = True
            self._forget_idle()
            # Commits that follow at once are read together: under load the API gains half its speed.
            self._stopping.wait(PAUSE_SECONDS)

    def catch_up(self) -> None:
        """Take in all changes there are."""
        if self._broken:
            self._reload()
        try:
            changes, cursor = self._db.read_now(lambda tx: loading.changes(tx, self._cursor))
        except TooOld:
            self._reload()
            return
        with self._lock:
            wakes = self._tell(self._plans.apply(changes))
            self._cursor = cursor
        for wake in wakes:
            wake()

    def _reload(self) -> None:
        """Begin again with what the database says now."""
        state, cursor = self._db.read_now(loading.snapshot)
        with self._lock:
            wakes = self._tell(self._plans.reset(state))
            self._cursor = cursor
            self._broken = False
        for wake in wakes:
            wake()

    def _tell(self, deltas: dict[str, Delta]) -> list[Wake]:
        wakes: list[Wake] = []
        for host, delta in deltas.items():
            self._hosts[host].append(delta)
            wakes += self._hosts[host].wakes
        return wakes + self._ask(deltas.keys())

    def _ask(self, told: Collection[str]) -> list[Wake]:
        """Have hosts tell when they have followed a rung, those for which it changes nothing, too."""
        wakes: list[Wake] = []
        for host, followed in self._hosts.items():
            pending = {part.id: part.version for part in self._plans.state.parts.by("host", host)}
            new = [id_ for id_, version in pending.items() if followed.asked.get(id_, (0, 0))[0] != version]
            if new and host not in told:
                followed.append({})
                wakes += followed.wakes
            followed.asked = {id_: followed.asked[id_] for id_ in pending if id_ not in new}
            followed.asked |= {id_: (pending[id_], followed.number) for id_ in new}
        return wakes

    def _forget_idle(self) -> None:
        with self._lock:
            before = time.monotonic() - FORGET_SECONDS
            idle = [
                name for name, host in self._hosts.items() if not host.wakes and host.last_wanted < before
            ]
            for name in idle:
                self._plans.forget(name)
                del self._hosts[name]
