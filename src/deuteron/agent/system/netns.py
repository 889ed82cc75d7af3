"""Network namespaces by name, as `ip netns` keeps them in /run/netns."""

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deuteron.agent.system.errors import SystemCommandError

DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def names() -> set[str]:
    """Return the names of all namespaces."""
    try:
        return set(os.listdir(DIRECTORY))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return set()


def path(name: str) -> Path:
    """Return the file that stands for a namespace."""
    return DIRECTORY / name


def create(*wanted: str) -> None:
    """Create namespaces, with their loopback up; those that exist stay as they are.

    Raises SystemCommandError.
    """
    for name in set(wanted) & names():
        if not os.path.ismount(path(name)):  # what a crash in the middle of a creation leaves
            path(name).unlink(missing_ok=True)
    missing = sorted(set(wanted) - names())
    _ip_batch(f"netns add {name}" for name in missing)
    for name in missing:
        with entered(name):
            _ip_batch(["link set lo up"])


def delete(*unwanted: str) -> None:
    """Delete namespaces with all that is in them; those that do not exist are fine.

    Raises SystemCommandError.
    """
    _ip_batch(f"netns delete {name}" for name in sorted(set(unwanted) & names()))


@contextmanager
def entered(name: str) -> Iterator[None]:
    """Put this thread, and what it starts, into a namespace for the time of the `with`.

    Sockets, `/proc/sys/net` and child processes then belong to the namespace. Raises FileNotFoundError
    when there is no such namespace, OSError when it cannot be entered.
    """
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(path(name))
        try:
            yield
        finally:
            _setns(home, "the thread's own namespace")
    finally:
        os.close(home)


def _enter(file: Path) -> None:
    target = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(target, str(file))
    finally:
        os.close(target)


def _setns(descriptor: int, what: str) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)


def _ip_batch(lines: Iterable[str]) -> None:
    text = "\n".join(lines)
    if not text:
        return
    done = subprocess.run(["ip", "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemCommandError("ip netns", done.stderr.strip())
