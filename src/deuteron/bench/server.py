"""A `deuteron server` of our own for the length of a measurement."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deuteron.bench.load import Client
from deuteron.bench.processes import BenchError, deuteron

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    endpoint: str
    pid: int


@contextmanager
def server(database: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run one server process on a free loopback port; `environment` is added to that of this process.

    Raises BenchError, with the server's last words, when it does not start or a call to it fails.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryFile() as log:
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        number = listener.fileno()
        command = deuteron("server", "--database", database, "--listen-fd", str(number))
        # Its own session: an interrupt from the keyboard reaches us alone, and we stop it.
        process = subprocess.Popen(
            command,
            pass_fds=(number,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        try:
            _wait(endpoint, process)
            yield Server(endpoint, process.pid)
        except BenchError as error:
            raise BenchError(
                f"{error}; the server's last words: {_tail(Path(f'/proc/self/fd/{log.fileno()}'))}"
            ) from error
        finally:
            _stop(process)


def _wait(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_TIMEOUT
    while True:
        try:
            with Client(endpoint) as client:
                client.call("GET", "/")  # the one thing for which nobody has to say who it is
            return
        except BenchError as error:
            if process.poll() is not None:
                raise BenchError(f"the server ended with status {process.returncode}") from error
            if time.monotonic() > until:
                raise BenchError(
                    f"the server does not answer after {START_TIMEOUT:.0f} s: {error}"
                ) from error
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(path: Path, lines: int = 5) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) or "none"
