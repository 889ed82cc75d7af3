"""Measure gaps: `python -m deuteron.lab.prober [OPTIONS] udp:ADDRESS icmp:ADDRESS tcp:ADDRESS`.

UDP and ICMP probes are sent every 2 ms at absolute times, whatever was answered before: a program that waits
for answers slows down in a gap and reports it too short. A TCP probe is one connection that says a number
every 10 ms. UDP and TCP need an echo service on port 7 of the target.

Standard output: the line `{"ready": true}` once every probe was answered, and after SIGTERM, SIGINT or
--duration, when late answers had their time, one line `{"probes": [...]}` with a result for each target in
the order of the arguments. What was not answered before the first answer is not counted as lost.

Standard library only, one thread, real-time priority; 2 ms probes cost about 4 % of a core each.
"""

import argparse
import array
import contextlib
import errno
import gc
import json
import os
import select
import signal
import socket
import statistics
import struct
import sys
import time
from types import FrameType
from typing import Any, Protocol

from deuteron.lab.gaps import find, longest_silence

PORT = 7
DRAIN_SECONDS = 1.0
"""How long after the end an answer to a datagram still counts."""
TCP_DRAIN_SECONDS = 10.0
"""Longer, for a connection that repeats with growing pauses."""
TCP_INTERVAL = 0.01
CONNECT_SECONDS = 30.0
_GAPS_SHOWN = 20
_PAYLOAD = struct.Struct("!8sQ")  # who asks, sequence number
_NUMBER = struct.Struct("!Q")
_ICMP = struct.Struct("!BBHHH")
_ECHO_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_ECHO_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}


class Probe(Protocol):
    """One row of probes to one target."""

    socket: socket.socket
    due: float
    drain_seconds: float

    def send(self, now: float) -> None:
        """Send what is due and set the next time."""

    def receive(self) -> None:
        """Take what has arrived."""

    def waiting(self) -> bool:
        """Tell whether something that was sent has no answer yet."""

    def ready(self) -> bool:
        """Tell whether there was an answer."""

    def result(self) -> dict[str, Any]:
        """Return the figures."""


