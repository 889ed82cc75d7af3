"""Netlink messages, packed and unpacked by hand: a header, then attributes of type, length and value."""

import socket
import struct
from collections.abc import Iterator

HEADER = struct.Struct("=IHHII")
"""Length, type, flags, sequence number, port id."""
GENERIC = struct.Struct("!BBH")
"""What follows in messages of netfilter: address family, version, resource id."""
NESTED = 0x8000
_ATTRIBUTE = struct.Struct("=HH")
_TYPE_MASK = 0x3FFF

F_REQUEST, F_ACK, F_DUMP = 0x1, 0x4, 0x300
F_EXCL, F_CREATE = 0x200, 0x400
TYPE_ERROR, TYPE_DONE, TYPE_OVERRUN = 2, 3, 4
_NETLINK_NETFILTER = 12
_SOL_NETLINK, _NETLINK_CAP_ACK = 270, 10
_SO_RCVBUFFORCE = 33


def open_socket(groups: int = 0, receive_buffer: int = 0) -> socket.socket:
    """Open a netfilter netlink socket in the namespace of this thread; `receive_buffer` in bytes."""
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    if receive_buffer:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, receive_buffer)
    opened.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    opened.bind((0, groups))
    return opened


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded."""
    padding = -len(value) % 4
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(padding)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return an attribute that holds attributes."""
    return attribute(kind | NESTED, b"".join(parts))


def message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Return one message with its header."""
    return HEADER.pack(16 + len(payload), kind, flags, sequence, 0) + payload


def messages(data: bytes) -> Iterator[tuple[int, int, int, memoryview]]:
    """Yield (type, sequence number, port id of who caused it, payload) of each message of a datagram."""
    view = memoryview(data)
    offset = 0
    while offset + 16 <= len(view):
        length, kind, _, sequence, port = HEADER.unpack_from(view, offset)
        if length < 16 or offset + length > len(view):
            return
        yield kind, sequence, port, view[offset + 16 : offset + length]
        offset += (length + 3) & ~3


def attributes(data: memoryview) -> dict[int, memoryview]:
    """Return the attributes by type; of those that come twice the last. Stops at what is malformed."""
    return dict(attribute_list(data))


def attribute_list(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, value) of each attribute, in order. Stops at what is malformed."""
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or offset + length > len(data):
            return
        yield kind & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


def error_code(payload: memoryview) -> int:
    """Return the errno of an error message, 0 for an acknowledgement."""
    (code,) = struct.unpack_from("=i", payload)
    return -int(code)
