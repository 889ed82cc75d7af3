"""`deuteron server`: where it listens, what it refuses, how it stops."""

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.api.conftest import Client

COMMAND = (str(Path(sys.executable).parent / "deuteron"), "server")


class _Server:
    def __init__(self, database_url: str, arguments: Sequence[str], fds: Sequence[int] = ()) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "--database", database_url, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=fds,
        )
        self.said = ""
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line
            if "serving on" in line:
                break

    def stop(self) -> float:
        """End it; return the seconds that it took."""
        assert self.process.stderr
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.said += self.process.stderr.read()
        self.process.wait(100)
        return time.monotonic() - started


@pytest.fixture
def inherited() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_it_serves_on_addresses_and_on_inherited_sockets(database_url: str, inherited: socket.socket) -> None:
    port = _free_port()
    fd = inherited.fileno()
    server = _Server(database_url, ["--listen", f"127.0.0.1:{port}", "--listen-fd", str(fd)], fds=[fd])
    try:
        assert (
            f"serving on http://127.0.0.1:{inherited.getsockname()[1]}, http://127.0.0.1:{port}"
            in server.said
        )
        one, other = Client(port), Client(inherited.getsockname()[1])
        network = one.make("network", name="kept")
        assert other.shown("network", network["id"])["name"] == "kept"
    finally:
        server.stop()
    assert server.process.returncode == 0
    again = _Server(database_url, ["--listen", f"127.0.0.1:{port}"])
    try:
        assert Client(port).shown("network", network["id"])["name"] == "kept"
    finally:
        again.stop()


def test_it_stops_at_once_although_an_agents_stream_is_open(database_url: str) -> None:
    port = _free_port()
    server = _Server(database_url, ["--listen", f"127.0.0.1:{port}"])
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
        connection.request("GET", "/agent/v1/hosts/h1/plan")
        response = connection.getresponse()
        assert response.status == 200
        assert b"in_sync" in response.readline() + response.readline()
    finally:
        took = server.stop()
    assert server.process.returncode == 0, server.said
    assert took < 10  # about one second on an idle machine
    assert "Traceback" not in server.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--listen", "0.0.0.0:0"], "--allow-remote-noauth"),
        (["--listen", "[::]:0"], "--allow-remote-noauth"),
        (["--listen", "somewhere"], "not ADDRESS:PORT"),
        (["--listen", "127.0.0.1:99999"], "not ADDRESS:PORT"),
        (["--listen", "192.0.2.1:9696"], "192.0.2.1:9696"),
        (["--listen-fd", "99"], "--listen-fd 99"),
        (["--database", "mysql://x"], "mysql"),
        (["--database", "sqlite://"], "needs a file"),
        (["--database", "sqlite:////proc/no/where.db"], "/proc/no"),
        (["--database", "postgresql://nobody@127.0.0.1:1/x"], "127.0.0.1"),
        (["--config", "/nonexistent.toml"], "/nonexistent.toml"),
    ],
)
def test_it_says_why_it_does_not_start(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--database", f"sqlite:///{tmp_path}/x.db", "--listen", "127.0.0.1:0", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_remote_noauth_is_served_when_told_so(database_url: str) -> None:
    server = _Server(database_url, ["--listen", "0.0.0.0:0", "--allow-remote-noauth"])
    server.stop()
    assert "serving on http://0.0.0.0:" in server.said
