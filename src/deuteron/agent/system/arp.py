"""Answers to questions for IPv4 addresses, given where a machine's frames enter its device.

By a small program (eBPF), so that they are given whether or not anything of ours runs; nobody else hears the
questions.
"""

import ipaddress
import socket
import sys
from collections.abc import Mapping

from deuteron.agent.system import bpf, tc
from deuteron.agent.system.bpf import Instruction
from deuteron.agent.system.errors import SystemCommandError

_PREFERENCE = 0x3000
"""Before those of VLAN tags, and before whatever leads frames elsewhere."""
_NAME = "arp "
_ETHERTYPE_ARP = socket.htons(0x0806)
_QUESTION, _ANSWER = socket.htons(1), socket.htons(2)
_LENGTH = 42
_FRAME = -48
"""Where in the program's memory the frame is kept."""
_TO, _FROM, _OPERATION, _SENDER_MAC, _SENDER, _TARGET_MAC, _TARGET = 0, 6, 20, 22, 28, 32, 38
"""Places in the frame."""
_TO_END, _TO_SENDING = 0x7001, 0x7002
"""Jumps whose lengths are known when all is put together."""
MOST = 64
"""Addresses for one device: what the kernel's limit of a program's length allows, with a margin."""


def answer(device: str, known: Mapping[str, str]) -> None:
    """Answer for addresses (address -> MAC address) on a device of this thread's namespace, for no others.

    Raises SystemCommandError; also when there are more than MOST.
    """
    if not known:
        if _is_held(device):
            bpf.detach(device, _PREFERENCE)
        return
    if len(known) > MOST:
        raise SystemCommandError(f"answers on {device}", f"{len(known)} addresses are more than {MOST}")
    bpf.prepare(device)
    try:
        program = _program(known, socket.if_nametoindex(device))
        bpf.attach(device, _PREFERENCE, f"{_NAME}{len(known)}", program)
    except OSError as error:
        what = f"answers on {device} (needs CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF)"
        raise SystemCommandError(what, error.strerror or str(error)) from None


def devices() -> set[str]:
    """Return the devices on which anything is answered. Raises SystemCommandError."""
    taking = {str(one["dev"]) for one in tc.show("qdisc show") if one["kind"] == "clsact"}
    return {device for device in taking if _is_held(device)}


def _is_held(device: str) -> bool:
    filters = tc.show(f"filter show dev {device} ingress pref {_PREFERENCE}")
    return any(str(one.get("options", {}).get("bpf_name", "")).startswith(_NAME) for one in filters)


def _program(known: Mapping[str, str], device: int) -> list[Instruction]:
    """Return a program that turns a question into its answer, and sends it out of device number `device`."""
    code = _read()
    for address, mac in sorted(known.items()):
        code += _if_asked(address, mac)
    end = len(code)
    code += _send(device)
    jumps = {_TO_SENDING: end + 2, _TO_END: end}
    return [
        (operation, written, read, jumps[at] - index - 1 if at in jumps else at, number)
        for index, (operation, written, read, at, number) in enumerate(code)
    ]


def _read() -> list[Instruction]:
    """Keep the frame; go on only with an untagged question, half of which is its answer by then."""
    return [
        (bpf.COPY, 6, 1, 0, 0),
        (bpf.LOAD_WORD, 2, 1, bpf.VLAN_PRESENT_AT, 0),
        (bpf.UNLESS_EQUAL, 2, 0, _TO_END, 0),
        (bpf.LOAD_WORD, 2, 1, bpf.PROTOCOL_AT, 0),
        (bpf.UNLESS_EQUAL, 2, 0, _TO_END, _ETHERTYPE_ARP),
        (bpf.MOVE, 2, 0, 0, 0),
        (bpf.COPY, 3, 10, 0, 0),
        (bpf.ADD, 3, 0, 0, _FRAME),
        (bpf.MOVE, 4, 0, 0, _LENGTH),
        (bpf.CALL, 0, 0, 0, bpf.LOAD_BYTES),
        (bpf.UNLESS_EQUAL, 0, 0, _TO_END, 0),
        (bpf.LOAD_HALF, 2, 10, _FRAME + _OPERATION, 0),
        (bpf.UNLESS_EQUAL, 2, 0, _TO_END, _QUESTION),
        (bpf.STORE_NUMBER, 10, 0, _FRAME + _OPERATION, _ANSWER),
        *_copied(_FROM, _TO),
        *_copied(_SENDER_MAC, _TARGET_MAC),
    ]


