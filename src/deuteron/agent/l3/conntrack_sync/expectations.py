"""Connections that a helper expects (the data of FTP...): from the kernel's message to requests.

A message begins with four bytes of which the first is the address family, then come attributes.
"""

from typing import Final

from deuteron.agent.l3.conntrack_sync.entries import Attributes, Unusable
from deuteron.agent.system.netlink import GENERIC, attribute, attributes, nested

_MASTER, _TUPLE, _MASK, _NAT = 1, 2, 3, 10
_FLAGS, _FUNCTION = 8, 11
_NEEDED: Final = (_MASTER, _TUPLE, _MASK)
_ORIGINAL = 1
"""Of a connection."""


def question(message: bytes) -> bytes:
    """Return the request for the connection by which it was asked for. Raises Unusable."""
    return GENERIC.pack(message[0], 0, 0) + nested(_ORIGINAL, bytes(_read(message)[_MASTER]))


def creation(message: bytes) -> bytes:
    """Return the request by which another host expects the same. Raises Unusable.

    The connection by which it was asked for must be there. The helper's name is left out: it would be that of
    the expected one.
    """
    found = _read(message)
    parts = [nested(kind, bytes(found[kind])) for kind in (*_NEEDED, _NAT) if kind in found]
    parts += [attribute(kind, bytes(found[kind])) for kind in (_FLAGS, _FUNCTION) if kind in found]
    return GENERIC.pack(message[0], 0, 0) + b"".join(parts)


def _read(message: bytes) -> Attributes:
    found = attributes(memoryview(message)[4:])
    if any(kind not in found for kind in _NEEDED):
        raise Unusable("something expected without saying by whom or what")
    return found
