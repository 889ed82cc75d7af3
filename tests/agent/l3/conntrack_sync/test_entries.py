import contextlib
import ipaddress
import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3.conntrack_sync import entries, expectations, wire
from deuteron.agent.l3.conntrack_sync.outbox import Outbox
from deuteron.agent.system.netlink import attribute, attributes, nested

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
TCP, UDP, ICMP = 6, 17, 1
ORIGINAL, REPLY, STATUS, PROTOCOL_STATE, NAT_SOURCE, TIMEOUT, MARK, ID, NAT_DESTINATION = (
    *(1, 2, 3, 4, 6, 7, 8),
    *(12, 13),
)


@dataclass(frozen=True)
class Ends:
    """One direction of a connection, as a test sees it."""

    source: Address
    destination: Address
    sport: int
    dport: int


def direction(kind: int, protocol: int, ends: Ends) -> bytes:
    first = 1 if ends.source.version == 4 else 3
    addresses = nested(1, attribute(first, ends.source.packed), attribute(first + 1, ends.destination.packed))
    ports = attribute(2, struct.pack("!H", ends.sport)) + attribute(3, struct.pack("!H", ends.dport))
    return nested(kind, addresses, nested(2, attribute(1, bytes([protocol])), ports))


def message(protocol: int, original: Ends, reply: Ends, timeout: int = 30, extra: bytes = b"") -> bytes:
    family = 2 if original.source.version == 4 else 10
    return (
        bytes([family, 0, 0, 0])
        + direction(ORIGINAL, protocol, original)
        + direction(REPLY, protocol, reply)
        + attribute(ID, b"abcd")
        + attribute(STATUS, struct.pack("!I", 0x39E | 0x200))
        + attribute(TIMEOUT, struct.pack("!I", timeout))
        + extra
    )


def read(data: memoryview) -> Ends:
    parts = attributes(data)
    addresses, protocol = attributes(parts[1]), attributes(parts[2])
    source, destination = (ipaddress.ip_address(bytes(addresses[kind])) for kind in sorted(addresses))
    return Ends(source, destination, _port(protocol[2]), _port(protocol[3]))


def _port(value: memoryview) -> int:
    (port,) = struct.unpack("!H", value)
    return int(port)


def translation(data: memoryview | None) -> tuple[Address, int] | None:
    if data is None:
        return None
    found = attributes(data)
    lowest, highest = (bytes(found[kind]) for kind in ((1, 2) if 1 in found else (4, 5)))
    ports = attributes(found[3])
    assert lowest == highest
    assert ports[1] == ports[2]
    return ipaddress.ip_address(lowest), _port(ports[1])


PORTS = st.integers(1, 65535)


@st.composite
def connections(draw: st.DrawFn) -> tuple[Ends, Ends]:
    addresses = st.ip_addresses(v=draw(st.sampled_from([4, 6])))
    original = Ends(draw(addresses), draw(addresses), draw(PORTS), draw(PORTS))
    source = draw(st.one_of(st.just((original.source, original.sport)), st.tuples(addresses, PORTS)))
    destination = draw(
        st.one_of(st.just((original.destination, original.dport)), st.tuples(addresses, PORTS))
    )
    return original, Ends(destination[0], source[0], destination[1], source[1])


@given(connections(), st.sampled_from([TCP, UDP]))
def test_a_copy_has_the_plain_inverse_and_the_translations_apart(
    connection: tuple[Ends, Ends], protocol: int
) -> None:
    original, reply = connection
    data = message(protocol, original, reply)
    copy = attributes(memoryview(entries.creation(data, entries.read(data)))[4:])
    assert read(copy[ORIGINAL]) == original
    inverse = read(copy[REPLY])
    assert inverse == Ends(original.destination, original.source, original.dport, original.sport)
    source = translation(copy.get(NAT_SOURCE)) or (inverse.destination, inverse.dport)
    destination = translation(copy.get(NAT_DESTINATION)) or (inverse.source, inverse.sport)
    assert Ends(destination[0], source[0], destination[1], source[1]) == reply
    assert (NAT_SOURCE in copy) == ((reply.destination, reply.dport) != (original.source, original.sport))
    assert ID not in copy


