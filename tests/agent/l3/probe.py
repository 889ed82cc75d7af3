"""Sends an ICMP echo request every 2 ms for some seconds; prints what was lost and the longest gap.

usage: probe.py ADDRESS SECONDS; started inside a namespace. It says "go" when it has the first answer.
"""

import contextlib
import json
import os
import socket
import struct
import sys
import time

INTERVAL = 0.002


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def main(address: str, seconds: float) -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5))
    probe = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    probe.connect((address, 0))
    me = os.getpid() & 0xFFFF
    answered: dict[int, float] = {}

    def send(sequence: int) -> None:
        head = struct.pack("!BBHHH", 8, 0, 0, me, sequence & 0xFFFF)
        with contextlib.suppress(OSError):
            probe.send(struct.pack("!BBHHH", 8, 0, checksum(head), me, sequence & 0xFFFF))

    def receive(until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            probe.settimeout(left)
            try:
                packet = probe.recv(2000)
            except OSError:
                continue
            kind, _, _, who, sequence = struct.unpack_from("!BBHHH", packet, 20)
            if kind == 0 and who == me:
                answered.setdefault(sequence, time.monotonic())

    for _ in range(1000):
        send(60000)
        receive(time.monotonic() + 0.02)
        if answered:
            break
    print("go", flush=True)
    answered.clear()
    begin = time.monotonic()
    count = int(seconds / INTERVAL)
    assert count < 60000
    for sequence in range(count):
        send(sequence)
        receive(begin + (sequence + 1) * INTERVAL)
    receive(time.monotonic() + 0.5)
    lost = [sequence for sequence in range(count) if sequence not in answered]
    longest = run = 0
    previous = -2
    for sequence in lost:
        run = run + 1 if sequence == previous + 1 else 1
        longest, previous = max(longest, run), sequence
    gap = longest * INTERVAL * 1000
    print(json.dumps({"sent": count, "lost": len(lost), "gap_ms": gap}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
