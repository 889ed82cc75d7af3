"""What is committed to the nftables of a host, as `nft monitor` tells it."""

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from deuteron.bench.labs import Lab
from deuteron.bench.processes import BenchError

TABLE = "deuteron_firewall"
TIMEOUT = 30.0
_COMMITTED = "# new generation"


@dataclass(frozen=True)
class Transaction:
    """One commit that changed the firewall of instances."""

    at: float
    """On the monotonic clock, when it was told."""
    objects: int
    """Rules, chains, sets and elements that came and went."""


class Transactions(threading.Thread):
    """Follows the commits of one host; see `watching`."""

    def __init__(self, lines: IO[str]) -> None:
        super().__init__(daemon=True)
        self._lines = lines
        self._found: list[Transaction] = []
        self._changed = threading.Condition()

    def run(self) -> None:
        """Read to the end."""
        objects = 0
        for line in self._lines:
            if TABLE in line:
                objects += 1
            elif line.startswith(_COMMITTED) and objects:
                with self._changed:
                    self._found.append(Transaction(time.monotonic(), objects))
                    self._changed.notify_all()
                objects = 0

    def after(self, moment: float) -> Transaction:
        """Return the first that was told after a moment; wait for it. Raises BenchError."""

        def found() -> list[Transaction]:
            return [one for one in self._found if one.at > moment]

        with self._changed:
            if not self._changed.wait_for(found, TIMEOUT):
                raise BenchError(f"no change of the firewall was committed within {TIMEOUT:.0f} s")
            return found()[0]


@contextmanager
def watching(lab: Lab, host: str) -> Iterator[Transactions]:
    """Follow the commits of a host. Raises BenchError."""
    with tempfile.TemporaryFile("w+") as errors:
        process = lab.start(host, "nft", "monitor", errors=errors)
        assert process.stdout
        try:
            found = Transactions(process.stdout)
            found.start()
            yield found
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
