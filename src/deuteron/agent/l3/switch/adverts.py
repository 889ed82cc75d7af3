"""Listening to an election's adverts only as much as is needed to say why it went as it did.

A filter in the kernel passes two kinds of adverts: those of another sender than before, and those of a sender
that gives up (priority 0). The stream of adverts itself, dozens a second, wakes nobody.

One that was active and closes because another one is active too says so to that one alone, in the same way:
the others, who wait for an active one to give up, must not hear it.
"""

import socket
import struct
import time
from typing import NamedTuple

from deuteron.agent.l3.switch import filters
from deuteron.agent.l3.switch.records import Election, mark
from deuteron.agent.system import netns

_VRRP = 112
_VERSION_AND_KIND, _TIME_TO_LIVE = 0x31, 255
_GAVE_UP_WITHIN = 1.0


class Heard(NamedTuple):
    """An advert: the host that sent it, and its priority there, which is 0 when it gives up."""

    host: str
    priority: int


def giving_up(vrid: int, source: str, target: str) -> bytes:
    """Return an advert of priority 0 from one address to another, without their header."""
    rest = socket.inet_aton(mark(vrid))
    head = struct.pack("!BBBBH", _VERSION_AND_KIND, vrid, 0, 1, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    checked = ends + struct.pack("!HH", _VRRP, len(head) + 2 + len(rest)) + head + rest
    total = sum(struct.unpack(f"!{len(checked) // 2}H", checked))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head + struct.pack("!H", ~total & 0xFFFF) + rest


class Adverts:
    """The adverts of the other candidates of an election."""

    def __init__(self, election: Election) -> None:
        """Listen in the namespace of the election; raises OSError."""
        self._election = election
        with netns.entered(election.netns):
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_INET, kind, _VRRP)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, _TIME_TO_LIVE)
        self._known = ""
        self._gave_up = float("-inf")
        self._filter()

    def fileno(self) -> int:
        """The socket to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def read(self) -> Heard | None:
        """Take note of what passed the filter; return the last of it that was news, or None.

        News is that another host advertises than before, or that one gives up.
        """
        heard = None
        while True:
            try:
                packet, (source, _) = self._socket.recvfrom(512)
            except OSError:
                return heard
            header = (packet[0] & 15) * 4
            if len(packet) < header + 3 or source not in self._election.peers:
                continue
            priority = packet[header + 2]
            if priority == 0:
                self._gave_up = time.monotonic()
            if source != self._known or priority == 0:
                heard = Heard(self._election.peers[source], priority)
            if source != self._known:
                self._known = source
                self._filter()

    def say_closed(self) -> None:
        """Tell the host that advertised last that this one, active too until now, is not; raises OSError."""
        if self._known and self._election.address:
            packet = giving_up(self._election.vrid, self._election.address, self._known)
            self._socket.sendto(packet, (self._known, 0))

    def listen_anew(self) -> None:
        """Hear the next advert, whoever sends it."""
        self._known = ""
        self._filter()

    def why_active(self) -> str:
        """Say why this host became active, as far as is known; from now on hear who advertises next."""
        self.read()
        peer = self.peer
        self.listen_anew()
        if time.monotonic() - self._gave_up < _GAVE_UP_WITHIN:
            return f"{peer} gave up (priority 0)"
        return f"adverts of {peer} stopped" if peer else "nobody else is active"

    @property
    def peer(self) -> str:
        """The host that advertised last, "" when nobody did since `listen_anew`."""
        return self._election.peers.get(self._known, "")

    def why_standby(self) -> str:
        """Say why this host is not active any more."""
        self.read()
        peer = self.peer
        return f"{peer} is active with a higher priority" if peer else "another candidate is active"

    def _filter(self) -> None:
        known = struct.unpack("!I", socket.inet_aton(self._known or "0.0.0.0"))[0]
        program = (
            (filters.LOAD_IP_LENGTH, 0, 0, 0),
            (filters.LOAD_FROM_X, 0, 0, 1),  # virtual router
            (filters.IF_EQUAL, 0, 5, self._election.vrid),
            (filters.LOAD_FROM_X, 0, 0, 2),  # priority
            (filters.IF_EQUAL, 2, 0, 0),
            (filters.LOAD_WORD, 0, 0, 12),  # source address
            (filters.IF_EQUAL, 1, 0, known),
            (filters.RETURN, 0, 0, 0xFFFF),
            (filters.RETURN, 0, 0, 0),
        )
        filters.attach(self._socket, program)
