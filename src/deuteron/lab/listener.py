"""What travels on the underlay: `python -m deuteron.lab.listener DEVICE|any [MAC...]`.

Prints a JSON object for each kind of Ethernet frame inside VXLAN when the first one comes: when it came, and
the fields of `Frame`. With MAC addresses: only what bears one of them, ARP and neighbour discovery. Run in a
host, or on `any` device in the namespace of the lab's cables, where what comes by the port `u-HOST` is what
has left that host.

Prints `listening` first, and ends when its standard input is closed. Standard library only.
"""

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from deuteron.lab.packets import BYTE, HALF, WORD, Test, listening, program

ARP, IPV6 = "0806", "86dd"
_UDP, _ICMPV6, _VXLAN_PORT = 17, 58, 4789
_NEIGHBOURS = (135, 136)
_IP, _INNER = 14, 50
_TYPE, _PAYLOAD = _INNER + 12, _INNER + 14
_NEXT_HEADER, _ICMP_TYPE, _ICMP_TARGET = _PAYLOAD + 6, _PAYLOAD + 40, _PAYLOAD + 48
_AT_ONCE = 256


class Frame(NamedTuple):
    """A kind of frame inside VXLAN."""

    device: str
    by: str
    """Underlay address of the host that sent it."""
    to: str
    source: str
    """MAC addresses inside."""
    destination: str
    type: str
    """Ethernet type, in hexadecimal."""
    about: str
    """The address that is asked for, or told of, by ARP or neighbour discovery; else empty."""


def parsed(device: str, data: bytes) -> Frame | None:
    """Return what a frame on the underlay has inside; None when that is no Ethernet frame."""
    if len(data) < _PAYLOAD or data[12:14] != b"\x08\x00" or data[_IP + 9] != _UDP:
        return None
    if struct.unpack_from("!H", data, _IP + 22)[0] != _VXLAN_PORT:
        return None
    by, to = (socket.inet_ntoa(data[at : at + 4]) for at in (_IP + 12, _IP + 16))
    destination, source = (data[at : at + 6].hex(":") for at in (_INNER, _INNER + 6))
    type_ = data[_TYPE:_PAYLOAD].hex()
    return Frame(device, by, to, source, destination, type_, _about(type_, data))


def _about(type_: str, data: bytes) -> str:
    if type_ == ARP and len(data) >= _PAYLOAD + 28:
        asks = data[_PAYLOAD + 6 : _PAYLOAD + 8] == b"\0\1"
        at = _PAYLOAD + (24 if asks else 14)
        return socket.inet_ntoa(data[at : at + 4])
    if type_ != IPV6 or len(data) < _ICMP_TARGET + 16 or data[_NEXT_HEADER] != _ICMPV6:
        return ""
    asks_or_tells = data[_ICMP_TYPE] in _NEIGHBOURS
    return socket.inet_ntop(socket.AF_INET6, data[_ICMP_TARGET : _ICMP_TARGET + 16]) if asks_or_tells else ""


def concerning(macs: Iterable[str]) -> bytes:
    """Return the filter for frames that bear one of these addresses, ARP and neighbour discovery."""
    icmp: list[Test] = [(HALF, _TYPE, 0x86DD), (BYTE, _NEXT_HEADER, _ICMPV6)]
    found: list[list[Test]] = [[(HALF, _TYPE, 0x0806)]]
    found += [[*icmp, (BYTE, _ICMP_TYPE, kind)] for kind in _NEIGHBOURS]
    for mac in macs:
        high, low = struct.unpack("!IH", bytes.fromhex(mac.replace(":", "")))
        found += [[(WORD, at, high), (HALF, at + 4, low)] for at in (_INNER, _INNER + 6)]
    return program([(HALF, 12, 0x0800), (BYTE, _IP + 9, _UDP), (HALF, _IP + 22, _VXLAN_PORT)], found)


def listen(device: str, macs: Sequence[str]) -> None:
    """Print each kind of frame once, until standard input ends."""
    with listening("" if device == "any" else device, concerning(macs) if macs else b"") as heard:
        print("listening", flush=True)
        seen: set[Frame] = set()
        ended = False
        while not ended:
            ended = sys.stdin in select.select([heard, sys.stdin], [], [])[0]
            for frame in _arrived(heard):
                if frame not in seen:
                    seen.add(frame)
                    print(json.dumps({"at": time.time(), **frame._asdict()}), flush=True)


def _arrived(heard: socket.socket) -> Iterator[Frame]:
    """Yield what has arrived; not for ever when it comes faster than it is taken."""
    for _ in range(_AT_ONCE):
        try:
            data, address = heard.recvfrom(2048)
        except BlockingIOError:
            return
        if frame := parsed(address[0], data):
            yield frame


if __name__ == "__main__":
    listen(sys.argv[1], sys.argv[2:])
