"""Answer on UDP and TCP port 7 with what was said (RFC 862), on IPv4 and IPv6: `python echo.py`.

Runs with real-time priority, so that a busy machine is not measured as a lossy network.
"""

import contextlib
import gc
import os
import selectors
import socket

PORT = 7
_BUFFER = 65536
_ANCILLARY = socket.CMSG_SPACE(20)


def main() -> None:
    """Serve until killed."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    datagrams = _bound(socket.SOCK_DGRAM)
    listener = _bound(socket.SOCK_STREAM)
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(datagrams, selectors.EVENT_READ)
    selector.register(listener, selectors.EVENT_READ)
    gc.disable()
    while True:
        for key, _ in selector.select():
            if key.fileobj is datagrams:
                _answer(datagrams)
            elif key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(5)  # whoever does not read for so long is dropped
                selector.register(connection, selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket) and not _returned(key.fileobj):
                selector.unregister(key.fileobj)
                key.fileobj.close()


def _bound(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if kind == socket.SOCK_DGRAM:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    sock.bind(("::", PORT))
    return sock


def _answer(sock: socket.socket) -> None:
    """Send back every datagram that waits, from the address that it was sent to."""
    with contextlib.suppress(BlockingIOError):
        while True:
            data, ancillary, _, sender = sock.recvmsg(_BUFFER, _ANCILLARY)
            # Only the address of (address, interface): the way back is the routing table's choice.
            source = [(level, kind, value[:16] + bytes(4)) for level, kind, value in ancillary]
            with contextlib.suppress(OSError):  # no way back just now: a lost packet
                sock.sendmsg([data], source, 0, sender)


def _returned(connection: socket.socket) -> bool:
    """Send back what waits on a connection; return whether the connection lives on."""
    try:
        data = connection.recv(_BUFFER)
        connection.sendall(data)
    except OSError:
        return False
    return bool(data)


if __name__ == "__main__":
    main()
