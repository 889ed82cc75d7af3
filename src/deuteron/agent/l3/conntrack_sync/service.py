"""The copying of connections as a process: its loop, its times, whom it listens to."""

import contextlib
import json
import logging
import selectors
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from deuteron.agent.l3.conntrack_sync import progress, wire
from deuteron.agent.l3.conntrack_sync.copier import Copier
from deuteron.agent.l3.conntrack_sync.counters import Counters
from deuteron.agent.l3.conntrack_sync.dumper import Dumper
from deuteron.agent.l3.conntrack_sync.fleet import Fleet
from deuteron.agent.l3.conntrack_sync.underlay import Underlay
from deuteron.agent.l3.switch import client, records
from deuteron.agent.l3.switch.records import Places

log = logging.getLogger(__name__)

PAUSE = 0.004
"""Seconds to wait after each turn, so that what happens meanwhile is handled at once, and not one by one."""
_LOOK_EVERY = 1.0
_STATUS_EVERY = 1.0
_LOG_EVERY = 60.0
_SWITCH_AGAIN = 0.5
_PAUSE_AFTER_ERROR = 0.1


class Service:
    """Copies for the routers of one run directory."""

    def __init__(self, run_dir: Path, local_ip: str) -> None:
        """Bind at this host's address on the underlay; raises OSError."""
        self._places = Places(run_dir)
        self._run_dir = run_dir
        self._status_file = run_dir / "conntrack" / "status.json"
        self._status_file.parent.mkdir(parents=True, exist_ok=True)
        self._counters = Counters()
        self._logged = Counters()
        self._failed: Counter[str] = Counter()
        self._underlay = Underlay(local_ip, self._counters)
        self._dumper = Dumper()
        self._fleet = Fleet(
            self._places, self._underlay, self._dumper, self._counters, self._opened, self._closing
        )
        self._selector = selectors.DefaultSelector()
        self._busy: set[Copier] = set()
        """Those that have something to tell or to copy in this turn."""
        self._arrived = False
        """Whether a router here was told all connections just now."""
        self._news: deque[dict[str, Any]] = deque()
        self._stopped = False
        self._times: dict[Callable[[float], None], float] = {}

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        waker, woken = socket.socketpair()
        for end in (waker, woken):
            end.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._on_readable(woken, lambda: self._hear_switch(woken))
        self._on_readable(self._underlay.socket, self._hear_twins)
        threading.Thread(target=self._follow_switch, args=(waker,), daemon=True).start()
        self._times = {self._look: 0.0, self._write_status: 0.0, self._log: time.monotonic() + _LOG_EVERY}
        while not self._stopped:
            self._turn()
        self._fleet.release_all(time.monotonic())
        self._write_status(time.monotonic())
        log.info("ended: %s", _words(asdict(self._counters)))

    def _stop(self, *_: object) -> None:
        self._stopped = True

    def _turn(self) -> None:
        due = min(*self._times.values(), self._dumper.due())
        ready = self._selector.select(max(0.0, due - time.monotonic()))
        for key, _ in ready:
            _guarded(key.data)
        now = time.monotonic()
        for function, at in list(self._times.items()):
            if at <= now:
                _guarded(partial(function, now))
        _guarded(partial(self._dumper.step, now))
        for copier in self._busy:
            self._attempt(copier, copier.tell)
            self._attempt(copier, partial(self._copy, copier))
        self._busy.clear()
        if self._arrived:
            self._arrived = False
            _guarded(self._write_progress)
        if ready and not self._stopped:
            time.sleep(PAUSE)

    def _copy(self, copier: Copier) -> None:
        self._failed.update(copier.copy())

    def _attempt(self, copier: Copier, function: Callable[[], object]) -> None:
        """Do something with a router's table; when that fails, begin anew with that one."""
        try:
            function()
        except OSError as error:
            log.error("router %s: %s; beginning anew with it", copier.router.id, error)
            self._fleet.release(copier, time.monotonic())

    def _on_readable(self, source: socket.socket, function: Callable[[], None]) -> None:
        self._selector.register(source, selectors.EVENT_READ, function)

    def _opened(self, copier: Copier, events: socket.socket) -> None:
        log.info("router %s is open: its connections are copied to %s", copier.router.id, copier.twins)
        self._on_readable(events, lambda: self._hear_kernel(copier))

    def _closing(self, copier: Copier, events: socket.socket) -> None:
        log.info("router %s is closed", copier.router.id)
        self._selector.unregister(events)

    def _hear_kernel(self, copier: Copier) -> None:
        if copier.is_open:
            self._attempt(copier, copier.hear_kernel)
            self._busy.add(copier)

    def _hear_twins(self) -> None:
        now = time.monotonic()
        for twin, data in self._underlay.received():
            try:
                datagram = wire.parse(data)
                copier = self._fleet.by_number.get(datagram.number)
                if copier is not None and twin not in copier.twins and datagram.kind == wire.ASK:
                    self._fleet.look(now, [copier.router.id])  # it may just have joined
                if copier is None or twin not in copier.twins:
                    self._counters.ignored += 1
                    continue
                copier.hear_twin(twin, datagram, now)
                self._busy.add(copier)
                self._arrived |= datagram.kind == wire.DONE
            except ValueError:
                self._counters.ignored += 1

    def _follow_switch(self, waker: socket.socket) -> None:
        """Hand on what the switch tells, in a thread of its own. Without a switch gates stay as they are."""
        while True:
            try:
                with client.watching(self._places) as told:
                    for news in told:
                        self._news.append(news)
                        with contextlib.suppress(BlockingIOError):
                            waker.send(b"n")
            except (client.SwitchError, OSError, ValueError) as error:
                log.debug("%s", error)
            time.sleep(_SWITCH_AGAIN)

    def _hear_switch(self, woken: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            woken.recv(1 << 16)
        now = time.monotonic()
        while self._news:
            news = self._news.popleft()
            if "all" in news:
                self._fleet.set_gates(news["all"]["routers"], True, now)
            elif "routers" in news:
                self._fleet.set_gates(news["routers"], False, now)
        self._ask(now)

    def _look(self, now: float) -> None:
        self._times[self._look] = now + _LOOK_EVERY
        self._fleet.look(now)
        self._ask(now)
        for copier in self._fleet.copiers.values():
            copier.refresh_when_due(now)
        self._write_progress()

    def _ask(self, now: float) -> None:
        for copier in self._fleet.copiers.values():
            copier.ask_when_due(now)

    def _write_progress(self) -> None:
        found = {id_: copier.progress for id_, copier in self._fleet.copiers.items()}
        try:
            progress.write(self._run_dir, {id_: one for id_, one in found.items() if one})
        except OSError as error:
            log.error("%s: %s", progress.place(self._run_dir), error)

    def _write_status(self, now: float) -> None:
        self._times[self._write_status] = now + _STATUS_EVERY
        copiers = self._fleet.copiers.values()
        routers = {"routers": len(copiers), "open": sum(copier.is_open for copier in copiers)}
        try:
            records.replace(self._status_file, json.dumps({**routers, **asdict(self._counters)}))
        except OSError as error:
            log.error("%s: %s", self._status_file, error)

    def _log(self, now: float) -> None:
        self._times[self._log] = now + _LOG_EVERY
        added = self._counters.since(self._logged)
        if added:
            self._logged = replace(self._counters)
            reasons = f" (failed: {_words(self._failed)})" if self._failed else ""
            self._failed.clear()
            log.info("the last minute: %s%s", _words(added), reasons)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _guarded(function: Callable[[], None]) -> None:
    try:
        function()
    except Exception:
        log.exception("the copying goes on after this")
        time.sleep(_PAUSE_AFTER_ERROR)
