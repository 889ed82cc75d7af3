"""Small programs (eBPF) that see what enters a device, before bridges and filters do."""

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Sequence

from deuteron.agent.system import netlink
from deuteron.agent.system.command import run

_SYSCALLS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
"""bpf(2)"""
_PROG_LOAD, _SCHED_CLS = 5, 3
LOAD_WORD, LOAD_HALF, STORE_HALF, STORE_NUMBER = 0x61, 0x69, 0x6B, 0x6A
"""Of 32 and 16 bits; what is stored is of 16."""
JUMP = 0x05
MOVE, COPY, ADD, AND, IF_EQUAL, UNLESS_EQUAL, CALL, RETURN = 0xB7, 0xBF, 0x07, 0x57, 0x15, 0x55, 0x85, 0x95
STORE_BYTES, VLAN_PUSH, VLAN_POP, REDIRECT, LOAD_BYTES = 9, 18, 19, 23, 26
"""Functions of the kernel."""
PROTOCOL_AT, VLAN_PRESENT_AT, VLAN_TCI_AT = 16, 20, 24
"""Where in what a program is given."""
NEXT_PROGRAM = -1
"""What it returns where it has nothing to do."""

_NEW_FILTER = 44
_KIND, _OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _DIRECT_ACTION = 6, 7, 8, 1
_INGRESS = 0xFFFFFFF2
_ALL_PROTOCOLS = socket.htons(3)
_TC = struct.Struct("=BxxxiIII")

Instruction = tuple[int, int, int, int, int]
"""(code, register that is written, register that is read, jump or place, number)"""


def prepare(device: str) -> None:
    """Make a device take programs; again is no harm. Raises SystemCommandError."""
    run(["tc", "qdisc", "replace", "dev", device, "clsact"])


def attach(device: str, preference: int, name: str, program: Sequence[Instruction]) -> None:
    """Have a program see what enters a device, in place of the one of this preference.

    The one with the lowest preference is first. Raises OSError.
    """
    loaded = _load(program)
    try:
        options = (
            netlink.attribute(_BPF_FD, struct.pack("=I", loaded))
            + netlink.attribute(_BPF_NAME, name.encode() + b"\0")
            + netlink.attribute(_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
        )
        where = _TC.pack(0, socket.if_nametoindex(device), 1, _INGRESS, preference << 16 | _ALL_PROTOCOLS)
        payload = where + netlink.attribute(_KIND, b"bpf\0") + netlink.attribute(_OPTIONS, options)
        flags = netlink.F_REQUEST | netlink.F_ACK | netlink.F_CREATE
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.send(netlink.message(_NEW_FILTER, flags, 1, payload))
            for kind, _, _, answer in netlink.messages(kernel.recv(1 << 14)):
                if kind == netlink.TYPE_ERROR and (code := netlink.error_code(answer)):
                    raise OSError(code, os.strerror(code))
    finally:
        os.close(loaded)


def detach(device: str, preference: int) -> None:
    """Take a program away. Raises SystemCommandError where there is none."""
    run(["tc", "filter", "del", "dev", device, "ingress", "preference", str(preference)])


def _load(program: Sequence[Instruction]) -> int:
    """Give a program to the kernel; return the file that stands for it. Raises OSError."""
    code = b"".join(
        struct.pack("=BBhi", operation, read << 4 | written, jump, number)
        for operation, written, read, jump, number in program
    )
    held, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"Apache-2.0")
    wanted = struct.pack(
        "=IIQQ", _SCHED_CLS, len(program), ctypes.addressof(held), ctypes.addressof(licence)
    ).ljust(128, b"\0")
    libc = ctypes.CDLL(None, use_errno=True)
    number = _SYSCALLS.get(platform.machine())
    if number is None:
        raise OSError(0, f"the number of bpf(2) on {platform.machine()} is not known")
    loaded: int = libc.syscall(
        number, _PROG_LOAD, ctypes.create_string_buffer(wanted, len(wanted)), len(wanted)
    )
    if loaded < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return loaded
