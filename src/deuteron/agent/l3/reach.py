"""How much of the underlay this host reaches: who of the other hosts answers a ping right now."""

import ipaddress
import os
import select
import socket
import struct
import time
from collections.abc import Iterable

AT_MOST = 32
"""Addresses asked."""
PATIENCE = 0.3
"""Seconds for the answers."""
_ASKED_AGAIN = 0.1
_REQUEST = {4: 8, 6: 128}
_REPLY = {4: 0, 6: 129}


def count(addresses: Iterable[str]) -> int:
    """Return how many of some addresses (the first few, in order) answer within a moment. Raises OSError."""
    asked = [ipaddress.ip_address(text) for text in sorted(set(addresses))[:AT_MOST]]
    left = {str(address) for address in asked}
    mark = os.urandom(8)
    sockets = {version: _open(version) for version in {address.version for address in asked}}
    try:
        began, rounds = time.monotonic(), 0
        while left and (now := time.monotonic()) < began + PATIENCE:
            if now >= began + rounds * _ASKED_AGAIN:
                rounds += 1
                for address in asked:
                    if str(address) in left:
                        _ask(sockets[address.version], address, mark)
            ready, _, _ = select.select(list(sockets.values()), [], [], _ASKED_AGAIN / 4)
            for one in ready:
                left -= _heard(one, mark)
    finally:
        for one in sockets.values():
            one.close()
    return len(asked) - len(left)


def _open(version: int) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if version == 4 else socket.IPPROTO_ICMPV6
    return socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)


def _ask(one: socket.socket, address: ipaddress.IPv4Address | ipaddress.IPv6Address, mark: bytes) -> None:
    body = struct.pack("!HH", 1, 1) + mark
    checksum = _checksum(struct.pack("!BBH", _REQUEST[4], 0, 0) + body) if address.version == 4 else 0
    try:
        one.sendto(struct.pack("!BBH", _REQUEST[address.version], 0, checksum) + body, (str(address), 0))
    except OSError:
        return  # there is no way to it now: it does not answer


def _heard(one: socket.socket, mark: bytes) -> set[str]:
    found: set[str] = set()
    while True:
        try:
            packet, source = one.recvfrom(512)
        except OSError:  # nothing more
            return found
        version = 4 if one.family == socket.AF_INET else 6
        message = packet[(packet[0] & 15) * 4 :] if version == 4 else packet
        if message[:1] == bytes([_REPLY[version]]) and message[8:16] == mark:
            found.add(str(ipaddress.ip_address(source[0])))


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
