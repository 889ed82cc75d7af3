"""Ask as a machine does that lives on: `python -m deuteron.lab.asker dhcp:DEVICE http:ADDRESS/PATH`.

`dhcp:` renews the lease of a device again and again: by unicast from the server that granted it last, and
when that one is silent for a second by broadcast from whoever serves, as a client does in RENEWING and
REBINDING (RFC 2131). `http:` gets a document again and again; an address of IPv6 stands in brackets.

Standard output as of deuteron.lab.prober: `{"ready": true}` when every target has answered once, and after
SIGTERM or SIGINT one line `{"probes": [...]}`. Standard library only.
"""

import argparse
import array
import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from deuteron.lab.gaps import longest_silence

RENEW_SECONDS = 0.5
"""Between the end of a renewal and the next one."""
RETRY_SECONDS = 1.0
"""Of silence before a request is said again, from then on by broadcast."""
GIVE_UP_SECONDS = 5.0
"""After which a renewal has failed."""
FETCH_SECONDS = 0.2
"""Between two requests of a document."""
ANSWER_SECONDS = 1.0
"""In which a document must come."""
SLOW_SECONDS = 0.5
"""A renewal that takes longer is told with who was asked and who answered."""
LEASE = Path("/run/lease")
_HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = b"\x63\x82\x53\x63"
_SIOCGIFHWADDR = 0x8927
_ACK, _NAK = 5, 6


class Asker(Protocol):
    """Asks one question again and again."""

    answers: int

    def ask(self) -> None:
        """Ask once, and note how it went."""

    def result(self) -> dict[str, Any]:
        """Return the figures."""


class Renewals:
    """A DHCP client that holds a lease and renews it all the time."""

    def __init__(self, device: str) -> None:
        """Begin with the lease that udhcpc.script wrote down. Raises OSError when there is none."""
        lease = dict(line.split("=", 1) for line in LEASE.read_text().splitlines())
        self.device = device
        self.address, self.server = lease["address"], lease["server"]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for option in (socket.SO_REUSEADDR, socket.SO_BROADCAST):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 1)
        self.socket.bind(("", 68))
        self.mac: bytes = fcntl.ioctl(self.socket, _SIOCGIFHWADDR, struct.pack("16s16x", device.encode()))[
            18:24
        ]
        self.asked = self.answers = 0
        self.failures: list[str] = []
        self.seconds = array.array("d")
        self.slow: list[dict[str, Any]] = []

    def ask(self) -> None:
        """Renew once: it ends with an answer, or after GIVE_UP_SECONDS."""
        begin, before = time.monotonic(), self.server
        self.asked += 1
        number = int.from_bytes(os.urandom(4), "big")
        told = self._exchange(number, begin)
        if told == "":
            took = time.monotonic() - begin
            self.answers += 1
            self.seconds.append(took)
            if took > SLOW_SECONDS:
                asked = {
                    "at": time.time() - took,
                    "ms": took * 1000,
                    "asked": before,
                    "answered": self.server,
                }
                self.slow.append(asked)
        else:
            self.failures.append(told)
        time.sleep(RENEW_SECONDS)

    def _exchange(self, number: int, begin: float) -> str:
        """Return why it failed, "" when it did not."""
        target = self.server
        while (waited := time.monotonic() - begin) < GIVE_UP_SECONDS:
            # On the way by broadcast the seconds must count up, else a server may wait for others.
            with contextlib.suppress(OSError):  # no route just now, as if it were lost
                self.socket.sendto(self._request(number, int(waited)), (target, 67))
            until = time.monotonic() + RETRY_SECONDS
            while (left := until - time.monotonic()) > 0:
                self.socket.settimeout(left)
                try:
                    data, (source, _) = self.socket.recvfrom(2048)
                except OSError:
                    continue
                kind = _answer(data, number, self.address)
                if kind == _ACK:
                    self.server = source
                    return ""
                if kind == _NAK:
                    return f"{source} refused"
            target = "255.255.255.255"
        return f"no answer within {GIVE_UP_SECONDS:.0f} s"

    def _request(self, number: int, seconds: int) -> bytes:
        own, none = socket.inet_aton(self.address), bytes(4)
        head = _HEAD.pack(1, 1, 6, 0, number, seconds, 0, own, none, none, none, self.mac, b"", b"", _COOKIE)
        client_id = bytes((61, 7, 1)) + self.mac
        return head + bytes((53, 1, 3)) + client_id + bytes((55, 2, 1, 3, 255))

    def result(self) -> dict[str, Any]:
        """Return how many there were, how many failed and why, and how long the slowest took."""
        return {
            "kind": "dhcp",
            "target": self.device,
            "asked": self.asked,
            "answered": self.answers,
            "failed": len(self.failures),
            "failures": self.failures[:20],
            "slow": self.slow[:20],
            "slowest_ms": max(self.seconds, default=0.0) * 1000,
            "server": self.server,
        }


