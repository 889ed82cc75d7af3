"""Packets in words, each layer with its fields. Pure."""

import socket
import struct

from deuteron.agent.system.nflog import Packet

_IPV4, _IPV6 = 0x0800, 0x86DD
Fields = dict[str, str | int]
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58


def describe(packet: Packet) -> str:
    """Return what a packet is; what is cut off or malformed is left out."""
    return _ethernet(packet) + _network(packet.ethertype, packet.data)


def ends(packet: Packet) -> tuple[str, str, int, int, int] | None:
    """Return source, destination, protocol and both ports of an IPv4 packet; None where it has no ports."""
    data = packet.data
    if packet.ethertype != _IPV4 or len(data) < 20 or data[9] not in (_TCP, _UDP):
        return None
    rest = data[_length(data) :]
    if len(rest) < 4:
        return None
    ports = struct.unpack_from("!HH", rest)
    return _four(data[12:16]), _four(data[16:20]), data[9], ports[0], ports[1]


def _ethernet(packet: Packet) -> str:
    if len(packet.link) < 14:
        return ""
    target, source = packet.link[:6].hex(":"), packet.link[6:12].hex(":")
    return _layer("ethernet", dst=target, ethertype=packet.ethertype, src=source)


def _network(ethertype: int, data: bytes) -> str:
    if ethertype == _IPV4 and len(data) >= 20:
        fields: Fields = {
            "dst": _four(data[16:20]),
            "proto": data[9],
            "src": _four(data[12:16]),
            "tos": data[1],
        }
        size = int.from_bytes(data[2:4], "big")
        words = _layer("ipv4", **fields, total_length=size, ttl=data[8], version=4)
        later = int.from_bytes(data[6:8], "big") & 0x1FFF
        return words if later else words + _transport(data[9], data[_length(data) :])
    if ethertype == _IPV6 and len(data) >= 40:
        ends_: Fields = {"dst": _six(data[24:40]), "nxt": data[6], "src": _six(data[8:24])}
        size = int.from_bytes(data[4:6], "big")
        words = _layer("ipv6", **ends_, hop_limit=data[7], payload_length=size, version=6)
        return words + _transport(data[6], data[40:])
    return ""


def _transport(protocol: int, data: bytes) -> str:
    if protocol == _TCP and len(data) >= 20:
        source, target, sequence, acknowledged = struct.unpack_from("!HHII", data)
        return _layer("tcp", ack=acknowledged, bits=data[13], dst_port=target, seq=sequence, src_port=source)
    if protocol == _UDP and len(data) >= 8:
        source, target, size = struct.unpack_from("!HHH", data)
        return _layer("udp", dst_port=target, src_port=source, total_length=size)
    if protocol in (_ICMP, _ICMPV6) and len(data) >= 4:
        return _layer("icmp" if protocol == _ICMP else "icmpv6", code=data[1], type=data[0])
    return ""


def _layer(name: str, **fields: str | int) -> str:
    return f"{name}({','.join(f'{key}={value!r}' for key, value in fields.items())})"


def _length(data: bytes) -> int:
    return max(20, (data[0] & 0xF) * 4)


def _four(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET, address)


def _six(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, address)
