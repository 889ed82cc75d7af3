"""Filters of sockets: which packets wake the switch, in the kernel's classic instructions."""

import ctypes
import socket
import struct
from collections.abc import Sequence

LOAD_WORD, LOAD_IP_LENGTH, LOAD_FROM_X = 0x20, 0xB1, 0x50
IF_EQUAL, RETURN = 0x15, 0x06
_SO_ATTACH_FILTER = 26

Instruction = tuple[int, int, int, int]
"""Operation, instructions to skip if it holds and if it does not, operand."""


def attach(filtered: socket.socket, program: Sequence[Instruction]) -> None:
    """Pass only packets for which a program returns more than 0, from now on; raises OSError."""
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    held = ctypes.create_string_buffer(code)
    descriptor = struct.pack("@HP", len(program), ctypes.addressof(held))
    filtered.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
