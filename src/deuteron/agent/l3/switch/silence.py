"""How long an election was without an active host, as far as this host has heard.

A set in the kernel notes when an advert of each candidate came last, as an element that expires an hour
later; the adverts wake nobody. Its clock ticks every few milliseconds.
"""

import errno
import ipaddress
import os
import struct
from collections.abc import Iterable

from deuteron.agent.system import netlink, netns

_TABLE, _SET = "deuteron_adverts", "heard"
_KEPT_MS = 3_600_000
_GET_ELEMENT = 10 << 8 | 13
_GENERIC = netlink.GENERIC.pack(2, 0, 0)  # of the family IPv4
_NAME_OF_TABLE, _NAME_OF_SET, _ELEMENTS = 1, 2, 3
_KEY, _EXPIRATION, _VALUE = 1, 5, 1
_ADVERT = 0x31
"""The first octet of an advert: VRRP version 3."""

RULES = f"""\
add table ip {_TABLE}
add set ip {_TABLE} {_SET} {{ type ipv4_addr . inet_service; size 4096; flags dynamic,timeout; timeout 1h; }}
add chain ip {_TABLE} received {{ type filter hook input priority filter; }}
flush chain ip {_TABLE} received
add rule ip {_TABLE} received ip protocol 112 update @{_SET} {{ ip saddr . th sport }}
"""
"""What nft does in the namespace of an HA network. Where a port is in other protocols, an advert has its
version and the virtual router."""


class Silence:
    """Since when nobody advertises in an election."""

    def __init__(self, namespace: str, vrid: int, peers: Iterable[str]) -> None:
        """Be ready to ask for adverts of `peers` (addresses); raises OSError."""
        self._keys = [
            ipaddress.IPv4Address(peer).packed + struct.pack("!BBxx", _ADVERT, vrid) for peer in peers
        ]
        self._sequence = 0
        with netns.entered(namespace):
            self._socket = netlink.open_socket()
        self._socket.settimeout(0.05)

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()

    def milliseconds(self) -> float | None:
        """Return the time since the last advert of anybody; None if there was none, or it cannot be told."""
        try:
            found = [self._since(key) for key in self._keys]
        except OSError:
            return None
        return min((since for since in found if since is not None), default=None)

    def _since(self, key: bytes) -> float | None:
        self._sequence += 1
        wanted = netlink.nested(1, netlink.nested(_KEY, netlink.attribute(_VALUE, key)))
        payload = (
            _GENERIC
            + netlink.attribute(_NAME_OF_TABLE, _TABLE.encode() + b"\0")
            + netlink.attribute(_NAME_OF_SET, _SET.encode() + b"\0")
            + netlink.nested(_ELEMENTS, wanted)
        )
        self._socket.send(netlink.message(_GET_ELEMENT, netlink.F_REQUEST, self._sequence, payload))
        while True:
            for kind, sequence, _, answer in netlink.messages(self._socket.recv(1 << 14)):
                if sequence != self._sequence:
                    continue
                if kind != netlink.TYPE_ERROR:
                    return _elapsed(answer)
                code = netlink.error_code(answer)
                if code == errno.ENOENT:
                    return None
                raise OSError(code, os.strerror(code), _SET)


def _elapsed(answer: memoryview) -> float | None:
    elements = netlink.attributes(answer[4:]).get(_ELEMENTS)
    for _, element in netlink.attribute_list(elements) if elements else ():
        left = netlink.attributes(element).get(_EXPIRATION)
        if left is not None:
            return float(_KEPT_MS - struct.unpack("!Q", left)[0])
    return None
