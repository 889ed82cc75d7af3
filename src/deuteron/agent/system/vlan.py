"""Frames with one VLAN tag between two devices: to the one without the tag, to the other with it.

Done by two small programs (eBPF) where frames enter the devices, not by an 802.1q device: it works beside a
bridge that the device is in, and in kernels that have no such devices.
"""

import socket
from collections.abc import Sequence

from deuteron.agent.system import bpf
from deuteron.agent.system.bpf import Instruction
from deuteron.agent.system.errors import SystemCommandError

_VLAN_ID_MASK = 0xFFF
_ETHERTYPE_VLAN = socket.htons(0x8100)
_PREFERENCE = 0x4000
"""The preference of the filter of VLAN 0."""


def steer(device: str, child: str, tag: int) -> None:
    """Pass what enters `device` with a VLAN tag on to `child`, and what enters `child` out of `device`.

    Both are in the namespace of this thread; again is no harm. Raises SystemCommandError.
    """
    for name in (device, child):
        bpf.prepare(name)
    try:
        inwards, outwards = socket.if_nametoindex(child), socket.if_nametoindex(device)
        bpf.attach(device, _PREFERENCE + tag, f"{child} {tag}", _untagged(tag, inwards))
        bpf.attach(child, _PREFERENCE, f"{device} {tag}", _tagged(tag, outwards))
    except OSError as error:
        what = f"VLAN {tag} of {device} (needs CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF)"
        raise SystemCommandError(what, error.strerror or str(error)) from None


def forget(device: str, tag: int) -> None:
    """Leave the frames with a tag to `device` again. Raises SystemCommandError if that was so already."""
    bpf.detach(device, _PREFERENCE + tag)


def _untagged(tag: int, to: int) -> Sequence[Instruction]:
    """The program of a device: take the tag off, out of device number `to`; other frames go on."""
    return (
        (bpf.COPY, 6, 1, 0, 0),
        (bpf.LOAD_WORD, 2, 1, bpf.VLAN_PRESENT_AT, 0),
        (bpf.IF_EQUAL, 2, 0, 9, 0),
        (bpf.LOAD_WORD, 2, 1, bpf.VLAN_TCI_AT, 0),
        (bpf.AND, 2, 0, 0, _VLAN_ID_MASK),
        (bpf.UNLESS_EQUAL, 2, 0, 6, tag),
        (bpf.COPY, 1, 6, 0, 0),
        (bpf.CALL, 0, 0, 0, bpf.VLAN_POP),
        (bpf.MOVE, 1, 0, 0, to),
        (bpf.MOVE, 2, 0, 0, 0),
        (bpf.CALL, 0, 0, 0, bpf.REDIRECT),
        (bpf.RETURN, 0, 0, 0, 0),
        (bpf.MOVE, 0, 0, 0, bpf.NEXT_PROGRAM),
        (bpf.RETURN, 0, 0, 0, 0),
    )


def _tagged(tag: int, to: int) -> Sequence[Instruction]:
    """The program of a child: put the tag on, out of device number `to`."""
    return (
        (bpf.MOVE, 2, 0, 0, _ETHERTYPE_VLAN),
        (bpf.MOVE, 3, 0, 0, tag),
        (bpf.CALL, 0, 0, 0, bpf.VLAN_PUSH),
        (bpf.MOVE, 1, 0, 0, to),
        (bpf.MOVE, 2, 0, 0, 0),
        (bpf.CALL, 0, 0, 0, bpf.REDIRECT),
        (bpf.RETURN, 0, 0, 0, 0),
    )
