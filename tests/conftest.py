"""Databases for tests: each test gets a fresh one, of each kind.

`database_url` has all tables, `empty_database_url` none. PostgreSQL is a cluster of this session's own,
on a unix socket, as the user `postgres`; it ends with the session, also when that is killed.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from deuteron.resources import registry
from deuteron.store import Database
from deuteron.store.migrate import prepare

_PR_SET_PDEATHSIG = 1

# How long an example takes says more of the machine than of the code.
settings.register_profile("deuteron", deadline=None)
settings.load_profile("deuteron")

# Whoever is started by a shell in the background ignores it, and with it all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql_cluster() -> Iterator[Path]:
    """A running cluster; the path is its socket's directory."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.fail("no PostgreSQL server here: apt-get install postgresql")
    with tempfile.TemporaryDirectory(prefix="deuteron-pg-") as name:
        root = Path(name)
        user = "postgres" if os.geteuid() == 0 else None
        if user:
            shutil.chown(root, user, user)
        data = root / "data"
        initdb = [
            str(binaries[-1] / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*initdb, "--no-sync", "--no-instructions"], check=True, capture_output=True, user=user, cwd=root
        )
        options = {
            "listen_addresses": "",
            "unix_socket_directories": root,
            "fsync": "off",
            "full_page_writes": "off",
            "autovacuum": "off",
            "max_connections": "200",
            "deadlock_timeout": "20ms",
            "shared_buffers": "64MB",
        }
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        server = subprocess.Popen(
            [str(binaries[-1] / "postgres"), "-D", str(data), *words],
            user=user,
            cwd=root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),
        )
        try:
            _wait(root)
            yield root
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(30)


def _wait(root: Path) -> None:
    for _ in range(600):
        try:
            with psycopg.connect(_url(root, "postgres"), connect_timeout=1):
                return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise TimeoutError("PostgreSQL did not start")


def _url(root: Path, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={root}"


def _create(root: Path, template: str) -> Iterator[str]:
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(_url(root, "postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        yield _url(root, name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _prepare(url: str) -> None:
    registry.load()
    db = Database(url)
    try:
        prepare(db)
    finally:
        db.close()


@pytest.fixture(scope="session")
def _prepared_postgresql(postgresql_cluster: Path) -> str:
    with psycopg.connect(_url(postgresql_cluster, "postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE prepared")
    _prepare(_url(postgresql_cluster, "prepared"))
    return "prepared"


@pytest.fixture(scope="session")
def _prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "deuteron.db"
    _prepare(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own with all tables; once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        path = tmp_path / "deuteron.db"
        shutil.copy(request.getfixturevalue("_prepared_sqlite"), path)
        yield f"sqlite:///{path}"
    else:
        template = request.getfixturevalue("_prepared_postgresql")
        yield from _create(request.getfixturevalue("postgresql_cluster"), template)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        yield from _create(request.getfixturevalue("postgresql_cluster"), "template1")


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    """The database, open."""
    opened = Database(database_url)
    yield opened
    opened.close()
