import socket
import struct

import pytest

from deuteron.lab import asker

NUMBER, ADDRESS = 0x11223344, "10.1.0.9"


def message(kind: int, *, number: int = NUMBER, address: str = ADDRESS, op: int = 2) -> bytes:
    own = socket.inet_aton(address)
    head = struct.pack(
        "!BBBBIHH4s4s4s4s16s64s128s4s", op, 1, 6, 0, number, 0, 0, own, own, own, own, b"", b"", b"", b"cook"
    )
    return head + bytes((0, 1, 4, 255, 255, 255, 0, 53, 1, kind, 255))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (message(5), 5),
        (message(6), 6),
        (message(5, address="10.1.0.10"), 6),
        (message(5, number=1), None),
        (message(5, op=1), None),
        (b"short", None),
        (message(5)[:240], None),
    ],
)
def test_a_servers_answer_is_about_our_lease_or_none(data: bytes, kind: int | None) -> None:
    assert asker._answer(data, NUMBER, ADDRESS) == kind
