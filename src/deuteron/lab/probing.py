"""A prober at work in a host or instance, seen from outside."""

import fcntl
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deuteron.lab import enter
from deuteron.lab.lab import locate
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError

STOP_SECONDS = 30.0
_ALONE = Path("/run/lock/deuteron-probing")


@contextmanager
def alone() -> Iterator[None]:
    """Keep the probes of other labs out for the time of the block; waits for theirs to end.

    Probes are real-time processes, on whose time the kernel forwards their packets. Those of several labs
    together exceed what it grants to such processes, and then it stops them all, elections too, for 50 ms.
    """
    with _ALONE.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _program(targets: Sequence[str], interval_ms: float) -> list[str]:
    if all(target.startswith(("dhcp:", "http:")) for target in targets):
        return ["deuteron.lab.asker"]
    return ["deuteron.lab.prober", "--interval-ms", str(interval_ms)]


class Prober:
    """Probes from one place to targets; what they measure stands in prober.py and asker.py.

    The targets are such as "udp:203.0.113.1", or all of them such as "dhcp:eth0", which asker.py takes.
    """

    def __init__(self, lab: Lab, place: str, targets: Sequence[str], interval_ms: float = 2.0) -> None:
        """Start. Raises LabError when there is no such place or it is off."""
        self.place = place
        self.targets = tuple(targets)
        argv = [sys.executable, "-m", *_program(targets, interval_ms), *targets]
        self._process = subprocess.Popen(
            enter.command(locate(lab, place), argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # an interrupt from the keyboard is the controller's business
        )

    def wait_ready(self, seconds: float = 15.0) -> None:
        """Wait until every target has answered. Raises LabError."""
        assert self._process.stdout
        deadline = time.monotonic() + seconds
        readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if readable and self._process.stdout.readline():
            return
        self._process.terminate()
        _, complaint = self._process.communicate(timeout=STOP_SECONDS)
        reason = complaint.strip() or f"no answer within {seconds:.0f} s"
        raise LabError(f"probing {', '.join(self.targets)} from {self.place}: {reason}")

    def end(self) -> None:
        """Have it send no more; `stop` then returns what it measured until now."""
        self._process.terminate()

    def stop(self) -> list[dict[str, Any]]:
        """End it when late answers had their time; return the result for each target. Raises LabError."""
        self._process.terminate()
        try:
            output, complaint = self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"the prober in {self.place} does not end") from None
        try:
            probes: list[dict[str, Any]] = json.loads(output.splitlines()[-1])["probes"]
        except (IndexError, KeyError, ValueError):
            raise LabError(
                f"the prober in {self.place} ended without a result: {complaint.strip()}"
            ) from None
        return probes

    def kill(self) -> None:
        """End it at once, without a result."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
