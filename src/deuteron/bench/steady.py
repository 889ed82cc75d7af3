"""A redundant router to which nothing happens, on a busy machine: nothing may change hands."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, Flows, lateness
from deuteron.bench.stage import CANDIDATES, Stage, build

MINUTE = 60.0
BUSY_LOOPS = 4
_BUSY_LOOP = "while True: pass"


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Watch for `runs` minutes, busy loops beside the lab. Raises BenchError, LabError."""
    minutes: list[dict[str, Flow]] = []
    changes: list[float] = []
    try:
        with labs.lab() as lab:
            say("steady: building")
            stage = build(lab)
            labs.settled(stage.client, stage.router, CANDIDATES)
            with _busy_loops(BUSY_LOOPS):
                for number in range(runs):
                    before = _promotions(stage)
                    minutes.append(_minute(stage))
                    changes.append(float(_promotions(stage) - before))
                    lost = sum(flow.lost for flow in minutes[-1].values())
                    say(f"steady: minute {number + 1} of {runs}: {changes[-1]:.0f} failovers, {lost} lost")
    finally:
        group.figures += figures(minutes, changes)
        group.notes += [lateness(minutes)] if minutes else []


def _promotions(stage: Stage) -> int:
    """Return how often a host has become active for the router so far."""
    history = stage.client.get(f"/v1/routers/{stage.router}/history")["history"]
    return max((int(one["epoch"]) for one in history), default=0)


def _minute(stage: Stage) -> dict[str, Flow]:
    with Flows(stage.lab.name, stage.ways) as flows:
        time.sleep(MINUTE)
        return flows.stop()


@contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    """Keep so many processors busy meanwhile, as far as there are so many."""
    running = [subprocess.Popen([sys.executable, "-c", _BUSY_LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def figures(minutes: list[dict[str, Flow]], changes: list[float]) -> list[Figure]:
    """Return the figures of these minutes: failovers that nothing called for, and what traffic met."""
    none = Bound("at most", 0, of="every")
    found = [Figure(f"{BUSY_LOOPS} busy loops: failovers in a minute", "", tuple(changes), none)]
    for name in minutes[0] if minutes else ():
        flows = [one[name] for one in minutes]
        lost = tuple(float(flow.lost) for flow in flows)
        survived = tuple(100.0 * flow.tcp_survived for flow in flows)
        found += [
            Figure(f"{BUSY_LOOPS} busy loops: packets lost in a minute, {name}", "", lost),
            Figure(
                f"{BUSY_LOOPS} busy loops: TCP survived, {name}",
                "%",
                survived,
                Bound("at least", 100, of="every"),
            ),
        ]
    return found