FOUR = Ends(ipaddress.ip_address("10.0.0.5"), ipaddress.ip_address("203.0.113.1"), 1111, 53)
BACK = Ends(FOUR.destination, ipaddress.ip_address("203.0.113.10"), 53, 2222)


@given(st.integers(0, 500000), st.sampled_from([TCP, UDP, ICMP]))
def test_copies_live_until_the_refresh_after_next_and_not_for_days(timeout: int, protocol: int) -> None:
    data = message(protocol, FOUR, BACK, timeout)
    copy = attributes(memoryview(entries.update(data, entries.read(data)))[4:])
    (seconds,) = struct.unpack("!I", copy[TIMEOUT])
    if protocol == TCP:
        assert seconds == min(timeout, entries.TCP_LIFETIME)
    else:
        assert seconds == max(timeout, entries.LIFETIME)


def test_an_update_says_nothing_of_translations_and_only_the_bits_that_may_be_set() -> None:
    data = message(UDP, FOUR, BACK, extra=attribute(MARK, b"\0\0\0\7"))
    copy = attributes(memoryview(entries.update(data, entries.read(data)))[4:])
    assert set(copy) == {ORIGINAL, STATUS, TIMEOUT, MARK}
    assert bytes(copy[STATUS]) == b"\0\0\0\x0e"
    assert bytes(copy[MARK]) == b"\0\0\0\7"


def test_tcp_is_liberal_in_both_directions() -> None:
    tcp = nested(1, attribute(1, b"\3"), attribute(2, b"\7"), attribute(3, b"\x0a"), attribute(4, b"\3\0"))
    data = message(TCP, FOUR, BACK, extra=nested(PROTOCOL_STATE, tcp))
    copy = attributes(memoryview(entries.update(data, entries.read(data)))[4:])
    state = attributes(attributes(copy[PROTOCOL_STATE])[1])
    assert {kind: bytes(value) for kind, value in state.items()} == {
        1: b"\3",
        2: b"\7",
        3: b"\x0a",
        4: b"\x0b\xff",
        5: b"\x08\xff",
    }


SHIFT = nested(15, attribute(1, bytes(4)), attribute(2, bytes(4)), attribute(3, b"\0\0\0\4"))


def test_a_copy_has_a_helper_and_what_that_has_shifted() -> None:
    helper = nested(entries.HELPER, attribute(1, b"ftp\0"), attribute(2, b"its own affair"))
    data = message(TCP, FOUR, BACK, extra=helper + SHIFT)
    entry = entries.read(data)
    copy = attributes(memoryview(entries.creation(data, entry))[4:])
    changed = attributes(memoryview(entries.update(data, entry))[4:])
    for found in (copy, changed):
        assert bytes(found[entries.HELPER]) == attribute(1, b"ftp\0")
        assert nested(15, bytes(found[15])) == SHIFT
    plain = attributes(memoryview(entries.creation(data, entries.without_helper(entry)))[4:])
    assert entries.HELPER not in plain


@pytest.mark.parametrize("name", [b"", b"\0", b"x" * 16])
def test_a_helper_needs_a_name(name: bytes) -> None:
    data = message(TCP, FOUR, BACK, extra=nested(entries.HELPER, attribute(1, name)))
    with pytest.raises(entries.Unusable, match="helper"):
        entries.creation(data, entries.read(data))


@pytest.mark.parametrize(
    ("protocol", "state", "left", "prolonged"),
    [
        (TCP, b"\3", 3000, True),
        (TCP, b"\3", 5000, False),
        (TCP, b"\7", 100, False),
        (UDP, b"", 100, False),
    ],
)
def test_only_established_tcp_is_prolonged(protocol: int, state: bytes, left: int, prolonged: bool) -> None:
    extra = nested(PROTOCOL_STATE, nested(1, attribute(1, state))) if state else b""
    request = entries.prolonging(message(protocol, FOUR, BACK, left, extra), 432000)
    if prolonged:
        assert request
        found = attributes(memoryview(request)[4:])
        assert set(found) == {ORIGINAL, TIMEOUT}
        assert bytes(found[TIMEOUT]) == struct.pack("!I", 432000)
    else:
        assert request is None


