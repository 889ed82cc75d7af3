"""A PostgreSQL server of our own for the length of a measurement, on a unix socket only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deuteron.bench.processes import BenchError

PACKAGES = Path("/usr/lib/postgresql")
USER = "postgres"


class MissingError(BenchError):
    """No PostgreSQL server is installed."""


def binaries() -> Path | None:
    """Return the directory of the newest installed server's programs; None when there is none."""
    found = [path.parent for path in PACKAGES.glob("*/bin/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


@contextmanager
def cluster() -> Iterator[str]:
    """Run a fresh server with its default (durable) settings; yield the URL of its empty database.

    Raises MissingError when PostgreSQL is not installed, BenchError when it does not start.
    """
    programs = binaries()
    if programs is None:
        raise MissingError("there is no PostgreSQL server: install the Debian package postgresql")
    directory = Path(tempfile.mkdtemp(prefix="deuteron-bench-"))
    try:
        if os.getuid() == 0:
            shutil.chown(directory, USER)
        data = directory / "data"
        _call([programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C"])
        options = f"-c listen_addresses='' -c unix_socket_directories={directory}"
        log = directory / "log"
        _call([programs / "pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start"])
        try:
            yield f"postgresql:///postgres?host={directory}&user={USER}"
        finally:
            _call([programs / "pg_ctl", "-D", data, "-m", "fast", "-w", "stop"])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _call(command: list[str | Path]) -> None:
    """Run a program of the server as its user: root may not."""
    user = USER if os.getuid() == 0 else None
    # The server inherits these streams: a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd="/",
            stdout=output,
            stderr=output,
        )
        if done.returncode:
            output.seek(0)
            words = output.read().decode(errors="replace").strip()
            raise BenchError(f"{command[0]} failed with status {done.returncode}: {words}")
