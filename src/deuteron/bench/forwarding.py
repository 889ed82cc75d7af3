"""Find out when routers begin to forward: `python forwarding.py TARGET`, in a namespace of a lab host.

Each line of standard input is one instance behind one router: `PORT MAC ADDRESS/PREFIX GATEWAY`. It gets a
device here, whose other end is the port's tap in the host, an address, and a default route of its own. From
then on TARGET, which is on the other side of the routers, is pinged from this address. Each line of standard
output is `ADDRESS SECONDS`: the first answer, on the monotonic clock, which the whole machine shares.

Standard library only. At most PINGS_PER_SECOND are sent in total, in turn from all that have no answer yet:
so the search costs the machine little, and when few are missing, each is asked often.
"""

import os
import select
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PINGS_PER_SECOND = 200
ARP_INTERVAL_MS = 100
"""The kernel's usual second would be too coarse a clock."""
INIT = 1
"""The process of the host whose network namespace gets the taps."""

_ECHO_REPLY, _ECHO_REQUEST = 0, 8
_IP_PKTINFO = 8
_FIRST_TABLE = 1000
_SYSCTLS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv6/conf/default/disable_ipv6": "1",
}


@dataclass(frozen=True)
class Instance:
    """One line of the input."""

    port: str
    mac: str
    address: str
    """With its prefix length."""
    gateway: str

    @property
    def source(self) -> str:
        """The address alone."""
        return self.address.partition("/")[0]


def commands(number: int, instance: Instance) -> list[str]:
    """Return the lines for `ip -batch` that plug an instance in."""
    device, table = f"i{number}", _FIRST_TABLE + number
    peer = f"tap{instance.port[:11]}"
    return [
        f"link add {device} address {instance.mac} mtu 1450 type veth peer name {peer} netns {INIT}",
        f"address add {instance.address} dev {device}",
        f"ntable change name arp_cache dev {device} retrans {ARP_INTERVAL_MS}",
        f"link set {device} up",
        f"route add default via {instance.gateway} dev {device} table {table}",
        f"rule add from {instance.source} lookup {table}",
    ]


def checksum(data: bytes) -> int:
    """Return the internet checksum (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    """Return an ICMP echo request without payload."""
    blank = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", _ECHO_REQUEST, 0, checksum(blank), identifier, sequence)


def answered(packet: bytes, identifier: int) -> int | None:
    """Return the sequence number that a received IPv4 packet answers; None if it is no answer to us."""
    start = (packet[0] & 0x0F) * 4
    if len(packet) < start + 8:
        return None
    kind, _, _, found, sequence = struct.unpack_from("!BBHHH", packet, start)
    return int(sequence) if kind == _ECHO_REPLY and found == identifier else None


class Search:
    """Which instances there are, and which of them wait for an answer."""

    def __init__(self, target: str, batch: IO[str]) -> None:
        self._target = target
        self._batch = batch
        self._identifier = os.getpid() & 0xFFFF
        self._instances: list[Instance] = []
        self._waiting: list[int] = []
        self._turn = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.setblocking(False)

    def add(self, line: str) -> None:
        """Take one line of the input: plug the instance in, ask from now on."""
        instance = Instance(*line.split())
        number = len(self._instances)
        self._batch.writelines(f"{words}\n" for words in commands(number, instance))
        self._batch.flush()
        self._instances.append(instance)
        self._waiting.append(number)

    def ask(self) -> None:
        """Send one ping, from the instance whose turn it is."""
        if not self._waiting:
            return
        self._turn += 1
        number = self._waiting[self._turn % len(self._waiting)]
        source = socket.inet_aton(self._instances[number].source)
        information = struct.pack("@I4s4s", 0, source, bytes(4))
        packet = echo_request(self._identifier, number)
        try:
            self.socket.sendmsg(
                [packet], [(socket.IPPROTO_IP, _IP_PKTINFO, information)], 0, (self._target, 0)
            )
        except OSError:  # not plugged in yet, or nobody answers ARP: its turn comes again
            return

    def hear(self) -> None:
        """Take what was answered and tell of the first answer to each."""
        now = time.monotonic()
        while True:
            try:
                packet = self.socket.recv(2048)
            except BlockingIOError:
                return
            number = answered(packet, self._identifier)
            if number is not None and number in self._waiting:
                self._waiting.remove(number)
                print(f"{self._instances[number].source} {now:.6f}", flush=True)


def main(target: str) -> None:
    """Search until the input ends."""
    for name, value in _SYSCTLS.items():
        Path("/proc/sys/net", name).write_text(value)
    batch = subprocess.Popen(["ip", "-force", "-batch", "-"], stdin=subprocess.PIPE, text=True, bufsize=1)
    assert batch.stdin
    search = Search(target, batch.stdin)
    pause = 1 / PINGS_PER_SECOND
    turn = time.monotonic()
    inputs = [0, search.socket.fileno()]
    rest = b""
    while True:
        readable, _, _ = select.select(inputs, [], [], max(turn - time.monotonic(), 0))
        if 0 in readable:
            piece = os.read(0, 65536)
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                search.add(line.decode())
        if search.socket.fileno() in readable:
            search.hear()
        if time.monotonic() >= turn:
            search.ask()
            turn = max(turn + pause, time.monotonic())
    batch.stdin.close()
    batch.wait()


if __name__ == "__main__":
    main(sys.argv[1])
