"""What a test's machine does: run inside its namespace. Standard library only; prints JSON."""

import json
import socket
import sys
import time
from collections.abc import Callable

BLOCK = bytes(1 << 14)


def sink(port: str, seconds: str) -> None:
    """Take what comes by one connection; print the kilobits a second of it after the first second."""
    with socket.create_server(("0.0.0.0", int(port))) as server:
        server.settimeout(20)
        print("ready", flush=True)
        connection = server.accept()[0]
        connection.settimeout(20)
        start = time.monotonic()
        first, count, counted = start + 1, 0, start
        while (now := time.monotonic()) < first + float(seconds):
            got = len(connection.recv(1 << 16))
            if now < first:
                counted = now
            else:
                count += got
        print(json.dumps(count * 8 / 1000 / (time.monotonic() - counted)))


def source(address: str, port: str) -> None:
    """Send by a connection as much as goes, until it is closed."""
    with socket.create_connection((address, int(port)), timeout=20) as connection:
        try:
            while True:
                connection.sendall(BLOCK)
        except OSError:
            print("null")


def marks(port: str) -> None:
    """Print the marks of one IPv4 and one IPv6 datagram."""
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    four.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    four.bind(("0.0.0.0", int(port)))
    six.bind(("::", int(port)))
    print("ready", flush=True)
    found = []
    for listener in (four, six):
        listener.settimeout(20)
        _, told, _, _ = listener.recvmsg(100, 100)
        found.append(int.from_bytes(told[0][2][:1], "little") >> 2)
    print(json.dumps(found))


def count(port: str) -> None:
    """Print how many datagrams come until none has come for a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        listener.bind(("0.0.0.0", int(port)))
        listener.settimeout(20)
        print("ready", flush=True)
        got = 0
        try:
            while True:
                listener.recv(100)
                got += 1
                listener.settimeout(1)
        except TimeoutError:
            print(json.dumps(got))


def say(address: str, port: str, times: str = "1") -> None:
    """Send so many datagrams at once; print how many seconds it took."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as talker:
        start = time.monotonic()
        for _ in range(int(times)):
            talker.sendto(b"x", (address, int(port)))
        print(json.dumps(time.monotonic() - start))


if __name__ == "__main__":
    verbs: dict[str, Callable[..., None]] = {
        "sink": sink,
        "source": source,
        "marks": marks,
        "count": count,
        "say": say,
    }
    verbs[sys.argv[1]](*sys.argv[2:])
