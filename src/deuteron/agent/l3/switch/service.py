"""The switch as a process: its socket, its heartbeat, its place in the kernel's schedule."""

import contextlib
import ctypes
import fcntl
import gc
import json
import logging
import os
import signal
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deuteron.agent.l3.switch import records
from deuteron.agent.l3.switch.core import Core
from deuteron.agent.l3.switch.loop import Loop
from deuteron.agent.l3.switch.records import Places, Standing

log = logging.getLogger(__name__)

PRIORITY = 10
"""In the real-time class, below keepalived's 20."""
_BEAT_EVERY = 0.5
_REFRESH_EVERY = 1.0
_LOCK_CURRENT_FUTURE_ON_FAULT = 1 | 2 | 4
_KILL_LAST = "-900"
_NOTHING: tuple[str, ...] = ()


class AlreadyRuns(Exception):
    """Another switch serves this run directory."""


def serve(run_dir: Path) -> None:
    """Run the switch of a host until SIGTERM; raises AlreadyRuns, GateError, OSError."""
    places = Places(run_dir)
    places.make()
    lock = os.open(places.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyRuns(f"another switch serves {run_dir}: it holds {places.lock}") from None
    be_real_time()
    Service(places).run()


def be_real_time() -> None:
    """Run before everything else, and neither wait for memory nor die for want of it, as far as allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as error:
        log.warning("no real-time priority (%s): failovers take longer on a busy host", error.strerror)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_KILL_LAST)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_LOCK_CURRENT_FUTURE_ON_FAULT):
        log.warning("memory is not locked: %s", os.strerror(ctypes.get_errno()))
    gc.collect()
    gc.freeze()
    gc.disable()


class Service:
    """The loop, the switch in it and those who talk to it.

    A request is a line of JSON: {"load": {"routers": [id], "elections": [id]}} has the files of these read
    again, is done when it is answered, {"problems": {id: words}}; {"insist": [id]} has the routers of these
    elections announced as long as another host may be active too; {"watch": true} is answered with everything
    and then with news as they come, see Core.
    """

    def __init__(self, places: Places) -> None:
        """Take over the host's gates; raises GateError, OSError."""
        self._places = places
        self._loop = Loop()
        self._watchers: set[socket.socket] = set()
        self._core = Core(places, self._loop, self._publish)
        for id_, problem in self._core.load_all().items():
            log.error("%s: %s", id_, problem)
        self._listening = self._listen()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Gates stay as they are at the end."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self._loop, "stopped", True))
        waker, woken = socket.socketpair()
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        self._loop.on_readable(woken, lambda: None)  # a signal ends the waiting
        self._beat()
        self._refresh()
        log.info("%d routers, %d elections", len(self._core.routers), len(self._core.watches))
        self._loop.run()

    def _beat(self) -> None:
        try:
            records.beat(self._places.heartbeat)
        except OSError as error:
            log.error("%s: %s", self._places.heartbeat, error.strerror)
        self._loop.later(_BEAT_EVERY, self._beat)

    def _refresh(self) -> None:
        self._loop.later(_REFRESH_EVERY, self._refresh)
        self._core.refresh()

    def _listen(self) -> socket.socket:
        self._places.socket.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listening.bind(str(self._places.socket))
        self._places.socket.chmod(0o600)
        listening.listen(64)
        listening.setblocking(False)
        self._loop.on_readable(listening, self._accept)
        return listening

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            client, _ = self._listening.accept()
            client.setblocking(False)
            rest = bytearray()
            self._loop.on_readable(client, lambda: self._hear(client, rest))

    def _hear(self, client: socket.socket, rest: bytearray) -> None:
        try:
            data = client.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._hang_up(client)
            return
        rest += data
        while b"\n" in rest:
            line, _, after = rest.partition(b"\n")
            rest[:] = after
            try:
                self._answer(client, json.loads(line))
            except Exception:
                log.exception("a request failed: %.200r", bytes(line))
                self._hang_up(client)
                return

    def _answer(self, client: socket.socket, request: dict[str, Any]) -> None:
        if "load" in request:
            wanted = request["load"]
            problems = self._core.load(wanted.get("routers", _NOTHING), wanted.get("elections", _NOTHING))
            self._send(client, {"problems": problems})
        if "insist" in request:
            self._core.insist(request["insist"])
            self._send(client, {"problems": {}})
        if request.get("watch"):
            core = self._core
            self._watchers.add(client)
            gates = {router.id: core.is_open(router) for router in core.routers.values()}
            self._send(client, {"all": {"routers": gates, "elections": list(core.standings().values())}})

    def _publish(self, news: dict[str, Any]) -> None:
        for client in list(self._watchers):
            self._send(client, news)

    def _send(self, client: socket.socket, what: dict[str, Any]) -> None:
        data = json.dumps(what, default=_plain).encode() + b"\n"
        try:
            sent = client.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            log.warning("somebody who does not read is dropped")
            self._hang_up(client)

    def _hang_up(self, client: socket.socket) -> None:
        self._watchers.discard(client)
        if client.fileno() >= 0:
            self._loop.forget(client.fileno())
            client.close()


def _plain(value: object) -> dict[str, Any]:
    if isinstance(value, Standing):
        return asdict(value)
    raise TypeError(f"{value!r} cannot be told")
