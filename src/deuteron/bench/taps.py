"""Many instances that are nothing but ports with devices, plugged as a hypervisor does."""

import subprocess
import tempfile
import threading
import time
from typing import IO

from deuteron.bench.labs import Lab
from deuteron.bench.load import Client
from deuteron.bench.processes import BenchError

OWNER = "compute:nova"
ACTIVE_TIMEOUT = 180.0
STOP_TIMEOUT = 10.0
_POLL_SECONDS = 0.05


class Taps:
    """The devices of one host's instances: one `ip -batch`, as long as the block; they go with the lab."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.host = host
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed in __exit__)
        self._lock = threading.Lock()
        self._process = lab.start(host, "ip", "-batch", "-", errors=self._errors)
        assert self._process.stdin
        self._lines: IO[str] = self._process.stdin

    def __enter__(self) -> "Taps":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._lines.close()
            self._process.wait(STOP_TIMEOUT)
        except (subprocess.TimeoutExpired, OSError):
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def plug(self, port: str) -> None:
        """Make the device of a port (its id), soon. From any thread. Raises BenchError."""
        try:
            with self._lock:
                self._lines.write(f"tuntap add dev tap{port[:11]} mode tap\n")
                self._lines.flush()
        except OSError as error:
            self._errors.seek(0)
            said = self._errors.read()[-500:].strip()
            raise BenchError(f"host {self.host}: devices cannot be made: {said}") from error


def wait_active(client: Client) -> None:
    """Wait until all ports of instances are ACTIVE. Raises BenchError."""
    until = time.monotonic() + ACTIVE_TIMEOUT
    path = f"/v2.0/ports?device_owner={OWNER}&status=DOWN&fields=id&limit=1"
    while down := client.call("GET", path)["ports"]:
        if time.monotonic() > until:
            raise BenchError(f"port {down[0]['id']} is not ACTIVE after {ACTIVE_TIMEOUT:.0f} s")
        time.sleep(_POLL_SECONDS)