class Clock:
    """Absolute times, one interval apart."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.begin = 0.0
        self.slot = 0
        self.skipped = 0
        self.latest = 0.0

    def advance(self, now: float) -> float:
        """Return the next time after the one that is due now; slots that were slept through are skipped."""
        self.begin = self.begin or now
        self.latest = max(self.latest, now - self.begin - self.slot * self.interval)
        slot = int((now - self.begin) / self.interval)
        self.skipped += max(slot - self.slot, 0)
        self.slot = max(slot, self.slot) + 1
        return self.begin + self.slot * self.interval


class DatagramProbe:
    """UDP or ICMP echo: each datagram counts by itself."""

    drain_seconds = DRAIN_SECONDS

    def __init__(self, kind: str, address: str, interval: float) -> None:
        self.kind = kind
        self.address = address
        self.due = 0.0
        self.nonce = os.urandom(8)
        self.clock = Clock(interval)
        self.sent = array.array("d")
        self.answered = array.array("d")
        self.answers = 0
        self.duplicates = 0
        self.send_errors = 0
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.identifier = int.from_bytes(os.urandom(2), "big")
        if kind == "udp":
            self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
        else:
            icmp = socket.IPPROTO_ICMPV6 if self.family == socket.AF_INET6 else socket.IPPROTO_ICMP
            self.socket = socket.socket(self.family, socket.SOCK_RAW, icmp)
        self.socket.setblocking(False)
        self.socket.connect((address, PORT if kind == "udp" else 0))

    def send(self, now: float) -> None:
        """Send the next datagram."""
        message = _PAYLOAD.pack(self.nonce, len(self.sent))
        if self.kind == "icmp":
            message = self._icmp(message)
        self.sent.append(now)
        self.answered.append(0.0)
        try:
            self.socket.send(message)
        except OSError:  # no route or no neighbour just now, or a refusal of an earlier one: it is lost
            self.send_errors += 1
        self.due = self.clock.advance(now)

    def _icmp(self, payload: bytes) -> bytes:
        head = (_ECHO_REQUEST[self.family], 0, 0, self.identifier, len(self.sent) & 0xFFFF)
        message = _ICMP.pack(*head) + payload
        if self.family == socket.AF_INET6:  # the kernel fills in the checksum of ICMPv6
            return message
        return _ICMP.pack(*head[:2], _checksum(message), *head[3:]) + payload

    def receive(self) -> None:
        """Note the answers that have arrived."""
        while True:
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about an earlier datagram
                continue
            now = time.monotonic()
            if self.kind == "icmp":
                data = data[(data[0] & 0x0F) * 4 :] if self.family == socket.AF_INET else data
                if len(data) < _ICMP.size or data[0] != _ECHO_REPLY[self.family]:
                    continue
                data = data[_ICMP.size :]
            self._note(data, now)

    def _note(self, data: bytes, now: float) -> None:
        if len(data) != _PAYLOAD.size:
            return
        nonce, number = _PAYLOAD.unpack(data)
        if nonce != self.nonce or number >= len(self.sent):
            return
        if self.answered[number]:
            self.duplicates += 1
        else:
            self.answered[number] = now
            self.answers += 1

    def waiting(self) -> bool:
        """Tell whether a datagram of the last second has no answer yet."""
        recent = int(DRAIN_SECONDS / self.clock.interval)
        return 0.0 in self.answered[-recent:]

    def ready(self) -> bool:
        """Tell whether there was an answer."""
        return self.answers > 0

    def result(self) -> dict[str, Any]:
        """Return the figures, counted from the first datagram that was answered."""
        first = next((i for i, arrival in enumerate(self.answered) if arrival), len(self.sent))
        sent, answered = self.sent[first:], self.answered[first:]
        gaps = find(sent, answered, self.clock.interval)
        trips = [(b - a) * 1000 for a, b in zip(sent, answered, strict=True) if b]
        wall = time.time() - time.monotonic()
        return {
            "kind": self.kind,
            "target": self.address,
            "interval_ms": self.clock.interval * 1000,
            "sent": len(sent),
            "answered": len(trips),
            "lost": len(sent) - len(trips),
            "longest_gap_ms": max((gap.milliseconds for gap in gaps), default=0.0),
            "longest_silence_ms": longest_silence([arrival for arrival in answered if arrival]),
            "gaps": [
                {"at": sent[gap.first] + wall, "packets": gap.packets, "ms": gap.milliseconds}
                for gap in gaps[:_GAPS_SHOWN]
            ],
            "first_at": sent[0] + wall if sent else None,
            "last_at": sent[-1] + wall if sent else None,
            "duplicates": self.duplicates,
            "round_trip_median_ms": statistics.median(trips) if trips else None,
            "round_trip_max_ms": max(trips, default=None),
            "unanswered_at_first": first,
            "send_errors": self.send_errors,
            "skipped": self.clock.skipped,
            "own_delay_max_ms": self.clock.latest * 1000,
        }


class StreamProbe:
    """One TCP connection over which numbers go and must come back, all and in order."""

    drain_seconds = TCP_DRAIN_SECONDS
    kind = "tcp"

    def __init__(self, address: str) -> None:
        self.address = address
        self.due = 0.0
        self.clock = Clock(TCP_INTERVAL)
        self.numbers = 0
        self.unsent = b""
        self.echoed = 0
        self.partial = b""
        self.arrivals = array.array("d")
        self.error = ""
        self.socket = _connect(address)

    def send(self, now: float) -> None:
        """Say the next number."""
        self.due = self.clock.advance(now)
        if self.error:
            return
        self.unsent += _NUMBER.pack(self.numbers)
        self.numbers += 1
        try:
            self.unsent = self.unsent[self.socket.send(self.unsent) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)

    def receive(self) -> None:
        """Compare what came back."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        if not data:
            self.error = self.error or "the other end closed the connection"
            return
        self.arrivals.append(time.monotonic())
        self.partial += data
        while len(self.partial) >= _NUMBER.size and not self.error:
            if self.partial[: _NUMBER.size] != _NUMBER.pack(self.echoed):
                self.error = f"number {self.echoed} came back wrong"
            self.partial = self.partial[_NUMBER.size :]
            self.echoed += 1

    def _fail(self, error: OSError) -> None:
        self.error = self.error or errno.errorcode.get(error.errno or 0, str(error))

    def waiting(self) -> bool:
        """Tell whether a number has not come back yet."""
        return not self.error and self.echoed < self.numbers

    def ready(self) -> bool:
        """Tell whether a number came back."""
        return self.echoed > 0 or bool(self.error)

    def result(self) -> dict[str, Any]:
        """Return whether it survived, and the longest time without a number coming back."""
        missing = self.numbers - self.echoed
        error = self.error or (f"{missing} numbers never came back" if missing else "")
        wall = time.time() - time.monotonic()
        return {
            "kind": self.kind,
            "target": self.address,
            "survived": not error,
            "error": error,
            "sent": self.numbers,
            "answered": self.echoed,
            "longest_stall_ms": longest_silence(self.arrivals),
            "first_at": self.arrivals[0] + wall if self.arrivals else None,
            "last_at": self.arrivals[-1] + wall if self.arrivals else None,
        }


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _connect(address: str) -> socket.socket:
    """Connect, with patience: the path may be just coming up. Raises OSError."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            connection = socket.create_connection((address, PORT), timeout=3)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        return connection


def probe(probes: list[Probe], end: float) -> None:
    """Send and receive until `end`, SIGTERM or SIGINT; then wait for late answers."""
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    said = False
    while not stopped and (now := time.monotonic()) < end:
        _receive(probes, min(one.due for one in probes) - now)
        now = time.monotonic()
        for one in probes:
            if one.due <= now:
                one.send(now)
        if not said and all(one.ready() for one in probes):
            said = True
            print(json.dumps({"ready": True}), flush=True)
    stop_at = time.monotonic()
    for one in sorted(probes, key=lambda one: one.drain_seconds):
        while one.waiting() and (left := stop_at + one.drain_seconds - time.monotonic()) > 0:
            _receive(probes, min(left, 0.05))


def _receive(probes: list[Probe], seconds: float) -> None:
    """Wait at most so long for something to arrive, and take it."""
    # A connection that has ended would be readable for ever.
    listening = {one.socket: one for one in probes if not getattr(one, "error", "")}
    for ready in select.select(list(listening), [], [], max(seconds, 0.0))[0]:
        listening[ready].receive()


def _make(target: str, interval: float) -> Probe:
    kind, _, address = target.partition(":")
    return StreamProbe(address) if kind == "tcp" else DatagramProbe(kind, address, interval)


def _target(text: str) -> str:
    kind, _, address = text.partition(":")
    if kind not in ("udp", "icmp", "tcp") or not address:
        raise argparse.ArgumentTypeError(f"{text!r} is not udp:, icmp: or tcp: and an address")
    return text


def main() -> int:
    """Probe, and print the result."""
    parser = argparse.ArgumentParser(description="Measure gaps of the way to one or more targets.")
    parser.add_argument("targets", nargs="+", type=_target, metavar="udp|icmp|tcp:ADDRESS")
    parser.add_argument("--interval-ms", type=float, default=2.0)
    parser.add_argument("--duration", type=float, default=3600.0, metavar="SECONDS")
    arguments = parser.parse_args()
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    gc.disable()
    probes = []
    for target in arguments.targets:
        try:
            probes.append(_make(target, arguments.interval_ms / 1000))
        except OSError as error:
            print(f"{target}: {error}", file=sys.stderr)
            return 1
    probe(probes, time.monotonic() + arguments.duration)
    print(json.dumps({"probes": [one.result() for one in probes]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
