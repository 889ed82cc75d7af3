"""The four modes of a router: what it costs to go from each to each other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, Flows
from deuteron.bench.processes import BenchError
from deuteron.lab import ways
from deuteron.lab.modes import MODES
from deuteron.lab.state import Lab
from deuteron.lab.ways import EAST_WEST, Stage

TOUR = (
    *("legacy", "ha", "legacy", "dvr", "legacy", "dvr-ha"),
    *("ha", "dvr", "ha", "dvr-ha", "dvr", "dvr-ha", "legacy"),
)
"""Each pair of modes once, in both directions."""
OUTWARD_MS = 20.0
"""What a conversion may cost of what crosses the external network."""
AROUND_SECONDS = 1.0
CONVERSION_SECONDS = 120.0


@dataclass(frozen=True)
class Conversion:
    """One conversion, and what the traffic met."""

    before: str
    after: str
    seconds: float
    flows: Mapping[str, Flow]


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Go `runs` times from each mode to each other one, in one lab. Raises BenchError, LabError."""
    done: list[Conversion] = []
    try:
        with labs.lab() as found:
            say("modes: building")
            stage = ways.build(Lab(found.name), MODES[TOUR[0]])
            for number in range(runs):
                for mode in TOUR[1:]:
                    done.append(_convert(stage, mode))  # noqa: PERF401 - what was done before one fails is kept
                say(f"modes: {number + 1} of {runs} rounds")
    finally:
        group.figures += figures(done)


def _convert(stage: Stage, mode: str) -> Conversion:
    with Flows(stage.lab.name, stage.ways) as flows:
        time.sleep(AROUND_SECONDS)
        path = f"/v1/routers/{stage.scene.router}"
        asked = stage.scene.api.post(f"{path}/convert", {"mode": mode})["conversion"]
        seconds = _wait_until_done(stage, asked["id"])
        time.sleep(AROUND_SECONDS)
        met = flows.stop()
    return Conversion(asked["from"], mode, seconds, met)


def _wait_until_done(stage: Stage, id_: str) -> float:
    until = time.monotonic() + CONVERSION_SECONDS
    while True:
        there = stage.scene.api.get(f"/v1/routers/{stage.scene.router}/conversions")["conversions"]
        found = next(one for one in there if one["id"] == id_)
        if not found["running"]:
            break
        if time.monotonic() > until:
            raise BenchError(f"conversion {id_} is in phase {found['phase']}: {found['detail']}")
        time.sleep(0.05)
    if found["phase"] != "done":
        raise BenchError(f"the router stays {found['from']}: {found['detail']}")
    return float(found["seconds"])


def figures(done: Sequence[Conversion]) -> list[Figure]:
    """Return the figures of these conversions."""
    found = []
    for before, after in dict.fromkeys((one.before, one.after) for one in done):
        same = [one for one in done if (one.before, one.after) == (before, after)]
        name = f"{before} to {after}"
        lost = tuple(float(one.flows[EAST_WEST].lost) for one in same)
        gaps = tuple(max(f.gap_ms for n, f in one.flows.items() if n != EAST_WEST) for one in same)
        found += [
            Figure(f"{name}: from the call to its end", "s", tuple(one.seconds for one in same)),
            Figure(f"{name}: packets lost {EAST_WEST}", "", lost, Bound("at most", 0, of="every")),
            Figure(f"{name}: longest gap outward", "ms", gaps, Bound("at most", OUTWARD_MS, of="every")),
        ]
    survived = tuple(100.0 * flow.tcp_survived for one in done for flow in one.flows.values())
    bound = Bound("at least", 100, of="every")
    return [*found, Figure("conversions: TCP survived", "%", survived, bound)]
