"""Packets that rules of nftables log (`log group N`), as the kernel hands them over.

Nobody waits for who reads them: what is not read in time is lost, and what nobody listens to costs nothing.
"""

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from deuteron.agent.system import netlink

GROUP = 56839
"""Of all that we log, in each namespace."""
_LOGGING = 4 << 8
_PACKET, _CONFIG = _LOGGING, _LOGGING | 1
_COMMAND, _MODE, _THRESHOLD = 1, 2, 5
_BIND, _COPY_PACKET = 1, 2
_HEADER, _MARK, _PAYLOAD, _PREFIX, _LINK = 1, 2, 9, 10, 16
_COPIED = 128
"""Bytes of each packet."""
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Packet:
    """A packet that a rule logged."""

    prefix: str
    """What the rule says of it."""
    mark: int
    ethertype: int
    link: bytes
    """Its Ethernet header; empty where it has none yet."""
    data: bytes
    """What follows the header, cut off."""


def listen() -> socket.socket:
    """Return a socket that gets what is logged in this thread's namespace.

    Raises OSError: EBUSY when somebody else listens, another one in a kernel without nfnetlink_log.
    """
    made = netlink.open_socket(receive_buffer=_BUFFER)
    try:
        for attribute in (
            netlink.attribute(_COMMAND, struct.pack("!B", _BIND)),
            netlink.attribute(_MODE, struct.pack("!IBx", _COPIED, _COPY_PACKET)),
            netlink.attribute(_THRESHOLD, struct.pack("!I", 1)),
        ):
            body = netlink.GENERIC.pack(socket.AF_UNSPEC, 0, GROUP) + attribute
            made.send(netlink.message(_CONFIG, netlink.F_REQUEST | netlink.F_ACK, 1, body))
            _acknowledged(made)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def _acknowledged(kernel: socket.socket) -> None:
    while True:
        for kind, _, _, payload in netlink.messages(kernel.recv(1 << 16)):
            if kind == netlink.TYPE_ERROR:
                if code := netlink.error_code(payload):
                    raise OSError(code, os.strerror(code))
                return


def packets(data: bytes) -> Iterator[Packet]:
    """Yield the packets of what was received."""
    for kind, _, _, payload in netlink.messages(data):
        if kind != _PACKET:
            continue
        found = netlink.attributes(payload[netlink.GENERIC.size :])
        header, mark = bytes(found.get(_HEADER, b"\0\0")), bytes(found.get(_MARK, bytes(4)))
        yield Packet(
            prefix=bytes(found.get(_PREFIX, b"")).rstrip(b"\0").decode(errors="replace"),
            mark=int.from_bytes(mark, "big"),
            ethertype=int.from_bytes(header[:2], "big"),
            link=bytes(found.get(_LINK, b"")),
            data=bytes(found.get(_PAYLOAD, b"")),
        )
