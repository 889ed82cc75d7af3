"""Frames with one VLAN tag between two devices: to the one without the tag, to the other with it.

Done by two small programs (eBPF) where frames enter the devices, not by an 802.1q device: it works beside a
bridge that the device is in, and in kernels that have no such devices.
"""

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Sequence

from deuteron.agent.system import netlink
from deuteron.agent.system.command import run
from deuteron.agent.system.errors import SystemCommandError

_SYSCALLS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361, "s390x": 351}
"""bpf(2)"""
_PROG_LOAD, _SCHED_CLS = 5, 3
_LOAD_WORD, _MOVE, _COPY, _AND, _IF_EQUAL, _UNLESS_EQUAL, _CALL, _RETURN = (
    0x61,
    0xB7,
    0xBF,
    0x57,
    0x15,
    0x55,
    0x85,
    0x95,
)
_VLAN_PUSH, _VLAN_POP, _REDIRECT = 18, 19, 23
_VLAN_PRESENT_AT, _VLAN_TCI_AT = 20, 24
_VLAN_ID_MASK = 0xFFF
_ETHERTYPE_VLAN = socket.htons(0x8100)
_NEXT_PROGRAM = -1

_NEW_FILTER = 44
_KIND, _OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _DIRECT_ACTION = 6, 7, 8, 1
_INGRESS = 0xFFFFFFF2
_ALL_PROTOCOLS = socket.htons(3)
_TC = struct.Struct("=BxxxiIII")
_PREFERENCE = 0x4000
"""The preference of the filter of VLAN 0."""

_Instruction = tuple[int, int, int, int, int]
"""(code, register that is written, register that is read, jump, number)"""


def steer(device: str, child: str, tag: int) -> None:
    """Pass what enters `device` with a VLAN tag on to `child`, and what enters `child` out of `device`.

    Both are in the namespace of this thread; again is no harm. Raises SystemCommandError.
    """
    for name in (device, child):
        run(["tc", "qdisc", "replace", "dev", name, "clsact"])
    try:
        inwards, outwards = socket.if_nametoindex(child), socket.if_nametoindex(device)
        _attach(device, _PREFERENCE + tag, f"{child} {tag}", _untagged(tag, inwards))
        _attach(child, _PREFERENCE, f"{device} {tag}", _tagged(tag, outwards))
    except OSError as error:
        what = f"VLAN {tag} of {device} (needs CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF)"
        raise SystemCommandError(what, error.strerror or str(error)) from None


def forget(device: str, tag: int) -> None:
    """Leave the frames with a tag to `device` again. Raises SystemCommandError if that was so already."""
    run(["tc", "filter", "del", "dev", device, "ingress", "preference", str(_PREFERENCE + tag)])


def _untagged(tag: int, to: int) -> Sequence[_Instruction]:
    """The program of a device: take the tag off, out of device number `to`; other frames go on."""
    return (
        (_COPY, 6, 1, 0, 0),
        (_LOAD_WORD, 2, 1, _VLAN_PRESENT_AT, 0),
        (_IF_EQUAL, 2, 0, 9, 0),
        (_LOAD_WORD, 2, 1, _VLAN_TCI_AT, 0),
        (_AND, 2, 0, 0, _VLAN_ID_MASK),
        (_UNLESS_EQUAL, 2, 0, 6, tag),
        (_COPY, 1, 6, 0, 0),
        (_CALL, 0, 0, 0, _VLAN_POP),
        (_MOVE, 1, 0, 0, to),
        (_MOVE, 2, 0, 0, 0),
        (_CALL, 0, 0, 0, _REDIRECT),
        (_RETURN, 0, 0, 0, 0),
        (_MOVE, 0, 0, 0, _NEXT_PROGRAM),
        (_RETURN, 0, 0, 0, 0),
    )


def _tagged(tag: int, to: int) -> Sequence[_Instruction]:
    """The program of a child: put the tag on, out of device number `to`."""
    return (
        (_MOVE, 2, 0, 0, _ETHERTYPE_VLAN),
        (_MOVE, 3, 0, 0, tag),
        (_CALL, 0, 0, 0, _VLAN_PUSH),
        (_MOVE, 1, 0, 0, to),
        (_MOVE, 2, 0, 0, 0),
        (_CALL, 0, 0, 0, _REDIRECT),
        (_RETURN, 0, 0, 0, 0),
    )


def _attach(device: str, preference: int, name: str, program: Sequence[_Instruction]) -> None:
    """Have a program see what enters a device, in place of the one of this preference. Raises OSError."""
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


def _load(program: Sequence[_Instruction]) -> int:
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