def _answer(data: bytes, number: int, address: str) -> int | None:
    """Return the type of a server's message about our lease; None for anything else."""
    if len(data) < _HEAD.size:
        return None
    op, _, _, _, xid, _, _, _, given, *_ = _HEAD.unpack_from(data)
    if op != 2 or xid != number:
        return None
    kind, rest = None, data[_HEAD.size :]
    while len(rest) >= 2 and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        if rest[0] == 53:
            kind = rest[2]
        rest = rest[2 + rest[1] :]
    return _NAK if kind == _ACK and given != socket.inet_aton(address) else kind


class Fetches:
    """Gets a document again and again."""

    def __init__(self, target: str) -> None:
        self.target = target
        address, _, path = target.partition("/")
        self.address, self.path = address.strip("[]"), f"/{path}"
        self.asked = self.answers = 0
        self.failures: list[str] = []
        self.arrivals = array.array("d")

    def ask(self) -> None:
        """Get it once."""
        begin = time.monotonic()
        self.asked += 1
        connection = http.client.HTTPConnection(self.address, 80, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", self.path)
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                self.answers += 1
                self.arrivals.append(time.monotonic())
            else:
                self.failures.append(f"status {response.status}")
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()
        time.sleep(max(0.0, begin + FETCH_SECONDS - time.monotonic()))

    def result(self) -> dict[str, Any]:
        """Return how many failed and why, and the longest time between two that did not."""
        return {
            "kind": "http",
            "target": self.target,
            "asked": self.asked,
            "answered": self.answers,
            "failed": len(self.failures),
            "failures": self.failures[:20],
            "longest_silence_ms": longest_silence(self.arrivals),
        }


def _make(target: str) -> Asker:
    kind, _, rest = target.partition(":")
    return Renewals(rest) if kind == "dhcp" else Fetches(rest)


def _target(text: str) -> str:
    kind, _, rest = text.partition(":")
    if kind not in ("dhcp", "http") or not rest:
        raise argparse.ArgumentTypeError(f"{text!r} is not dhcp:DEVICE or http:ADDRESS/PATH")
    return text


def main() -> int:
    """Ask, and print the result."""
    parser = argparse.ArgumentParser(description="Renew leases and get documents, again and again.")
    parser.add_argument("targets", nargs="+", type=_target, metavar="dhcp:DEVICE|http:ADDRESS/PATH")
    targets = parser.parse_args().targets
    try:
        askers = [_make(target) for target in targets]
    except (OSError, KeyError, ValueError) as error:
        print(f"asking {', '.join(targets)}: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()

    def go_on(asker: Asker) -> None:
        while not stop.is_set():
            asker.ask()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = [threading.Thread(target=go_on, args=(asker,)) for asker in askers]
    for thread in threads:
        thread.start()
    while not stop.is_set() and not all(asker.answers for asker in askers):
        time.sleep(0.01)
    if not stop.is_set():
        print(json.dumps({"ready": True}), flush=True)
    for thread in threads:
        thread.join()
    print(json.dumps({"probes": [asker.result() for asker in askers]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
