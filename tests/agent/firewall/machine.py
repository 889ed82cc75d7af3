"""What a test's machine does: run inside its namespace. Standard library only; prints JSON."""

import contextlib
import json
import select
import socket
import sys
import time

ALL_FRAMES = 3


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(port: str) -> None:
    """Answer TCP and UDP on a port, IPv4 and IPv6, with what came."""
    tcp = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", int(port)))
    connections: list[socket.socket] = []
    print("ready", flush=True)
    while True:
        for ready in select.select([tcp, udp, *connections], [], [])[0]:
            if ready is tcp:
                connections.append(tcp.accept()[0])
            elif ready is udp:
                data, sender = udp.recvfrom(4096)
                with contextlib.suppress(OSError):
                    udp.sendto(data, sender)
            else:
                try:
                    data = ready.recv(4096)
                    ready.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    connections.remove(ready)
                    ready.close()


def tcp(address: str, port: str, patience: str = "1") -> None:
    """Say whether a connection can be made and is answered."""
    try:
        with socket.create_connection((address, int(port)), timeout=float(patience)) as connection:
            connection.sendall(b"x")
            print(json.dumps(connection.recv(1) == b"x"))
    except OSError:
        print("false")


def udp(address: str, port: str, source: str = "0") -> None:
    """Say whether one of a few datagrams is answered."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as talker:
        talker.bind(("", int(source)))
        talker.settimeout(0.3)
        for _ in range(3):
            with contextlib.suppress(OSError):
                talker.sendto(b"x", (address, int(port)))
                if talker.recv(16):
                    print("true")
                    return
    print("false")


def probe(address: str, port: str, seconds: str) -> None:
    """Send a datagram every 2 ms; tell how many were sent and how many were not answered."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as talker:
        talker.connect((address, int(port)))
        talker.setblocking(False)
        answered: set[bytes] = set()
        sent, end = 0, time.monotonic() + float(seconds)
        print("ready", flush=True)
        following = time.monotonic()
        while time.monotonic() < end + 1:
            if time.monotonic() < end and time.monotonic() >= following:
                with contextlib.suppress(OSError):
                    talker.send(b"%08d" % sent)
                sent += 1
                following += 0.002
            wait = max(0.0, following - time.monotonic()) if time.monotonic() < end else 0.05
            if select.select([talker], [], [], wait)[0]:
                with contextlib.suppress(OSError):
                    answered.add(talker.recv(16))
            elif time.monotonic() > end and len(answered) == sent:
                break
    print(json.dumps({"sent": sent, "lost": sent - len(answered)}))


def hold(address: str, port: str) -> None:
    """Keep a connection; for each line of input, say whether it is still answered within a second."""
    connection = socket.create_connection((address, int(port)), timeout=3)
    connection.settimeout(1)
    for _ in sys.stdin:
        try:
            connection.sendall(b"y")
            print(json.dumps(connection.recv(1) == b"y"), flush=True)
        except OSError:
            print("false", flush=True)


def send(frame: str, times: str = "1", pause: str = "0") -> None:
    """Put a frame on eth0, given as hexadecimal digits."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        for _ in range(int(times)):
            wire.send(bytes.fromhex(frame))
            time.sleep(float(pause))
    print("true")


def hear(mark: str, seconds: str) -> None:
    """Count the frames that hold these bytes (hexadecimal digits) and come in within this time."""
    wanted, count = bytes.fromhex(mark), 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES)) as wire:
        wire.bind(("eth0", ALL_FRAMES))
        print("ready", flush=True)
        end = time.monotonic() + float(seconds)
        while (left := end - time.monotonic()) > 0:
            if select.select([wire], [], [], left)[0]:
                data, origin = wire.recvfrom(4096)
                count += wanted in data and origin[2] != socket.PACKET_OUTGOING
    print(json.dumps(count))


if __name__ == "__main__":
    for does in (serve, tcp, udp, probe, hold, send, hear):
        if does.__name__ == sys.argv[1]:
            does(*sys.argv[2:])