def _copied(source: int, target: int) -> list[Instruction]:
    """Copy a MAC address in the frame."""
    return [
        one
        for at in (0, 2, 4)
        for one in (
            (bpf.LOAD_HALF, 2, 10, _FRAME + source + at, 0),
            (bpf.STORE_HALF, 10, 2, _FRAME + target + at, 0),
        )
    ]


def _if_asked(address: str, mac: str) -> list[Instruction]:
    """Put in the MAC address of an address if that is asked for; otherwise go on behind this."""
    high, low = _halves(ipaddress.IPv4Address(address).packed)
    stored = [
        (bpf.STORE_NUMBER, 10, 0, _FRAME + place + 2 * index, half)
        for place in (_FROM, _SENDER_MAC)
        for index, half in enumerate(_halves(bytes.fromhex(mac.replace(":", ""))))
    ]
    return [
        (bpf.LOAD_HALF, 2, 10, _FRAME + _TARGET, 0),
        (bpf.UNLESS_EQUAL, 2, 0, len(stored) + 3, high),
        (bpf.LOAD_HALF, 2, 10, _FRAME + _TARGET + 2, 0),
        (bpf.UNLESS_EQUAL, 2, 0, len(stored) + 1, low),
        *stored,
        (bpf.JUMP, 0, 0, _TO_SENDING, 0),
    ]


def _send(device: int) -> list[Instruction]:
    """Let the frame go on; or, from the third instruction on, swap the addresses and send it back."""
    return [
        (bpf.MOVE, 0, 0, 0, bpf.NEXT_PROGRAM),
        (bpf.RETURN, 0, 0, 0, 0),
        (bpf.LOAD_HALF, 2, 10, _FRAME + _TARGET, 0),
        (bpf.LOAD_HALF, 3, 10, _FRAME + _TARGET + 2, 0),
        (bpf.LOAD_HALF, 4, 10, _FRAME + _SENDER, 0),
        (bpf.LOAD_HALF, 5, 10, _FRAME + _SENDER + 2, 0),
        (bpf.STORE_HALF, 10, 2, _FRAME + _SENDER, 0),
        (bpf.STORE_HALF, 10, 3, _FRAME + _SENDER + 2, 0),
        (bpf.STORE_HALF, 10, 4, _FRAME + _TARGET, 0),
        (bpf.STORE_HALF, 10, 5, _FRAME + _TARGET + 2, 0),
        (bpf.COPY, 1, 6, 0, 0),
        (bpf.MOVE, 2, 0, 0, 0),
        (bpf.COPY, 3, 10, 0, 0),
        (bpf.ADD, 3, 0, 0, _FRAME),
        (bpf.MOVE, 4, 0, 0, _LENGTH),
        (bpf.MOVE, 5, 0, 0, 0),
        (bpf.CALL, 0, 0, 0, bpf.STORE_BYTES),
        (bpf.MOVE, 1, 0, 0, device),
        (bpf.MOVE, 2, 0, 0, 0),
        (bpf.CALL, 0, 0, 0, bpf.REDIRECT),
        (bpf.RETURN, 0, 0, 0, 0),
    ]


def _halves(data: bytes) -> list[int]:
    """Return bytes as numbers of 16 bits that look the same in memory."""
    return [int.from_bytes(data[at : at + 2], sys.byteorder) for at in range(0, len(data), 2)]
