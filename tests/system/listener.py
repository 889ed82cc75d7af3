"""What travels on the underlay: run in a host, it prints Ethernet headers inside VXLAN, each kind once.

`listener.py DEVICE SECONDS`: lines `outer-source outer-destination inner-source inner-destination type`.
"""

import socket
import struct
import sys
import time

_VXLAN_PORT = 4789
_IP, _UDP, _VXLAN = 14, 34, 42
_INNER = 50


def kinds(frame: bytes) -> str | None:
    """Return a line about a frame; None if there is no other frame in it."""
    if len(frame) < _INNER + 14 or frame[12:14] != b"\x08\x00" or frame[_IP + 9] != socket.IPPROTO_UDP:
        return None
    if struct.unpack_from("!H", frame, _UDP + 2)[0] != _VXLAN_PORT:
        return None
    source, destination = (socket.inet_ntoa(frame[at : at + 4]) for at in (_IP + 12, _IP + 16))
    to, by = (frame[at : at + 6].hex(":") for at in (_INNER, _INNER + 6))
    return f"{source} {destination} {by} {to} {frame[_INNER + 12 : _INNER + 14].hex()}"


def main(device: str, seconds: float) -> None:
    """Listen so long, then print what was heard."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as heard:
        heard.bind((device, 0))
        heard.settimeout(0.1)
        print("listening", flush=True)
        found, end = set(), time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found.add(kinds(heard.recv(2048)))
            except TimeoutError:
                continue
    print("\n".join(sorted(filter(None, found))))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
