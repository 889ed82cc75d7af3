"""Read Ethernet frames: the datagram in one, and the tunnel around it. Pure; standard library only."""

import ipaddress
import struct

import msgspec

VXLAN_PORT = 4789
_VLAN, _IPV4, _IPV6, _UDP = 0x8100, 0x0800, 0x86DD, 17


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """A datagram, as one device saw it."""

    source_mac: str
    destination_mac: str
    source: str
    """Its address; the port is beside it."""
    source_port: int
    destination: str
    destination_port: int

    @property
    def addresses(self) -> str:
        """Both ends in words."""
        return f"{_end(self.source, self.source_port)} > {_end(self.destination, self.destination_port)}"


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """The VXLAN around a frame."""

    source: str
    destination: str
    vni: int


def parse(frame: bytes) -> tuple[Packet, Tunnel | None] | None:
    """Return the datagram in a frame, and the tunnel around it; None if there is no datagram."""
    if (found := _datagram(frame)) is None:
        return None
    outer, payload = found
    if outer.destination_port == VXLAN_PORT and len(payload) > 8:
        if (inner := _datagram(payload[8:])) is None:
            return None
        vni = int.from_bytes(payload[4:7], "big")
        return inner[0], Tunnel(source=outer.source, destination=outer.destination, vni=vni)
    return outer, None


def _datagram(frame: bytes) -> tuple[Packet, bytes] | None:
    kind, start = _ethertype(frame)
    if kind == _IPV4 and len(frame) >= start + 20:
        protocol, first, length = frame[start + 9], start + 12, 4
        start += (frame[start] & 0x0F) * 4
    elif kind == _IPV6 and len(frame) >= start + 40:
        protocol, first, length = frame[start + 6], start + 8, 16
        start += 40
    else:
        return None
    if protocol != _UDP or len(frame) < start + 8:
        return None
    source_port, destination_port = struct.unpack_from("!HH", frame, start)
    packet = Packet(
        source_mac=frame[6:12].hex(":"),
        destination_mac=frame[:6].hex(":"),
        source=str(ipaddress.ip_address(frame[first : first + length])),
        source_port=source_port,
        destination=str(ipaddress.ip_address(frame[first + length : first + 2 * length])),
        destination_port=destination_port,
    )
    return packet, frame[start + 8 :]


def _ethertype(frame: bytes) -> tuple[int, int]:
    """Return what is in a frame and where that begins."""
    start = 12
    while frame[start : start + 2] == _VLAN.to_bytes(2, "big"):
        start += 4
    return int.from_bytes(frame[start : start + 2], "big"), start + 2


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
