"""Sockets that hear all frames of a namespace, with filters in classic BPF. Standard library only."""

import ctypes
import socket
import struct
from collections.abc import Sequence

WORD, HALF, BYTE = 0x20, 0x28, 0x30
"""How much of a frame a test reads."""
_EQUAL, _RETURN = 0x15, 0x06
_EVERYTHING = 3  # ETH_P_ALL
_SOL_PACKET, _IGNORE_OUTGOING, _ATTACH_FILTER = 263, 23, 26

Test = tuple[int, int, int]
"""WORD, HALF or BYTE; where it is read; and what it must be."""
Line = tuple[int, int, int, int]


def program(needed: Sequence[Test], alternatives: Sequence[Sequence[Test]]) -> bytes:
    """Return the filter that takes frames for which all of `needed` and all tests of an alternative hold."""
    lines: list[Line] = []
    for size, at, value in needed:
        lines += [(size, 0, 0, at), (_EQUAL, 1, 0, value), (_RETURN, 0, 0, 0)]
    for tests in alternatives:
        lines += _taken(tests)
    lines.append((_RETURN, 0, 0, 0))
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _taken(tests: Sequence[Test]) -> list[Line]:
    """Return what takes a frame for which all tests hold, and goes on behind itself when one does not."""
    lines: list[Line] = []
    for left, (size, at, value) in zip(range(len(tests), 0, -1), tests, strict=True):
        lines += [(size, 0, 0, at), (_EQUAL, 0, 2 * left - 1, value)]
    return [*lines, (_RETURN, 0, 0, 0xFFFF)]


def listening(device: str = "", code: bytes = b"") -> socket.socket:
    """Return a socket that hears what arrives on a device, or on all, and passes a filter. Raises OSError."""
    heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    heard.setblocking(False)
    heard.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    if code:
        buffer = ctypes.create_string_buffer(code, len(code))
        pointer = struct.pack("HL", len(code) // 8, ctypes.addressof(buffer))
        heard.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, pointer)
    if device:
        heard.bind((device, _EVERYTHING))
    try:  # what came before the filter was there
        while heard.recv(1):
            pass
    except BlockingIOError:
        return heard
    return heard
