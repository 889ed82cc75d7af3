"""Who answers for addresses: `python -m deuteron.lab.whohas DEVICE MAC ADDRESS QUESTION...`.

Asks by ARP on a device, in the name of a machine there that has MAC and ADDRESS, for each QUESTION, an IPv4
address. Run in the namespace of the lab's cables: twins have one MAC address, and only the port by which an
answer comes tells them apart. Prints a JSON object: question -> the ports by which it was answered.
Standard library only.
"""

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

from deuteron.lab.packets import HALF, listening, program

TIMES = 3
"""How often each question is asked: one may be lost on a busy machine."""
PATIENCE = 0.15
"""Seconds after each time."""
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_REPLIES = program([], [[(HALF, 12, 0x0806), (HALF, 20, _REPLY)]])


def question(mac: bytes, address: bytes, about: bytes) -> bytes:
    """Return the frame that asks everybody who has an address."""
    head = b"\xff" * 6 + mac + b"\x08\x06"
    return head + _ARP.pack(1, 0x0800, 6, 4, _REQUEST, mac, address, b"\0" * 6, about)


def ask(device: str, mac: str, address: str, questions: Sequence[str]) -> dict[str, list[str]]:
    """Ask, and return which ports answered for each address."""
    found: dict[str, set[str]] = {about: set() for about in questions}
    own, hardware = socket.inet_aton(address), bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as mouth, listening("", _REPLIES) as ear:
        mouth.bind((device, 0))
        for _ in range(TIMES):
            for about in questions:
                mouth.send(question(hardware, own, socket.inet_aton(about)))
            deadline = time.monotonic() + PATIENCE
            while (left := deadline - time.monotonic()) > 0 and select.select([ear], [], [], left)[0]:
                frame, by = ear.recvfrom(2048)
                about = socket.inet_ntoa(frame[28:32])
                if about in found and by[0] != device:
                    found[about].add(by[0])
    return {about: sorted(ports) for about, ports in found.items()}


if __name__ == "__main__":
    print(json.dumps(ask(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])))
