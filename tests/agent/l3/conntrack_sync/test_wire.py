import contextlib
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3.conntrack_sync import wire

NUMBERS = st.integers(0, 2**32 - 1)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([wire.NEW, wire.STATE, wire.GONE, wire.EXPECTED]),
        st.binary(max_size=1500).filter(wire.fits),
    )
)


@given(
    st.sampled_from([wire.ENTRIES, wire.ASK, wire.DONE]), NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=99)
)
def test_a_datagram_is_understood_as_it_was_meant(
    kind: int, number: int, sender: int, sequence: int, body: bytes
) -> None:
    datagram = wire.parse(wire.header(kind, number, sender, sequence) + body)
    assert datagram == wire.Datagram(kind, number, sender, sequence, memoryview(body))


@given(CHANGES)
def test_changes_arrive_in_their_order_and_fit(changes: list[wire.Change]) -> None:
    bodies = list(wire.bodies(changes))
    header = wire.header(wire.ENTRIES, 1, 2, 3)
    assert all(len(header) + len(body) <= wire.LIMIT for body in bodies)
    assert list(chain.from_iterable(wire.entries(memoryview(body)) for body in bodies)) == changes


@given(st.binary(max_size=200))
def test_nonsense_is_refused_not_misread(data: bytes) -> None:
    for read in (wire.parse, lambda data: wire.entries(memoryview(data))):
        with contextlib.suppress(ValueError):
            read(data)


@pytest.mark.parametrize("kind", [0, 4])
def test_unknown_kinds_are_refused(kind: int) -> None:
    with pytest.raises(ValueError, match="version"):
        wire.parse(wire.header(kind, 1, 2, 3))


def test_another_byte_order_is_refused() -> None:
    header = wire.header(wire.ENTRIES, 1, 2, 3)
    with pytest.raises(ValueError, match="byte order"):
        wire.parse(header[1::-1] + header[2:])
