"""The socket between hosts."""

import errno
import socket
from collections.abc import Iterator

from deuteron.agent.l3.conntrack_sync import wire
from deuteron.agent.l3.conntrack_sync.counters import Counters

_BUFFER = 8 << 20
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE = 33, 32
_IN_A_TURN = 500


class Underlay:
    """Sends and receives datagrams at this host's address on the underlay."""

    def __init__(self, local_ip: str, counters: Counters) -> None:
        """Bind; raises OSError when the address is not this host's, or somebody else is there."""
        self._family = socket.AF_INET6 if ":" in local_ip else socket.AF_INET
        self._counters = counters
        self.socket = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
                self.socket.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
            self.socket.bind((local_ip, wire.PORT))
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)

    def send(self, twin: str, header: bytes, body: bytes = b"") -> None:
        """Send one datagram; one that cannot be sent is lost, and counted."""
        try:
            self.socket.sendmsg((header, body), (), 0, (twin, wire.PORT))
        except OSError:
            self._counters.unsent += 1

    def received(self) -> Iterator[tuple[str, bytes]]:
        """Yield (address, datagram) of those that wait, a bounded number."""
        for _ in range(_IN_A_TURN):
            try:
                data, sender = self.socket.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
                    continue  # what the network says of an earlier datagram
                raise
            if sender[1] == wire.PORT:
                yield sender[0], data
            else:
                self._counters.ignored += 1
