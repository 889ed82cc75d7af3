"""What twins say to each other: datagrams about one router.

A datagram is a header and, when it carries entries, one after the other: length, change, and a message of the
kernel as it came. These are in the byte order of the host, which the magic number gives away: hosts of the
other order, and of other versions, do not understand each other and ignore what they get.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PORT = 3781
LIMIT = 1400
"""Bytes of a datagram at most: it must fit into an Ethernet frame of the underlay, tunnelled or not."""
MAGIC = 0xDC01

ENTRIES, ASK, DONE = 1, 2, 3
"""Entries follow; "send me all there is"; "that was all there is"."""
NEW, STATE, GONE, EXPECTED = 1, 2, 3, 4
"""A connection has begun; is so now; has ended. Its helper expects another one."""

_HEADER = struct.Struct("=HBxIII")
_ENTRY = struct.Struct("=HBx")
_LARGEST = LIMIT - _HEADER.size - _ENTRY.size

Change = tuple[int, bytes]
"""What happened, and the kernel's message without its header."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One datagram, understood."""

    kind: int
    number: int
    """The router's."""
    sender: int
    """Another one for each life of the process that sends."""
    sequence: int
    """Counts what the sender told this receiver of this router, modulo 2**32."""
    body: memoryview


def header(kind: int, number: int, sender: int, sequence: int) -> bytes:
    """Return what a datagram begins with."""
    return _HEADER.pack(MAGIC, kind, number, sender, sequence)


def fits(message: bytes) -> bool:
    """Return whether a message of the kernel can be an entry."""
    return len(message) <= _LARGEST


def bodies(changes: Iterable[Change]) -> Iterator[bytes]:
    """Yield the bodies of as few datagrams as carry these changes in this order; each `fits`."""
    parts: list[bytes] = []
    room = LIMIT - _HEADER.size
    for change, message in changes:
        size = _ENTRY.size + len(message)
        if parts and size > room:
            yield b"".join(parts)
            parts, room = [], LIMIT - _HEADER.size
        parts += (_ENTRY.pack(len(message), change), message)
        room -= size
    if parts:
        yield b"".join(parts)


def parse(data: bytes) -> Datagram:
    """Return a datagram; raises ValueError when it is none of ours."""
    if len(data) < _HEADER.size:
        raise ValueError("too short")
    magic, kind, number, sender, sequence = _HEADER.unpack_from(data)
    if magic != MAGIC or kind not in (ENTRIES, ASK, DONE):
        raise ValueError("of another version, or of a host with another byte order")
    return Datagram(kind, number, sender, sequence, memoryview(data)[_HEADER.size :])


def entries(body: memoryview) -> list[Change]:
    """Return the changes in a body; raises ValueError when it is malformed."""
    found = []
    offset = 0
    while offset < len(body):
        if offset + _ENTRY.size > len(body):
            raise ValueError("an entry is cut off")
        length, change = _ENTRY.unpack_from(body, offset)
        offset += _ENTRY.size
        if offset + length > len(body) or change not in (NEW, STATE, GONE, EXPECTED):
            raise ValueError("an entry is cut off or unknown")
        found.append((change, bytes(body[offset : offset + length])))
        offset += length
    return found
