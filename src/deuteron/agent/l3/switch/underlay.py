"""The cable of the underlay: a host without it must neither stay active nor become so.

Whoever hears nothing promotes itself within three adverts. So the moment the device by which tunnels leave
has no carrier, the HA networks' devices are told so too, and keepalived, which watches those, gives up.
"""

import contextlib
import os
import socket
import struct
from pathlib import Path

from deuteron.agent.l3.switch import filters
from deuteron.agent.system import netlink, netns

_LINK_GROUP = 1
_GET_LINK, _SET_LINK = 18, 19
_IFNAME, _PROTO_DOWN = 3, 39
_INTERFACE = struct.Struct("=BxHiII")
_INDEX_AT = 20


class Underlay:
    """The carrier of one device of this host; `has_carrier` is as of the last `look`."""

    def __init__(self) -> None:
        """Watch nothing yet: that has a carrier."""
        self.device = ""
        self.has_carrier = True
        self._index = 0
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._filter()
        self._socket.bind((0, _LINK_GROUP))

    def fileno(self) -> int:
        """Is readable when something about the device has changed."""
        return self._socket.fileno()

    def watch(self, device: str) -> None:
        """Watch this device from now on."""
        self.device = device
        self.look()

    def look(self) -> bool:
        """Read the carrier; return whether it changed. A device that is not there has none."""
        with contextlib.suppress(OSError):
            while self._socket.recv(1 << 14):
                pass
        before = self.has_carrier
        index = _index(self.device)
        if index != self._index:
            self._index = index
            self._filter()
        self.has_carrier = not self.device or _carrier(self.device)
        return self.has_carrier != before

    def _filter(self) -> None:
        """Wake for nothing but this device: others come and go by the hundred."""
        index = struct.unpack("!I", struct.pack("=I", self._index))[0]
        program = (
            (filters.LOAD_WORD, 0, 0, _INDEX_AT),
            (filters.IF_EQUAL, 0, 1, index),
            (filters.RETURN, 0, 0, 0xFFFF),
            (filters.RETURN, 0, 0, 0),
        )
        filters.attach(self._socket, program)


def pass_on(namespace: str, device: str, has_carrier: bool) -> None:
    """Give a device in a namespace a carrier, or take it away; raises OSError."""
    with netns.entered(namespace):
        told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    name = _INTERFACE.pack(0, 0, 0, 0, 0) + netlink.attribute(_IFNAME, device.encode() + b"\0")
    state = netlink.attribute(_PROTO_DOWN, bytes([not has_carrier]))
    with told:
        told.settimeout(1)
        _ask(told, _SET_LINK, netlink.F_ACK, name + state)
        # The kernel may keep a lost carrier to itself for a second, unless somebody asks: then it tells all.
        _ask(told, _GET_LINK, 0, name)


def _ask(told: socket.socket, kind: int, flags: int, payload: bytes) -> None:
    told.send(netlink.message(kind, netlink.F_REQUEST | flags, 1, payload))
    for answered, _, _, answer in netlink.messages(told.recv(1 << 15)):
        if answered == netlink.TYPE_ERROR and (code := netlink.error_code(answer)):
            raise OSError(code, os.strerror(code))


def _index(device: str) -> int:
    try:
        return socket.if_nametoindex(device)
    except OSError:
        return 0


def _carrier(device: str) -> bool:
    try:
        return Path(f"/sys/class/net/{device}/carrier").read_text().strip() == "1"
    except OSError:  # it is down, or not there
        return False
