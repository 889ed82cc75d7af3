"""Entries of the kernel's table of connections: from its messages on one host to requests on another.

A message here is what follows the netlink header: four bytes of which the first is the address family, then
attributes. Nothing of what another host sent goes to the kernel but the attributes that are named here.
"""

import socket
import struct
from collections.abc import Mapping
from typing import Final

from deuteron.agent.system.netlink import GENERIC, attribute, attributes, nested

_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_STATE, _NAT_SOURCE, _TIMEOUT, _MARK = 1, 2, 3, 4, 6, 7, 8
_NAT_DESTINATION: Final = 13
HELPER: Final = 5
"""The attribute that says what reads along (FTP...)."""
_SHIFTS: Final = (15, 16)
"""By how much sequence numbers were moved in each direction, when a helper made what was said longer."""
_HELPER_NAME = 1
_LONGEST_NAME = 16
_ADDRESSES, _PROTOCOL = 1, 2
_V4_SOURCE, _V4_DESTINATION, _V6_SOURCE, _V6_DESTINATION = 1, 2, 3, 4
_PROTOCOL_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_ICMP_ID, _ICMP_TYPE, _ICMP6_ID, _ICMP6_TYPE = 4, 5, 7, 8
_NAT_PROTOCOL = 3
_TCP = 1
_TCP_STATE, _TCP_SCALE_ORIGINAL, _TCP_SCALE_REPLY, _TCP_FLAGS_ORIGINAL, _TCP_FLAGS_REPLY = 1, 2, 3, 4, 5
_ESTABLISHED = b"\3"
_LIBERAL = 0x08

_LENGTH_AND_TYPE = struct.Struct("=HH")
_SECONDS = struct.Struct("!I")
_BITS_COPIED = 0x0E
"""Of the status: replies were seen, assured, confirmed. The other bits are the kernel's own to set."""
_NUMBER_TCP = b"\x06"
_ICMP_ANSWERS = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}
_ICMP6_ANSWERS = {128: 129, 129: 128, 139: 140, 140: 139}

LIFETIME = 180
"""Seconds that a copy lives at least, unless it is of TCP. The kernel prolongs the life of a connection that
is used without telling anyone; a copy must live until the next refresh even when one refresh is lost."""
TCP_LIFETIME = 3600
"""Seconds that a copy of TCP lives at most without a refresh: one whose end was not told must not stay for
days. When a router opens, the copies that it then lives on get their full time: see `prolonging`."""


class Unusable(ValueError):
    """An entry lacks what is needed to copy it."""


Attributes = Mapping[int, memoryview]


def key(message: bytes) -> bytes:
    """Return what identifies the connection: the attribute with its original direction, which comes first.

    Raises Unusable.
    """
    if len(message) < 8:
        raise Unusable("an entry without a connection")
    length, kind = _LENGTH_AND_TYPE.unpack_from(message, 4)
    if kind & 0x3FFF != _ORIGINAL or length > len(message) - 4:
        raise Unusable("an entry that does not begin with its original direction")
    return message[4 : 4 + length]


def merge(old: bytes, new: bytes) -> bytes:
    """Return the newer of two messages about a connection, with what only the older one says.

    The kernel tells the state of TCP only when it changed.
    """
    if len(new) >= len(old):
        return new
    both = {**attributes(memoryview(old)[4:]), **attributes(memoryview(new)[4:])}
    return new[:4] + b"".join(attribute(kind, bytes(value)) for kind, value in both.items())


def gone(message: bytes) -> bytes:
    """Return the least that tells that a connection has ended. Raises Unusable."""
    return message[:4] + key(message)


def read(message: bytes) -> Attributes:
    """Return the attributes of a message; raises Unusable."""
    found = attributes(memoryview(message)[4:])
    if _ORIGINAL not in found:
        raise Unusable("an entry without a connection")
    return found


def update(message: bytes, entry: Attributes) -> bytes:
    """Return the request that makes a copy that is there already as the entry says. Raises Unusable."""
    return GENERIC.pack(message[0], 0, 0) + _raw(entry, _ORIGINAL) + _helper(entry) + _state(entry)


