"""Listening to an election's adverts only as much as is needed to say why it went as it did.

A filter in the kernel passes two kinds of adverts: those of another sender than before, and those of a sender
that gives up (priority 0). The stream of adverts itself, dozens a second, wakes nobody.
"""

import ctypes
import socket
import struct
import time

from deuteron.agent.l3.switch.records import Election
from deuteron.agent.system import netns

_VRRP = 112
_SO_ATTACH_FILTER = 26
_GAVE_UP_WITHIN = 1.0
_LOAD_IP_LENGTH, _LOAD_FROM_X, _LOAD_WORD, _IF_EQUAL, _RETURN = 0xB1, 0x50, 0x20, 0x15, 0x06


class Adverts:
    """The adverts of the other candidates of an election."""

    def __init__(self, election: Election) -> None:
        """Listen in the namespace of the election; raises OSError."""
        self._election = election
        with netns.entered(election.netns):
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_INET, kind, _VRRP)
        self._known = ""
        self._gave_up = float("-inf")
        self._filter()

    def fileno(self) -> int:
        """The socket to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def read(self) -> str:
        """Take note of what passed the filter; return the host that advertises now, if it is another."""
        heard = ""
        while True:
            try:
                packet, (source, _) = self._socket.recvfrom(512)
            except OSError:
                return heard
            header = (packet[0] & 15) * 4
            if len(packet) < header + 3 or source not in self._election.peers:
                continue
            if packet[header + 2] == 0:
                self._gave_up = time.monotonic()
            if source != self._known:
                heard = self._election.peers[source]
                self._known = source
                self._filter()

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
            (_LOAD_IP_LENGTH, 0, 0, 0),
            (_LOAD_FROM_X, 0, 0, 1),  # virtual router
            (_IF_EQUAL, 0, 5, self._election.vrid),
            (_LOAD_FROM_X, 0, 0, 2),  # priority
            (_IF_EQUAL, 2, 0, 0),
            (_LOAD_WORD, 0, 0, 12),  # source address
            (_IF_EQUAL, 1, 0, known),
            (_RETURN, 0, 0, 0xFFFF),
            (_RETURN, 0, 0, 0),
        )
        code = b"".join(struct.pack("=HBBI", *line) for line in program)
        held = ctypes.create_string_buffer(code)
        descriptor = struct.pack("@HP", len(program), ctypes.addressof(held))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, descriptor)
