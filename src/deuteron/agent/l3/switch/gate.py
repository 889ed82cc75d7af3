"""The gate: the nftables table in which the device groups of standby routers are cut off from their bridges.

A router's number is the device group of all its ports on the host's side. What is in the set `standby`
neither receives nor sends, and no bridge learns from it; what is in `draining` sends with another source
address, so that no bridge learns the router's own address here any more.
"""

import errno
import os
import struct
import subprocess
from collections.abc import Iterable, Iterator

from deuteron.agent.system import netlink

TABLE = "deuteron_gate"
STANDBY, DRAINING = "standby", "draining"
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFTABLES = 10
_NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT = (_NFTABLES << 8 | number for number in (12, 13, 14))
_FAMILY_BRIDGE = 7
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_ELEMENT_LIST, _KEY, _VALUE = 1, 1, 1
_PER_MESSAGE = 2000
_SIZE = 16384
"""Routers a host can carry. Sets without a size grow, and what is read while they grow lacks elements."""
_GENERIC = netlink.GENERIC.pack(_FAMILY_BRIDGE, 0, 0)


class GateError(Exception):
    """The kernel refused a change of the gate, or nft its making."""


def render(standby: Iterable[int], draining: Iterable[int], mac: str) -> str:
    """Return the table as nft reads it; `mac` is what draining routers send with."""
    return f"""\
table bridge {TABLE} {{
  set {STANDBY} {{
    type devgroup
    size {_SIZE}
{_elements(standby)}  }}
  set {DRAINING} {{
    type devgroup
    size {_SIZE}
{_elements(draining)}  }}
  chain received {{
    type filter hook prerouting priority -310; policy accept;
    iifgroup @{STANDBY} drop
    iifgroup @{DRAINING} ether saddr set {mac}
  }}
  chain forwarded {{
    type filter hook forward priority -310; policy accept;
    oifgroup @{STANDBY} drop
  }}
  chain sent {{
    type filter hook output priority -310; policy accept;
    oifgroup @{STANDBY} drop
  }}
}}
"""


def _elements(numbers: Iterable[int]) -> str:
    text = ", ".join(str(number) for number in sorted(numbers))
    return f"    elements = {{ {text} }}\n" if text else ""


class Gate:
    """The gate of this host. It is adopted as it is, and made when it is not there."""

    def __init__(self) -> None:
        """Read the gate from the kernel; raises GateError when it cannot be made."""
        self._socket = netlink.open_socket()
        self._socket.settimeout(5)
        self._sequence = 0
        self.standby: frozenset[int] = frozenset()
        self.draining: frozenset[int] = frozenset()
        self.read()

    def read(self) -> None:
        """Read the sets anew; make the table, with what was known, when it is not there."""
        try:
            self.standby, self.draining = frozenset(self._dump(STANDBY)), frozenset(self._dump(DRAINING))
        except FileNotFoundError:
            self._make()

    def apply(self, standby: frozenset[int], draining: frozenset[int]) -> None:
        """Make the sets so; raises GateError.

        What is added comes first, in a transaction of its own: a frame that is half-way through the rules
        while a router closes and ceases to drain would else leave with the address of its router.
        """
        self._change(self.standby | standby, self.draining | draining)
        self._change(standby, draining)

    def _change(self, standby: frozenset[int], draining: frozenset[int]) -> None:
        for attempt in (1, 2):
            changes = [
                *self._changes(STANDBY, self.standby, standby),
                *self._changes(DRAINING, self.draining, draining),
            ]
            if not changes:
                return
            code = self._transaction(changes)
            if not code:
                self.standby, self.draining = standby, draining
                return
            if attempt == 2:
                raise GateError(f"table bridge {TABLE}: {os.strerror(code)}")
            self.read()  # someone else changed it

    def _make(self) -> None:
        text = render(self.standby, self.draining, "02:" + os.urandom(5).hex(":"))
        # What is there under our name lacks a set: first made for sure, then deleted, in one transaction.
        text = f"table bridge {TABLE}\ndelete table bridge {TABLE}\n{text}"
        try:
            done = subprocess.run(["nft", "-f", "-"], input=text.encode(), capture_output=True, check=False)
        except OSError as error:
            raise GateError(f"nft: {error.strerror}") from None
        if done.returncode:
            raise GateError(f"nft: {done.stderr.decode(errors='replace').strip()}")

    def _changes(self, name: str, old: frozenset[int], new: frozenset[int]) -> Iterator[tuple[int, bytes]]:
        for action, numbers in ((_NEW_ELEMENT, new - old), (_DELETE_ELEMENT, old - new)):
            ordered = sorted(numbers)
            for start in range(0, len(ordered), _PER_MESSAGE):
                yield action, _of_set(name, ordered[start : start + _PER_MESSAGE])

    def _transaction(self, changes: list[tuple[int, bytes]]) -> int:
        """Send the changes as one; return an errno, 0 for success."""
        begin = netlink.GENERIC.pack(0, 0, _NFTABLES)
        self._sequence += 1
        parts = [netlink.message(_BATCH_BEGIN, netlink.F_REQUEST, self._sequence, begin)]
        flags = netlink.F_REQUEST | netlink.F_ACK
        waiting = set()
        for action, elements in changes:
            self._sequence += 1
            waiting.add(self._sequence)
            extra = netlink.F_CREATE if action == _NEW_ELEMENT else 0
            parts.append(netlink.message(action, flags | extra, self._sequence, elements))
        self._sequence += 1
        parts.append(netlink.message(_BATCH_END, netlink.F_REQUEST, self._sequence, begin))
        self._socket.send(b"".join(parts))
        failed = 0
        while waiting:
            for kind, sequence, _, payload in netlink.messages(self._socket.recv(1 << 16)):
                if kind == netlink.TYPE_ERROR and sequence in waiting:
                    failed = netlink.error_code(payload) or failed
                    waiting.discard(sequence)
        return failed

    def _dump(self, name: str) -> set[int]:
        self._sequence += 1
        request = netlink.F_REQUEST | netlink.F_DUMP
        self._socket.send(netlink.message(_GET_ELEMENT, request, self._sequence, _of_set(name, [])))
        found: set[int] = set()
        while True:
            for kind, sequence, _, payload in netlink.messages(self._socket.recv(1 << 17)):
                if sequence != self._sequence:
                    continue
                if kind in (netlink.TYPE_DONE, netlink.TYPE_ERROR):
                    code = netlink.error_code(payload) if len(payload) >= 4 else 0
                    if code == errno.ENOENT:
                        raise FileNotFoundError(code, os.strerror(code), name)
                    if code:
                        raise GateError(f"set {name} of table bridge {TABLE}: {os.strerror(code)}")
                    return found
                found.update(_numbers(payload))


def _of_set(name: str, numbers: list[int]) -> bytes:
    elements = b"".join(
        netlink.nested(
            _ELEMENT_LIST,
            netlink.nested(_KEY, netlink.attribute(_VALUE, struct.pack("=I", number))),
        )
        for number in numbers
    )
    named = netlink.attribute(_TABLE, TABLE.encode() + b"\0") + netlink.attribute(_SET, name.encode() + b"\0")
    return _GENERIC + named + (netlink.nested(_ELEMENTS, elements) if elements else b"")


def _numbers(payload: memoryview) -> Iterator[int]:
    elements = netlink.attributes(payload[4:]).get(_ELEMENTS)
    if elements is None:
        return
    for _, element in netlink.attribute_list(elements):
        key = netlink.attributes(element)[_KEY]
        yield struct.unpack("=I", netlink.attributes(key)[_VALUE])[0]
