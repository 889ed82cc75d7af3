"""Telling the bridges and the neighbours of a router's ports where it is now.

All twins have the same addresses, also on the Ethernet, so that one frame per port teaches every forwarding
database; those for single addresses are for floating IPs that come from another router.
"""

import ipaddress
import logging
import socket
import struct
import threading
from collections.abc import Iterable
from queue import SimpleQueue

from deuteron.agent.l3.switch.records import Port, Router
from deuteron.agent.system import netns

log = logging.getLogger(__name__)

REPEATS = (0.1, 1.0, 3.0)
"""Seconds after the first announcement at which it is made again."""
REPEATS_OF_WINNER = (0.005, 0.02, 0.05, *REPEATS)
"""The same when another host was active too: its own announcement may come after our first."""
REPEATS_OF_INSISTING = (*(0.05 * number for number in range(1, 21)), 1.5, 2.0, 3.0)
"""The same while another host is active that was told to yield."""
REPEATS_AFTER_RETURN = (*REPEATS, 6.0, 10.0)
"""The same when a host is back that was open too, and is about to hear that it is not to be."""
_BROADCAST = b"\xff" * 6


def frames(port: Port, addresses: Iterable[str]) -> list[bytes]:
    """Return the Ethernet frames that announce addresses at a port: gratuitous ARP, unsolicited NA."""
    mac = bytes.fromhex(port.mac.replace(":", ""))
    return [_frame(mac, ipaddress.ip_address(address)) for address in addresses]


def first_addresses(port: Port) -> list[str]:
    """Return one address of each family: enough to take a port over."""
    found: dict[bool, str] = {}
    for address in port.addresses:
        found.setdefault(":" in address, address)
    return list(found.values())


def _frame(mac: bytes, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    packed = address.packed
    if address.version == 4:
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + packed + bytes(6) + packed
        return _BROADCAST + mac + b"\x08\x06" + arp + bytes(18)
    everyone = ipaddress.IPv6Address("ff02::1").packed
    # A router's (0x80) answer to nobody that replaces what was known (0x20), with its address on the link.
    body = struct.pack("!BBHI", 136, 0, 0, 0xA0000000) + packed + b"\x02\x01" + mac
    checksum = _checksum(packed + everyone + struct.pack("!II", len(body), 58) + body)
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    header = struct.pack("!IHBB", 0x60000000, len(body), 58, 255) + packed + everyone
    return b"\x33\x33\x00\x00\x00\x01" + mac + b"\x86\xdd" + header + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Announcer:
    """Sends frames from inside the namespaces of routers.

    A packet socket costs 25 us to open, but closing it waits some 10 ms for the whole kernel, so that is done
    aside; and none is open but in the seconds after an announcement, since it would hold the namespace.
    """

    def __init__(self) -> None:
        """Start the thread that closes sockets."""
        self._sockets: dict[str, socket.socket] = {}
        self._waste: SimpleQueue[socket.socket] = SimpleQueue()
        threading.Thread(target=self._close_waste, name="close", daemon=True).start()

    def announce(self, router: Router, news: Iterable[tuple[Port, list[str]]]) -> str:
        """Announce addresses of ports; return what failed in words, or nothing. Raises nothing."""
        try:
            opened = self._sockets.get(router.id) or self._open(router)
        except OSError as error:
            return f"cannot announce router {router.id}: {error}"
        failed = ""
        for port, addresses in news:
            for frame in frames(port, addresses):
                try:
                    opened.sendto(frame, (port.device, 0))
                except OSError as error:
                    failed = f"cannot announce router {router.id} on {port.device}: {error.strerror}"
        return failed

    def finish(self, router_id: str) -> None:
        """No more announcements for a while."""
        opened = self._sockets.pop(router_id, None)
        if opened:
            self._waste.put(opened)

    def _open(self, router: Router) -> socket.socket:
        with netns.entered(router.netns):
            opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        opened.setblocking(False)
        self._sockets[router.id] = opened
        return opened

    def _close_waste(self) -> None:
        while True:
            self._waste.get().close()
