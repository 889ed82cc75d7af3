"""Whether what is on every host stays on each: gateways of distributed routers are never on the underlay."""

import json
import select
import subprocess
import sys
from collections.abc import Iterable, Mapping
from types import TracebackType

from deuteron.drill.stage import Stage
from deuteron.lab import wires
from deuteron.lab.listener import Frame
from deuteron.lab.topology import LabError

READY_SECONDS = 15.0
END_SECONDS = 15.0
SHOWN = 5
"""How many kinds of frames are told."""


class Watch:
    """A listener at all ports of the underlay, from `begin` on; nothing runs until then."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.kill()
            self._process.communicate()

    def begin(self) -> None:
        """Listen, if that has not begun. Raises LabError."""
        if self._process:
            return
        argv = [sys.executable, "-m", "deuteron.lab.listener", "any", *self._stage.gateways]
        self._process = subprocess.Popen(
            wires.command(self._stage.lab.name, argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout
        ready = select.select([self._process.stdout], [], [], READY_SECONDS)[0]
        if not ready or self._process.stdout.readline() != "listening\n":
            self._process.kill()
            raise LabError(f"the underlay cannot be listened to: {self._process.communicate()[1].strip()}")

    def end(self) -> list[str]:
        """Return in words what was there and should not have been. Raises LabError."""
        if not self._process:
            return []
        output, complaint = self._process.communicate(timeout=END_SECONDS)
        if self._process.returncode:
            raise LabError(f"listening to the underlay failed: {complaint.strip()}")
        heard = [json.loads(line) for line in output.splitlines()]
        frames = [(one.pop("at"), Frame(**one)) for one in heard]
        return escaped(self._stage.gateways, (frame for _, frame in frames))


def escaped(gateways: Mapping[str, frozenset[str]], frames: Iterable[Frame]) -> list[str]:
    """Return in words which frames have left a host that belong to a gateway that is on every host."""
    addresses = {address: mac for mac, them in gateways.items() for address in them}
    found = []
    for frame in frames:
        if frame.source in gateways:
            what = f"a frame from the gateway {frame.source} to {frame.destination}"
        elif frame.destination in gateways:
            what = f"a frame from {frame.source} to the gateway {frame.destination}"
        elif frame.about in addresses:
            what = f"a question or answer of {frame.source} about the gateway {frame.about}"
        else:
            continue
        about = f", about {frame.about}" if frame.about else ""
        found.append(f"{frame.device.partition('-')[2]} sent {what} (type {frame.type}{about}) to {frame.to}")
    more = [f"and {len(found) - SHOWN} more such kinds of frames"] if len(found) > SHOWN else []
    return found[:SHOWN] + more
