"""Network namespaces by name, as `ip netns` keeps them in /run/netns."""

import ctypes
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deuteron.agent.system.errors import SystemCommandError

MARK = "deuteron"
"""The alias of the loopback device in every namespace that we make."""
DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_GETLINK, _REQUEST, _IFLA_IFALIAS = 18, 1, 20
_libc = ctypes.CDLL(None, use_errno=True)


def names() -> set[str]:
    """Return the names of all namespaces."""
    try:
        return set(os.listdir(DIRECTORY))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return set()


def exists(name: str) -> bool:
    """Return whether there is such a namespace; a file that stands for none does not count."""
    return os.path.ismount(path(name))


def path(name: str) -> Path:
    """Return the file that stands for a namespace."""
    return DIRECTORY / name


def create(*wanted: str, mark: str = MARK) -> None:
    """Create namespaces, with their loopback up; those that exist and bear the mark stay as they are.

    A namespace gets its name when it already bears our mark, so that no crash leaves one that we would not
    know again. Raises SystemCommandError, also when one of the names belongs to a namespace that is not ours.
    """
    for name in wanted:
        file = path(name)
        if file.exists() and not os.path.ismount(file):  # what a crash in the middle of a creation leaves
            file.unlink(missing_ok=True)
        if not file.exists():
            _create(name, mark)
        elif not is_ours(name, mark):
            raise SystemCommandError(
                f"namespace {name}", "it exists and is not ours: remove it (ip netns delete) or rename it"
            )


def is_ours(name: str, mark: str = MARK) -> bool:
    """Return whether a namespace was made by create() with this mark. Raises OSError."""
    with entered(name):
        return _loopback_alias() == mark


def rename(old: str, new: str) -> None:
    """Give a namespace another name; nothing in it notices.

    After a crash in its middle it can be called again. Raises SystemCommandError, also when the new name
    belongs to another namespace.
    """
    source, target = path(old), path(new)
    if not exists(new):
        target.touch()
        _mount(["mount", "--bind", str(source), str(target)])
    elif not target.samefile(source):
        raise SystemCommandError(f"namespace {old}", f"it cannot become {new}: there is another one")
    _mount(["umount", "--lazy", str(source)])
    source.unlink()


def _mount(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemCommandError(" ".join(command), done.stderr.strip())


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


def _create(name: str, mark: str) -> None:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET):
            error = ctypes.get_errno()
            raise SystemCommandError(f"new namespace {name}", os.strerror(error))
        try:
            thread = threading.get_native_id()
            _ip_batch([f"link set lo alias {mark}", "link set lo up", f"netns attach {name} {thread}"])
        finally:
            _setns(home, "the thread's own namespace")
    finally:
        os.close(home)


def _loopback_alias() -> str:
    """Return the alias of the loopback device of this thread's namespace, by rtnetlink."""
    question = struct.pack("=IHHII BxHiII", 32, _GETLINK, _REQUEST, 1, 0, 0, 0, 1, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
        connection.send(question)
        answer = connection.recv(1 << 16)
    offset = 32
    while offset + 4 <= len(answer):
        length, kind = struct.unpack_from("=HH", answer, offset)
        if kind == _IFLA_IFALIAS:
            return answer[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
        offset += max((length + 3) & ~3, 4)
    return ""


def _ip_batch(lines: Iterable[str]) -> None:
    text = "\n".join(lines)
    if not text:
        return
    done = subprocess.run(["ip", "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemCommandError("ip netns", done.stderr.strip())
