"""The frames that ask a next hop whether it is there, and those that answer.

They are asked by this host itself, without an address of its own on the external network: by an ARP probe
from 0.0.0.0, from which nobody learns, and by a neighbour solicitation from a link-local address, since one
from :: would look like somebody else's claim to the address.
"""

import ctypes
import ipaddress
import socket
import struct

ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
_BROADCAST = b"\xff" * 6
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SO_ATTACH_FILTER = 26
_LOAD_HALF, _LOAD_BYTE, _IF_EQUAL, _RETURN = 0x28, 0x30, 0x15, 0x06

_FILTERS = {
    # the operation is an answer
    ETH_P_ARP: ((_LOAD_HALF, 0, 0, 20), (_IF_EQUAL, 0, 1, 2)),
    # ICMPv6, of the type neighbour advertisement
    ETH_P_IPV6: (
        (_LOAD_BYTE, 0, 0, 20),
        (_IF_EQUAL, 0, 3, socket.IPPROTO_ICMPV6),
        (_LOAD_BYTE, 0, 0, 54),
        (_IF_EQUAL, 0, 1, _ADVERTISEMENT),
    ),
}


def protocol(address: str) -> int:
    """Return the Ethernet protocol by which an address is asked for."""
    return ETH_P_IPV6 if ":" in address else ETH_P_ARP


def question(address: str, mac: bytes, theirs: bytes | None) -> bytes:
    """Return the frame that asks for an address, from `mac`, to everybody or to `theirs`."""
    wanted = ipaddress.ip_address(address)
    if wanted.version == 4:
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + bytes(4) + bytes(6) + wanted.packed
        return (theirs or _BROADCAST) + mac + struct.pack("!H", ETH_P_ARP) + arp + bytes(18)
    everybody = b"\xff\x02" + bytes(9) + b"\x01\xff" + wanted.packed[13:]
    target = wanted.packed if theirs else everybody
    own = b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    body = struct.pack("!BBHI", _SOLICITATION, 0, 0, 0) + wanted.packed + b"\x01\x01" + mac
    pseudo = own + target + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    body = body[:2] + struct.pack("!H", _checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 0x60000000, len(body), socket.IPPROTO_ICMPV6, 255) + own + target
    return (theirs or b"\x33\x33" + everybody[12:]) + mac + struct.pack("!H", ETH_P_IPV6) + header + body


def answer(frame: bytes) -> tuple[str, bytes] | None:
    """Return the address that a frame says to be there, and its MAC address; None for another frame."""
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_P_ARP and len(frame) >= 42 and frame[20:22] == b"\0\2":
        return str(ipaddress.IPv4Address(frame[28:32])), frame[22:28]
    if kind == ETH_P_IPV6 and len(frame) >= 78 and frame[54] == _ADVERTISEMENT:
        return str(ipaddress.IPv6Address(frame[62:78])), frame[6:12]
    return None


def listen(device: str, kind: int) -> socket.socket:
    """Open a socket on a device that hears answers of a protocol; raises OSError."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    try:
        program = (*_FILTERS[kind], (_RETURN, 0, 0, 0xFFFF), (_RETURN, 0, 0, 0))
        code = b"".join(struct.pack("=HBBI", *line) for line in program)
        held = ctypes.create_string_buffer(code)
        descriptor = struct.pack("@HP", len(program), ctypes.addressof(held))
        opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
        opened.setblocking(False)
        opened.bind((device, kind))
    except OSError:
        opened.close()
        raise
    return opened


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
