"""One database: SQLite or PostgreSQL, synchronous, one hop to a thread for a whole transaction.

`await db.write(fn)` and `await db.read(fn)` run `fn(tx)` in a thread; `db.write_now(fn)` and
`db.read_now(fn)` run it in this one. `fn` may run several times (it is run again when a transaction
lost against another one), so it must do nothing but talk to `tx`.

A read sees one snapshot of the database. A write on SQLite is the only one; on PostgreSQL writes
run side by side (READ COMMITTED), and what must not race is locked or unique.
"""

import asyncio
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, CursorResult, Engine, Executable, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from deuteron.store import feed
from deuteron.store.doorbell import Doorbell
from deuteron.store.schema import timestamp

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]

ATTEMPTS = 10
WRITERS = 8
READERS = 4
BUSY_SECONDS = 10
_TRIM_EVERY = 10_000

log = logging.getLogger(__name__)


class DatabaseError(Exception):
    """The database cannot be used; the text says which and why."""


class Memory:
    """What this process remembers of a database to find free numbers fast: hints, never the truth."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.next: dict[str, int] = {}


class Tx:
    """A transaction."""

    def __init__(self, connection: Connection, memory: "Memory") -> None:
        self.connection = connection
        self.dialect: Dialect = "sqlite" if connection.dialect.name == "sqlite" else "postgresql"
        self.now = timestamp()
        """The transaction's time as the API shows it."""
        self.memory = memory
        self.changes: dict[feed.Change, None] = {}
        self._read: dict[tuple[str, str], Any] = {}

    def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        """Run a statement."""
        return self.connection.execute(statement, parameters)

    def changed(self, kind: str, object_id: str, op: feed.Op) -> None:
        """Append to the change log that an object changed; `kind` is the resource's singular name."""
        self.changes[feed.Change(kind, object_id, op)] = None
        self._read = {key: value for key, value in self._read.items() if key[0] != kind}

    def once(self, kind: str, key: str, read: Callable[[], T]) -> T:
        """Return what `read` gives, read once until this transaction changes an object of that kind.

        For what a creation of many asks for again and again. The result is shared: do not change it.
        """
        if (kind, key) not in self._read:
            self._read[kind, key] = read()
        found: T = self._read[kind, key]
        return found


class Database:
    """A database, open. `url` is an SQLAlchemy URL: sqlite:///FILE or postgresql://..."""

    def __init__(self, url: str) -> None:
        self.url = _parse(url)
        self.dialect: Dialect = "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"
        if self.dialect == "sqlite":
            self._writer, self._reader = _open_sqlite(self.url)
            self._turn: AbstractContextManager[Any] = threading.Lock()
        else:
            self._writer, self._reader = _open_postgresql(self.url)
            self._turn = nullcontext()
        writers = 1 if self.dialect == "sqlite" else WRITERS
        self._write_threads = ThreadPoolExecutor(writers, "write")
        self._read_threads = ThreadPoolExecutor(READERS, "read")
        self._doorbell = Doorbell(self.url if self.dialect == "postgresql" else None)
        self._changes_until_trim = _TRIM_EVERY
        self._memory = Memory()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run a writing transaction in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._write_threads, self.write_now, fn)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run a reading transaction in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._read_threads, self.read_now, fn)

    def write_now(self, fn: Callable[[Tx], T]) -> T:
        """Run a writing transaction in this thread."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._write_once(fn)
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _worth_another_try(error, attempt):
                    raise
                log.debug("transaction failed, trying again: %s", error.orig)
                time.sleep(random.uniform(0, 0.005 * 2 ** min(attempt, 6)))
        raise AssertionError("not reached")

    def _write_once(self, fn: Callable[[Tx], T]) -> T:
        with self._turn, self._writer.begin() as connection:
            tx = Tx(connection, self._memory)
            result = fn(tx)
            if tx.changes:
                feed.append(tx, list(tx.changes))
        if tx.changes:
            self._doorbell.ring()
            self._trim_sometimes(len(tx.changes))
        return result

    def _trim_sometimes(self, changes: int) -> None:
        self._changes_until_trim -= changes
        if self._changes_until_trim < 0:
            self._changes_until_trim = _TRIM_EVERY
            self._write_threads.submit(self.write_now, feed.trim)

    def read_now(self, fn: Callable[[Tx], T]) -> T:
        """Run a reading transaction in this thread: one snapshot."""
        with self._reader.begin() as connection:
            return fn(Tx(connection, self._memory))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back, in any thread, soon after changes were committed here or by another controller.

        Only a doorbell: it says neither what changed nor how often. Poll every second besides.
        """
        self._doorbell.add(callback)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Give a connection in a transaction that no other controller's migration overlaps."""
        with self._turn, self._writer.begin() as connection:
            if self.dialect == "postgresql":
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('deuteron migration'))")
            yield connection

    def close(self) -> None:
        """Wait for transactions under way, then close."""
        self._write_threads.shutdown()
        self._read_threads.shutdown()
        self._doorbell.close()
        self._writer.dispose()
        self._reader.dispose()


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError(f"{url!r} is no database URL (sqlite:////FILE or postgresql://...)") from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise DatabaseError(f"{backend}: no such kind of database here (sqlite or postgresql)")
    if parsed.database in (None, "", ":memory:"):
        raise DatabaseError("an SQLite database needs a file: sqlite:////var/lib/deuteron/deuteron.db")
    return parsed


def _open_sqlite(url: URL) -> tuple[Engine, Engine]:
    path = Path(url.database or "")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{path.parent}: {error.strerror}") from None
    arguments = {"check_same_thread": False, "timeout": BUSY_SECONDS, "cached_statements": 512}
    writer = create_engine(url, connect_args=arguments, pool_size=1, max_overflow=0)
    reader = create_engine(url, connect_args=arguments, pool_size=READERS * 2, max_overflow=-1)

    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin when we say so
        _write_ahead(connection)
        for setting in ("synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
            connection.execute(f"PRAGMA {setting}")

    for engine, begin in ((writer, "BEGIN IMMEDIATE"), (reader, "BEGIN")):
        event.listen(engine, "connect", connected)
        event.listen(engine, "begin", lambda connection, begin=begin: connection.exec_driver_sql(begin))
    return writer, reader


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log. SQLite itself does not wait for others that do the same to a new file."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.01)


def _open_postgresql(url: URL) -> tuple[Engine, Engine]:
    writer = create_engine(url, pool_size=WRITERS, max_overflow=-1, pool_pre_ping=False)
    reader = create_engine(
        url, pool_size=READERS, max_overflow=-1, execution_options={"isolation_level": "REPEATABLE READ"}
    )
    return writer, reader


def _worth_another_try(error: DBAPIError, attempt: int) -> bool:
    if error.connection_invalidated:
        return attempt == 1
    if isinstance(error, IntegrityError):
        # Something appeared or vanished between a check and a write: the check now says what.
        return attempt <= 3
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return state in ("40001", "40P01", "55P03")
    return "database is locked" in str(error.orig) or "database table is locked" in str(error.orig)
