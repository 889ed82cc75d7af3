"""A host for tests: a process tree with its own network, mount, UTS and PID namespaces."""

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_UNSHARE = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
_UNSHARE += ["--propagation", "private"]
_BOOT = """
mount -t proc proc /proc; mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run; mkdir -p /run/netns; mount --bind /run /run; mount --make-rshared /run
ip link set lo up; hostname {name}; echo 1 >/proc/sys/net/ipv4/ip_forward
echo ok; exec sleep infinity
"""


class Host:
    """A machine; everything in it dies with close()."""

    def __init__(self, name: str = "") -> None:
        self.name = name or f"g{uuid.uuid4().hex[:6]}"
        self._unshare = subprocess.Popen(
            [*_UNSHARE, "sh", "-c", _BOOT.format(name=self.name)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._unshare.stdout is not None
        assert self._unshare.stdout.readline() == "ok\n"
        self.pid = _child(self._unshare.pid)
        self.run_dir = Path("/run/deuteron")

    @property
    def run_dir_outside(self) -> Path:
        return Path(f"/proc/{self.pid}/root/run/deuteron")

    def argv(self, words: Sequence[str], netns: str | None = None) -> list[str]:
        inside = ["ip", "netns", "exec", netns] if netns else []
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", *inside, *words]

    def run(self, command: str, netns: str | None = None, check: bool = True, timeout: float = 60) -> str:
        done = subprocess.run(
            self.argv(["sh", "-c", command], netns),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def popen(self, words: Sequence[str], netns: str | None = None, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(self.argv(words, netns), text=True, **options)

    def json(self, command: str, netns: str | None = None) -> list[dict[str, Any]]:
        text = self.run(command, netns)
        found: list[dict[str, Any]] = json.loads(text) if text.strip() else []
        return [item for item in found if item]

    def links(self, netns: str | None = None) -> dict[str, dict[str, Any]]:
        return {link["ifname"]: link for link in self.json("ip -j -d link show", netns)}

    def namespaces(self) -> set[str]:
        return set(self.run("ls /run/netns").split())

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Put this thread into the network namespace of the host."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            assert _libc.setns(there, _CLONE_NEWNET) == 0
            yield
        finally:
            assert _libc.setns(home, _CLONE_NEWNET) == 0
            os.close(home)
            os.close(there)

    def listen(self, port: int) -> socket.socket:
        with self.network():
            return socket.create_server(("127.0.0.1", port), reuse_port=True)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self._unshare.kill()
        self._unshare.wait()


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


class Agent:
    """`deuteron agent` on a host."""

    def __init__(self, host: Host, state_dir: Path, *options: str) -> None:
        self.host = host
        self.log = state_dir / "agent.log"
        self.command = f"{Path(sys.executable).with_name('deuteron')} agent --host {host.name}"
        self._words = [*self.command.split(), "--state-dir", str(state_dir), *options]
        self._environment = dict(os.environ)
        self.process: subprocess.Popen[str] | None = None

    def environment(self, **values: str) -> None:
        """Set environment variables of the next start."""
        self._environment |= values

    def options(self, *words: str) -> None:
        """Override options."""
        self._words += words

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = self.host.popen(self._words, stderr=log, stdout=log, env=self._environment)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """End the agent as by `kill`, and return its exit status."""
        assert self.process is not None
        os.kill(_child(self.process.pid), number)
        return self.process.wait(20)

    def words(self) -> str:
        return self.log.read_text()


def eventually(check: Callable[[], Any], seconds: float = 60, what: str = "") -> Any:
    """Return what `check` returns as soon as it is true; AssertionErrors in it count as not yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            result = check()
            if result:
                return result
            reason = f"{result!r}"
        except AssertionError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what} {reason}")
        time.sleep(0.02)


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
