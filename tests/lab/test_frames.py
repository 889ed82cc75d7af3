import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from deuteron.lab.frames import VXLAN_PORT, Packet, Tunnel, parse

MACS = "02:00:00:00:00:01", "02:00:00:00:00:02"
PORTS = st.integers(min_value=1, max_value=65535).filter(lambda port: port != VXLAN_PORT)


def datagram(
    source: str, destination: str, ports: tuple[int, int], payload: bytes, tag: bytes = b""
) -> bytes:
    raw = [ipaddress.ip_address(text).packed for text in (source, destination)]
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    ethernet = bytes.fromhex("020000000002020000000001") + tag
    if len(raw[0]) == 4:
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
        return ethernet + b"\x08\x00" + ip + raw[0] + raw[1] + udp
    ip = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64)
    return ethernet + b"\x86\xdd" + ip + raw[0] + raw[1] + udp


def packet(source: str, destination: str, ports: tuple[int, int]) -> Packet:
    return Packet(
        source_mac=MACS[0],
        destination_mac=MACS[1],
        source=source,
        source_port=ports[0],
        destination=destination,
        destination_port=ports[1],
    )


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), PORTS, PORTS, st.binary(max_size=40), st.booleans())
def test_a_datagram_is_read(
    source: object, destination: object, first: int, second: int, payload: bytes, tagged: bool
) -> None:
    frame = datagram(
        str(source), str(destination), (first, second), payload, b"\x81\x00\x00\x05" if tagged else b""
    )
    assert parse(frame) == (packet(str(source), str(destination), (first, second)), None)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), PORTS, PORTS)
def test_in_a_tunnel_what_is_inside_counts(
    source: object, destination: object, first: int, second: int
) -> None:
    inner = datagram(str(source), str(destination), (first, second), b"hello")
    vxlan = b"\x08\0\0\0" + (77).to_bytes(3, "big") + b"\0"
    outer = datagram("10.20.0.15", "10.20.0.12", (40000, VXLAN_PORT), vxlan + inner)
    tunnel = Tunnel(source="10.20.0.15", destination="10.20.0.12", vni=77)
    assert parse(outer) == (packet(str(source), str(destination), (first, second)), tunnel)


@given(st.binary(max_size=80))
def test_anything_may_come(frame: bytes) -> None:
    parse(frame)


def test_a_cut_off_frame_holds_nothing() -> None:
    whole = datagram("10.1.0.1", "10.1.0.2", (1, 2), b"")
    assert parse(whole) is not None
    assert all(parse(whole[:length]) is None for length in range(len(whole)))
