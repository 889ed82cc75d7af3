"""Tell readers of the change log that there may be something new.

In this process by callbacks; between the controllers of a PostgreSQL database by NOTIFY, sent after
the commit and at most every 50 ms: inside a transaction it would take a lock on all commits.
"""

import logging
import os
import select
import threading
from collections.abc import Callable

import psycopg
from sqlalchemy.engine import URL

_CHANNEL = "deuteron_change"
_INTERVAL = 0.05
_RETRY_SECONDS = 2.0
_CHECK_SECONDS = 30.0

log = logging.getLogger(__name__)


class Doorbell:
    """Ring it after a commit. With a URL, other controllers hear it too."""

    def __init__(self, url: URL | None) -> None:
        self._conninfo = None if url is None else _conninfo(url)
        self._callbacks: list[Callable[[], None]] = []
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._own_pid = 0
        self._wake = os.eventfd(0)
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def add(self, callback: Callable[[], None]) -> None:
        """Call this when it rings, here or at another controller."""
        self._callbacks.append(callback)
        self._start("listen", self._listen)

    def ring(self) -> None:
        """Call back here, and soon let the others hear it."""
        self._call_back()
        self._rung.set()
        if "notify" not in self._threads:
            self._start("notify", self._notify)

    def _start(self, name: str, work: Callable[[psycopg.Connection], None]) -> None:
        with self._lock:
            if self._conninfo and name not in self._threads:
                thread = threading.Thread(target=self._persist, args=(work,), name=name, daemon=True)
                self._threads[name] = thread
                thread.start()

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        self._rung.set()
        os.eventfd_write(self._wake, 1)
        for thread in self._threads.values():
            thread.join(2)
        if not any(thread.is_alive() for thread in self._threads.values()):
            os.close(self._wake)

    def _call_back(self) -> None:
        for callback in self._callbacks:
            callback()

    def _persist(self, work: Callable[[psycopg.Connection], None]) -> None:
        while not self._closed.is_set():
            try:
                with psycopg.connect(self._conninfo or "", autocommit=True) as connection:
                    work(connection)
            except psycopg.Error as error:
                log.warning("doorbell: %s; again in %g s", " ".join(str(error).split()), _RETRY_SECONDS)
                self._closed.wait(_RETRY_SECONDS)

    def _notify(self, connection: psycopg.Connection) -> None:
        self._own_pid = connection.info.backend_pid
        while not self._closed.is_set():
            self._rung.wait()
            self._rung.clear()
            if self._closed.is_set():
                return
            connection.execute(f"NOTIFY {_CHANNEL}")
            self._closed.wait(_INTERVAL)

    def _listen(self, connection: psycopg.Connection) -> None:
        connection.execute(f"LISTEN {_CHANNEL}")
        self._call_back()  # for what was missed while nobody listened
        while not self._closed.is_set():
            for notice in connection.notifies(timeout=0):
                if notice.pid != self._own_pid:
                    self._call_back()
            ready, _, _ = select.select([connection.fileno(), self._wake], [], [], _CHECK_SECONDS)
            if not ready:
                connection.execute("SELECT 1")  # is it still there?


def _conninfo(url: URL) -> str:
    plain = url.set(drivername="postgresql")
    return plain.render_as_string(hide_password=False)
