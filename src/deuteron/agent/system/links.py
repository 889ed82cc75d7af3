"""The kernel's news about network devices (rtnetlink)."""

import errno
import logging
import socket
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger(__name__)

_GROUP_LINK = 1
_NEWLINK, _DELLINK = 16, 17
_IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 3, 4, 10
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_INFO = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")
_IFF_UP = 1


class _Device(NamedTuple):
    name: str
    master: int
    up: bool
    mtu: int


class LinkMonitor(threading.Thread):
    """A thread that says which devices came, went, or changed their master, MTU or up."""

    def __init__(self, changed: Callable[[str], None], lost: Callable[[], None]) -> None:
        """Listen from now on; `changed` gets a device's name, `lost` says that news were missed."""
        super().__init__(name="links", daemon=True)
        self._changed = changed
        self._lost = lost
        self._known: dict[int, _Device] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((0, _GROUP_LINK))

    def run(self) -> None:
        """Listen, for ever."""
        while True:
            try:
                data = self._socket.recv(1 << 18)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                log.info("news about devices were lost: comparing everything")
                self._known.clear()
                self._lost()
                continue
            for name in self._read(data):
                self._changed(name)

    def _read(self, data: bytes) -> list[str]:
        names = []
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, offset)
            if length < _HEADER.size:
                break
            if kind in (_NEWLINK, _DELLINK):
                names += self._note(kind, data[offset + _HEADER.size : offset + length])
            offset += (length + 3) & ~3
        return names

    def _note(self, kind: int, body: bytes) -> list[str]:
        family, _, index, flags, _ = _INFO.unpack_from(body)
        if family != socket.AF_UNSPEC:  # a bridge's view of its port
            return []
        name, master, mtu = _attributes(body)
        before = self._known.get(index)
        if kind == _DELLINK:
            self._known.pop(index, None)
            return [name]
        device = _Device(name, master, bool(flags & _IFF_UP), mtu)
        self._known[index] = device
        if device == before:
            return []
        return [name] if before is None or before.name == name else [before.name, name]


def _attributes(body: bytes) -> tuple[str, int, int]:
    name, master, mtu, offset = "", 0, 0, _INFO.size
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            break
        value = body[offset + _ATTRIBUTE.size : offset + length]
        if kind == _IFLA_IFNAME:
            name = value.rstrip(b"\0").decode(errors="replace")
        elif kind == _IFLA_MASTER:
            master = int.from_bytes(value[:4], "little")
        elif kind == _IFLA_MTU:
            mtu = int.from_bytes(value[:4], "little")
        offset += (length + 3) & ~3
    return name, master, mtu
