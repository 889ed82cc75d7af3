"""Listen on every device of a lab at once: in its hosts, their namespaces and their instances.

All hosts of a lab share one kernel and so one clock: what is seen can be put in order across hosts.
"""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deuteron.lab import frames, hosts
from deuteron.lab.frames import Packet, Tunnel
from deuteron.lab.lab import locate
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError

_CLONE_NEWNET = 0x40000000
_EVERYTHING = 0x0003
_RECEIVE_BUFFER_FORCE, _TIMESTAMPS = 33, 35
_BUFFER = 8 << 20
_ANCILLARY = socket.CMSG_SPACE(16)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Space:
    """One network namespace of a lab."""

    host: str
    name: str
    """Of a namespace in the host, or of an instance; "" is the host itself."""
    file: Path
    """By which it is entered from this machine."""
    is_instance: bool = False


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """A packet at one device."""

    at: int
    """Nanoseconds, Unix time."""
    host: str
    space: str
    device: str
    is_leaving: bool
    """Whether the device was to send it; else it came in there."""
    packet: Packet
    tunnel: Tunnel | None = None


def spaces(lab: Lab) -> list[Space]:
    """Return all network namespaces of the hosts that are on, and of their instances. Raises LabError."""
    found = []
    for host in lab.record().topology.hosts:
        pid = hosts.pid(lab, host)
        if pid is None:
            continue
        found.append(Space(host, "", Path(f"/proc/{pid}/ns/net")))
        named = Path(f"/proc/{pid}/root/run/netns")
        bare = named.stat().st_dev  # of a file that stands for no namespace yet
        files = [file for file in sorted(named.iterdir()) if file.stat().st_dev != bare]
        found += [Space(host, file.name, file) for file in files]
    for instance in lab.instances().values():
        with contextlib.suppress(LabError):  # it is off
            pid = locate(lab, instance.name)
            found.append(Space(instance.host, instance.name, Path(f"/proc/{pid}/ns/net"), is_instance=True))
    return found


@contextlib.contextmanager
def entered(space: Space) -> Iterator[None]:
    """Put this thread into a namespace: sockets that are made in the block stay there. Raises LabError."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(space)
        try:
            yield
        finally:
            _setns(home)
    except OSError as error:
        raise LabError(f"namespace {space.name or space.host} on {space.host}: {error}") from None
    finally:
        os.close(home)


class Capture:
    """Listens on all devices of some namespaces, from its creation until it is closed."""

    def __init__(self, where: Sequence[Space]) -> None:
        """Begin to listen; a namespace that goes meanwhile is left out. Raises LabError without root."""
        self._sockets: list[tuple[Space, socket.socket]] = []
        for space in where:
            try:
                with entered(space):
                    self._sockets.append((space, _listener()))
            except LabError:
                if space.file.exists():
                    self.close()
                    raise

    def close(self) -> None:
        """Listen no more."""
        for _, listener in self._sockets:
            listener.close()
        self._sockets = []

    def sightings(self, mark: bytes) -> list[Sighting]:
        """Return, in order, where datagrams that hold these bytes were seen since the last call."""
        found = []
        for space, listener in self._sockets:
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, ancillary, _, address = listener.recvmsg(2048, _ANCILLARY)
                    if mark in frame and (read := frames.parse(frame)):
                        packet, tunnel = read
                        found.append(
                            Sighting(
                                at=_time(ancillary),
                                host=space.host,
                                space=space.name,
                                device=address[0],
                                is_leaving=address[2] == socket.PACKET_OUTGOING,
                                packet=packet,
                                tunnel=tunnel,
                            )
                        )
        # A frame that passes from one device to another in a namespace may keep its time: there the order in
        # which it was heard is right, and sorting keeps it.
        return sorted(found, key=lambda one: one.at)


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    listener.setsockopt(socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, _BUFFER)
    listener.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
    listener.setblocking(False)
    return listener


def _time(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPS):
            seconds, nanoseconds = struct.unpack_from("=qq", value)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def _enter(space: Space) -> None:
    target = os.open(space.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(target)
    finally:
        os.close(target)


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
