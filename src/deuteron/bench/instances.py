"""One instance behind each of many routers, and the time at which each was answered first."""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from deuteron.bench.labs import COMPUTE, OUTSIDE, Lab
from deuteron.bench.processes import BenchError

NAMESPACE = "bench"
PROGRAM = Path(__file__).with_name("forwarding.py")
STOP_TIMEOUT = 10.0


class Instances:
    """A namespace on a compute host in which forwarding.py runs, as long as the `with` block does."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._added: list[str] = []
        self._answers: dict[str, float] = {}
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)

    def __enter__(self) -> "Instances":
        self._lab.verb("exec", COMPUTE[0], "--", "ip", "netns", "add", NAMESPACE)
        inside = ("ip", "netns", "exec", NAMESPACE)
        program = (sys.executable, "-I", "-S", str(PROGRAM), OUTSIDE)
        self._process = self._lab.start(COMPUTE[0], *inside, *program, errors=self._errors)
        assert self._process.stdin
        assert self._process.stdout
        self._lines: IO[str] = self._process.stdin
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._lines.close()
            self._process.wait(STOP_TIMEOUT)
        except (subprocess.TimeoutExpired, OSError):
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def add(self, port: Mapping[str, Any], subnet: Mapping[str, Any]) -> None:
        """Plug in the instance of a port; its first address is on this subnet. Raises BenchError."""
        address = port["fixed_ips"][0]["ip_address"]
        length = subnet["cidr"].partition("/")[2]
        self._added.append(address)
        try:
            self._lines.write(
                f"{port['id']} {port['mac_address']} {address}/{length} {subnet['gateway_ip']}\n"
            )
            self._lines.flush()
        except OSError as error:
            raise BenchError(f"{PROGRAM.name} has ended: {self._complaint()}") from error

    def all_answers(self, timeout: float) -> list[float]:
        """Wait until every instance has been answered; return when each was, on the monotonic clock.

        Raises BenchError when some have not been after `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while len(self._answers) < len(self._added):
            if self._process.poll() is not None:
                raise BenchError(f"{PROGRAM.name} has ended: {self._complaint()}")
            if time.monotonic() > until:
                missing = [address for address in self._added if address not in self._answers]
                some = ", ".join(missing[:5])
                raise BenchError(
                    f"{len(missing)} of {len(self._added)} routers do not forward, {timeout:.0f} s later: "
                    f"the instances at {some} have no answer from {OUTSIDE}"
                )
            time.sleep(0.02)
        return list(self._answers.values())

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            address, seconds = line.split()
            self._answers[address] = float(seconds)

    def _complaint(self) -> str:
        self._errors.seek(0)
        return self._errors.read()[-1000:].strip() or "without a word"
