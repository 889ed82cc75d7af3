"""Asks the kernel where a connection that a router translated comes from."""

import socket
import struct

from deuteron.agent.system import netlink

_GET = 1 << 8 | 1
_ORIGINAL, _REPLY, _ADDRESSES, _PROTOCOL = 1, 2, 1, 2
_SOURCE, _DESTINATION = 1, 2
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
_PATIENCE = 0.2


class Translations:
    """The connections of the namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._kernel = netlink.open_socket()
        self._kernel.settimeout(_PATIENCE)

    def close(self) -> None:
        """Let go of the namespace."""
        self._kernel.close()

    def source(self, ends: tuple[str, str, int, int, int]) -> str:
        """Return ADDRESS:PORT that a translated packet had as its source, or "" where that is not known.

        `ends` are its source, destination, protocol and ports.
        """
        source, destination, protocol, source_port, destination_port = ends
        reply = netlink.nested(
            _REPLY,
            netlink.nested(
                _ADDRESSES,
                netlink.attribute(_SOURCE, socket.inet_aton(destination)),
                netlink.attribute(_DESTINATION, socket.inet_aton(source)),
            ),
            netlink.nested(
                _PROTOCOL,
                netlink.attribute(_NUMBER, bytes([protocol])),
                netlink.attribute(_SOURCE_PORT, struct.pack("!H", destination_port)),
                netlink.attribute(_DESTINATION_PORT, struct.pack("!H", source_port)),
            ),
        )
        body = netlink.GENERIC.pack(socket.AF_INET, 0, 0) + reply
        try:
            self._kernel.send(netlink.message(_GET, netlink.F_REQUEST, 1, body))
            answer = self._kernel.recv(1 << 14)
        except OSError:
            return ""
        for kind, _, _, payload in netlink.messages(answer):
            if kind != netlink.TYPE_ERROR:
                return _source(netlink.attributes(payload[netlink.GENERIC.size :]).get(_ORIGINAL))
        return ""


def _source(original: memoryview | None) -> str:
    parts = netlink.attributes(original) if original is not None else {}
    addresses = netlink.attributes(parts.get(_ADDRESSES, memoryview(b"")))
    ports = netlink.attributes(parts.get(_PROTOCOL, memoryview(b"")))
    if _SOURCE not in addresses or _SOURCE_PORT not in ports:
        return ""
    return f"{socket.inet_ntoa(addresses[_SOURCE])}:{int.from_bytes(ports[_SOURCE_PORT], 'big')}"
