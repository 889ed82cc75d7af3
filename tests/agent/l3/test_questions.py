"""What asks a next hop, what answers, and what the answers come to."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3 import questions
from deuteron.agent.l3.uplinks import ANSWERS, MISSES, Health

MAC, THEIRS = bytes.fromhex("02d000000211"), bytes.fromhex("020000000099")


def test_an_arp_probe_teaches_nobody() -> None:
    frame = questions.question("203.0.113.1", MAC, None)
    assert frame[:14] == b"\xff" * 6 + MAC + b"\x08\x06"
    assert frame[22:28] == MAC
    assert frame[28:32] == bytes(4), "the sender has no address"
    assert frame[38:42] == ipaddress.IPv4Address("203.0.113.1").packed
    assert len(frame) == 60
    assert questions.question("203.0.113.1", MAC, THEIRS)[:6] == THEIRS


@given(st.ip_addresses(v=6), st.none() | st.just(THEIRS))
def test_a_solicitation_has_a_sender_and_a_checksum(
    address: ipaddress.IPv6Address, theirs: bytes | None
) -> None:
    frame = questions.question(str(address), MAC, theirs)
    assert frame[:6] == (theirs or b"\x33\x33\xff" + address.packed[13:])
    header, body = frame[14:54], frame[54:]
    assert ipaddress.IPv6Address(header[8:24]).is_link_local
    assert header[7] == 255
    assert body[8:24] == address.packed
    pseudo = header[8:40] + struct.pack("!II", len(body), 58)
    total = sum(struct.unpack(f"!{(len(pseudo) + len(body)) // 2}H", pseudo + body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            MAC + THEIRS + bytes.fromhex("0806000108000604000202000000009" + "9cb007101"),
            ("203.0.113.1", THEIRS),
        ),
        (MAC + THEIRS + bytes.fromhex("0806000108000604000102000000009" + "9cb007101"), None),
        (b"", None),
    ],
)
def test_who_answers(frame: bytes, expected: tuple[str, bytes] | None) -> None:
    assert questions.answer(frame + bytes(20) if frame else frame) == expected


def test_an_advertisement_answers() -> None:
    address = ipaddress.IPv6Address("2001:db8::1")
    frame = MAC + THEIRS + b"\x86\xdd" + bytes(40) + bytes([136, 0]) + bytes(6) + address.packed
    assert questions.answer(frame) == ("2001:db8::1", THEIRS)


@given(st.lists(st.booleans()))
def test_a_state_needs_several_results_in_a_row(results: list[bool]) -> None:
    health = Health()
    for number, result in enumerate(results):
        before = health.ok
        changed = health.note(result, float(number))
        row = results[: number + 1][-(ANSWERS if result else MISSES) :]
        assert changed == (health.ok is not before)
        if changed:
            assert set(row) == {result}
            assert len(row) == (ANSWERS if result else MISSES)
            assert health.since == number + 1 - len(row)
        elif health.ok is not result:
            assert len(row) < (ANSWERS if result else MISSES) or set(row) != {result}