@given(st.binary(max_size=120))
def test_nonsense_is_unusable(data: bytes) -> None:
    for build in (
        entries.key,
        entries.gone,
        lambda data: entries.update(data, entries.read(data)),
        lambda data: entries.creation(data, entries.read(data)),
    ):
        with contextlib.suppress(entries.Unusable):
            assert build(data)


@pytest.mark.parametrize("lacking", [ORIGINAL, REPLY, TIMEOUT])
def test_what_lacks_something_is_not_created(lacking: int) -> None:
    data = message(UDP, FOUR, BACK)
    parts = [attribute(k, bytes(v)) for k, v in attributes(memoryview(data)[4:]).items() if k != lacking]
    data = data[:4] + b"".join(parts)
    with pytest.raises(entries.Unusable):
        entries.creation(data, entries.read(data))


FLOWS = [message(UDP, Ends(FOUR.source, FOUR.destination, port, 53), BACK) for port in range(4)]
EVENTS = st.lists(st.tuples(st.sampled_from([wire.NEW, wire.STATE, wire.GONE]), st.sampled_from(FLOWS)))


@given(EVENTS)
def test_an_outbox_leads_to_the_same_end_as_every_change_alone(events: list[wire.Change]) -> None:
    outbox = Outbox()
    for change, data in events:
        outbox.add(change, data)
    told = list(outbox.take())
    assert _follow(told) == _follow(events)
    assert len(told) <= 2 * len(FLOWS)
    assert [change for change, _ in told] == sorted((c for c, _ in told), key=lambda c: c != wire.GONE)
    assert not outbox


def _follow(changes: list[wire.Change]) -> set[bytes]:
    alive: set[bytes] = set()
    for change, data in changes:
        (alive.discard if change == wire.GONE else alive.add)(entries.key(data))
    return alive


def test_an_outbox_remembers_a_beginning_and_the_state_of_tcp() -> None:
    state = nested(PROTOCOL_STATE, nested(1, attribute(1, b"\3")))
    outbox = Outbox()
    outbox.add(wire.NEW, message(TCP, FOUR, BACK, 100, state))
    outbox.add(wire.STATE, message(TCP, FOUR, BACK, 200))
    ((change, data),) = outbox.take()
    entry = entries.read(data)
    assert change == wire.NEW
    assert bytes(entry[TIMEOUT]) == struct.pack("!I", 200)
    assert bytes(attributes(attributes(entry[PROTOCOL_STATE])[1])[1]) == b"\3"


def test_what_is_expected_is_told_behind_the_connection() -> None:
    outbox = Outbox()
    outbox.add(wire.EXPECTED, b"expected")
    assert outbox
    outbox.add(wire.STATE, FLOWS[0])
    assert [change for change, _ in outbox.take()] == [wire.STATE, wire.EXPECTED]
    assert not outbox


def test_an_expectation_is_of_its_connection_and_has_no_helper() -> None:
    ends = {kind: direction(kind, TCP, FOUR) for kind in (1, 2, 3)}
    rest = attribute(4, b"\0\0\1\x2c") + attribute(6, b"ftp\0") + attribute(8, b"\0\0\0\0")
    data = b"\2\0\0\0" + b"".join(ends.values()) + rest
    asked = attributes(memoryview(expectations.question(data))[4:])
    assert {kind: read(value) for kind, value in asked.items()} == {ORIGINAL: FOUR}
    assert set(attributes(memoryview(expectations.creation(data))[4:])) == {1, 2, 3, 8}
    for lacking in ends:
        less = b"\2\0\0\0" + b"".join(one for kind, one in ends.items() if kind != lacking)
        with pytest.raises(entries.Unusable, match="expected"):
            expectations.creation(less)


def test_a_connection_that_ended_and_began_again_is_told_as_both() -> None:
    outbox = Outbox()
    outbox.add(wire.GONE, FLOWS[0])
    outbox.add(wire.NEW, FLOWS[0])
    assert [change for change, _ in outbox.take()] == [wire.GONE, wire.NEW]
