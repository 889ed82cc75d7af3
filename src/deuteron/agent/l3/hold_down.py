"""Listening before speaking: a candidate that joins an election first hears who is active.

A keepalived that hears nothing for three adverts promotes itself. On a host that has just come up silence may
mean that its neighbours still look for its underlay address, which they do once a second.
"""

import ipaddress
import socket
import time

from deuteron.agent.l3 import ha_network
from deuteron.agent.system import netns
from deuteron.plan.units import Election

PATIENCE = 3.0
"""Seconds after which nobody is taken to be active."""
_VRRP = 112


class HoldDown:
    """Waits for an advert of another candidate of an election."""

    def __init__(self, election: Election) -> None:
        """Begin to listen on the HA network; raises OSError."""
        self._vrid = election.vrid
        self._peers = {str(ipaddress.ip_address(peer.address)) for peer in election.peers}
        self._until = time.monotonic() + PATIENCE
        self._heard = False
        with netns.entered(ha_network.namespace(election.ha_network)):
            kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_INET, kind, _VRRP)

    def is_over(self) -> bool:
        """Return whether somebody was heard, or nobody for long enough."""
        while not self._heard:
            try:
                packet, (source, _) = self._socket.recvfrom(512)
            except OSError:  # nothing there yet
                break
            header = (packet[0] & 15) * 4
            of_ours = source in self._peers and len(packet) > header + 1
            self._heard = of_ours and packet[header + 1] == self._vrid
        return self._heard or time.monotonic() > self._until

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