def creation(message: bytes, entry: Attributes) -> bytes:
    """Return the request that makes the copy. Raises Unusable.

    Its reply direction is the plain inverse of the original one, and the translations are told apart: an
    entry with the translated reply direction looks right, but the kernel does not translate its packets.
    """
    original, reply = _direction(entry, _ORIGINAL), _direction(entry, _REPLY)
    if _TIMEOUT not in entry:
        raise Unusable("an entry without its timeout")
    inverse = nested(_REPLY, *_inverse(original))
    nat = _translations(original, reply)
    parts = [_raw(entry, _ORIGINAL), inverse, _helper(entry), _state(entry), nat]
    return GENERIC.pack(message[0], 0, 0) + b"".join(parts)


def without_helper(entry: Attributes) -> Attributes:
    """Return the entry as a host has to have it whose kernel lacks the helper."""
    return {kind: value for kind, value in entry.items() if kind != HELPER}


def deletion(message: bytes, entry: Attributes) -> bytes:
    """Return the request that removes the copy of this connection."""
    return GENERIC.pack(message[0], 0, 0) + _raw(entry, _ORIGINAL)


def reply_deletion(message: bytes, entry: Attributes) -> bytes:
    """Return the request that removes whichever connection has the same reply direction. Raises Unusable."""
    if _REPLY not in entry:
        raise Unusable("an entry without its reply direction")
    return GENERIC.pack(message[0], 0, 0) + _raw(entry, _REPLY)


def prolonging(message: bytes, seconds: int) -> bytes | None:
    """Return the request that gives a copy of established TCP its full time, None for other entries."""
    entry = read(message)
    if _TIMEOUT not in entry or _PROTOCOL_STATE not in entry:
        return None
    (left,) = _SECONDS.unpack(_four(entry[_TIMEOUT]))
    tcp = attributes(entry[_PROTOCOL_STATE]).get(_TCP)
    state = bytes(attributes(tcp).get(_TCP_STATE, b"")) if tcp is not None else b""
    if state != _ESTABLISHED or not left <= TCP_LIFETIME < seconds:
        return None
    timeout = attribute(_TIMEOUT, _SECONDS.pack(seconds))
    return GENERIC.pack(message[0], 0, 0) + _raw(entry, _ORIGINAL) + timeout


def _raw(entry: Attributes, kind: int) -> bytes:
    return nested(kind, bytes(entry[kind]))


def _state(entry: Attributes) -> bytes:
    parts = []
    if _STATUS in entry:
        (status,) = _SECONDS.unpack(_four(entry[_STATUS]))
        parts.append(attribute(_STATUS, _SECONDS.pack(status & _BITS_COPIED)))
    if _PROTOCOL_STATE in entry:
        parts.append(_protocol_state(entry[_PROTOCOL_STATE]))
    if _TIMEOUT in entry:
        (seconds,) = _SECONDS.unpack(_four(entry[_TIMEOUT]))
        if _number(entry[_ORIGINAL]) == _NUMBER_TCP:
            seconds = min(seconds, TCP_LIFETIME)
        else:
            seconds = max(seconds, LIFETIME)
        parts.append(attribute(_TIMEOUT, _SECONDS.pack(seconds)))
    if _MARK in entry:
        parts.append(attribute(_MARK, _four(entry[_MARK])))
    parts += [_raw(entry, kind) for kind in _SHIFTS if kind in entry]
    return b"".join(parts)


def _helper(entry: Attributes) -> bytes:
    """Return the name of what reads along. A copy can have it from its beginning only.

    Whenever it is told, the kernel has it begin anew with whatever comes next.
    """
    if HELPER not in entry:
        return b""
    name = bytes(attributes(entry[HELPER]).get(_HELPER_NAME, b"")).rstrip(b"\0")
    if not 0 < len(name) < _LONGEST_NAME:
        raise Unusable("a helper without a usable name")
    return nested(HELPER, attribute(_HELPER_NAME, name + b"\0"))


def _four(value: memoryview) -> bytes:
    if len(value) != 4:
        raise Unusable("a number that has not four bytes")
    return bytes(value)


def _number(direction: memoryview) -> bytes:
    protocol = attributes(direction).get(_PROTOCOL)
    return bytes(attributes(protocol).get(_PROTOCOL_NUMBER, b"")) if protocol is not None else b""


