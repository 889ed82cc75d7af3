"""A DHCPv6 client in one shot, run inside a namespace: prints the address, or the DNS server, it was told.

python3 dhcp6.py DEVICE address|other|NUMBER     (NUMBER: the bytes of that option in hex)
"""

import fcntl
import os
import socket
import struct
import sys
import time

SOLICIT, ADVERTISE, REQUEST, REPLY, INFORMATION_REQUEST = 1, 2, 3, 7, 11


def option(code: int, data: bytes) -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def options(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        code, length = struct.unpack_from("!HH", data)
        found[code] = data[4 : 4 + length]
        data = data[4 + length :]
    return found


def main(device: str, what: str) -> str:
    connection = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    hardware = fcntl.ioctl(connection, 0x8927, struct.pack("256s", device.encode()))[18:24]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(("::", 546))
    connection.settimeout(1)
    index = socket.if_nametoindex(device)
    ours = option(1, struct.pack("!HH", 3, 1) + hardware) + option(8, b"\0\0")
    ours += option(6, struct.pack("!HHH", 23, 24, int(what) if what.isdecimal() else 23))

    def ask(kind: int, more: bytes, expected: int) -> dict[int, bytes]:
        number = os.urandom(3)
        for _ in range(40):
            try:
                connection.sendto(bytes([kind]) + number + ours + more, ("ff02::1:2", 547, 0, index))
            except OSError:  # no link-local address is usable yet
                time.sleep(0.2)
                continue
            try:
                answer = connection.recv(2000)
            except TimeoutError:
                continue
            if answer[0] == expected and answer[1:4] == number:
                return options(answer[4:])
        raise SystemExit("no answer")

    if what.isdecimal():
        return ask(INFORMATION_REQUEST, b"", REPLY).get(int(what), b"").hex()
    if what == "other":
        return socket.inet_ntop(socket.AF_INET6, ask(INFORMATION_REQUEST, b"", REPLY)[23][:16])
    wanted = option(3, struct.pack("!III", 1, 0, 0))
    server = option(2, ask(SOLICIT, wanted, ADVERTISE)[2])
    address = options(ask(REQUEST, wanted + server, REPLY)[3][12:]).get(5)
    if address is None:
        raise SystemExit("no address")
    return socket.inet_ntop(socket.AF_INET6, address[:16])


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