def _protocol_state(value: memoryview) -> bytes:
    """Return the state of the protocol; a copy of TCP must not insist on windows that it has not seen."""
    tcp = attributes(value).get(_TCP)
    if tcp is None:
        return nested(_PROTOCOL_STATE, bytes(value))
    found = attributes(tcp)
    parts = [
        attribute(kind, bytes(found[kind]))
        for kind in (_TCP_STATE, _TCP_SCALE_ORIGINAL, _TCP_SCALE_REPLY)
        if kind in found
    ]
    for kind in (_TCP_FLAGS_ORIGINAL, _TCP_FLAGS_REPLY):
        flags = bytes(found.get(kind, b"\0"))[:1]
        parts.append(attribute(kind, bytes([flags[0] | _LIBERAL, 0xFF])))
    return nested(_PROTOCOL_STATE, nested(_TCP, *parts))


class _Direction:
    """One direction of a connection."""

    __slots__ = ("destination", "family", "protocol", "source")

    def __init__(self, addresses: Attributes, protocol: Attributes) -> None:
        """Raises Unusable when an address is missing."""
        self.family = socket.AF_INET if _V4_SOURCE in addresses else socket.AF_INET6
        kinds = (
            (_V4_SOURCE, _V4_DESTINATION) if self.family == socket.AF_INET else (_V6_SOURCE, _V6_DESTINATION)
        )
        if kinds[0] not in addresses or kinds[1] not in addresses:
            raise Unusable("an entry without addresses")
        self.source, self.destination = bytes(addresses[kinds[0]]), bytes(addresses[kinds[1]])
        self.protocol = protocol

    def port(self, *kinds: int) -> bytes | None:
        """Return the first of these parts of the protocol that it has."""
        return next((bytes(self.protocol[kind]) for kind in kinds if kind in self.protocol), None)


def _direction(entry: Attributes, kind: int) -> _Direction:
    parts = attributes(entry[kind]) if kind in entry else {}
    if _ADDRESSES not in parts or _PROTOCOL not in parts:
        raise Unusable("an entry without addresses or protocol")
    return _Direction(attributes(parts[_ADDRESSES]), attributes(parts[_PROTOCOL]))


def _inverse(original: _Direction) -> tuple[bytes, bytes]:
    kinds = (
        (_V4_SOURCE, _V4_DESTINATION) if original.family == socket.AF_INET else (_V6_SOURCE, _V6_DESTINATION)
    )
    addresses = nested(
        _ADDRESSES, attribute(kinds[0], original.destination), attribute(kinds[1], original.source)
    )
    values = {kind: bytes(value) for kind, value in original.protocol.items()}
    if _SOURCE_PORT in values and _DESTINATION_PORT in values:
        ports = values[_DESTINATION_PORT], values[_SOURCE_PORT]
        values[_SOURCE_PORT], values[_DESTINATION_PORT] = ports
    for kind, answers in ((_ICMP_TYPE, _ICMP_ANSWERS), (_ICMP6_TYPE, _ICMP6_ANSWERS)):
        if values.get(kind):
            asked = values[kind][0]
            values[kind] = bytes([answers.get(asked, asked)])
    return addresses, nested(_PROTOCOL, *(attribute(kind, value) for kind, value in values.items()))


def _translations(original: _Direction, reply: _Direction) -> bytes:
    """Return how the connection is translated: where its answers are not the plain inverse."""
    parts = []
    source = reply.destination, reply.port(_DESTINATION_PORT, _ICMP_ID, _ICMP6_ID)
    if source != (original.source, original.port(_SOURCE_PORT, _ICMP_ID, _ICMP6_ID)):
        parts.append(_translation(_NAT_SOURCE, *source))
    destination = reply.source, reply.port(_SOURCE_PORT)
    if destination != (original.destination, original.port(_DESTINATION_PORT)):
        parts.append(_translation(_NAT_DESTINATION, *destination))
    return b"".join(parts)


def _translation(kind: int, address: bytes, port: bytes | None) -> bytes:
    lowest, highest = (1, 2) if len(address) == 4 else (4, 5)
    parts = [attribute(lowest, address), attribute(highest, address)]
    if port is not None:
        parts.append(nested(_NAT_PROTOCOL, attribute(1, port), attribute(2, port)))
    return nested(kind, *parts)
