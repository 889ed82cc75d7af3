"""The four modes of a router: what it costs to go from each to each other, and how long packets take."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, flow
from deuteron.bench.labs import COMPUTE, OUTSIDE, OUTSIDE_HOST
from deuteron.bench.processes import BenchError
from deuteron.lab import enter, instances, scene
from deuteron.lab import lab as lab_of
from deuteron.lab.modes import MODES
from deuteron.lab.probing import Prober
from deuteron.lab.scene import Scene
from deuteron.lab.state import Lab

TOUR = (
    *("legacy", "ha", "legacy", "dvr", "legacy", "dvr-ha"),
    *("ha", "dvr", "ha", "dvr-ha", "dvr", "dvr-ha", "legacy"),
)
"""Each pair of modes once, in both directions."""
INSIDE = "between networks"
OUTWARD_MS = 20.0
"""What a conversion may cost of what crosses the external network."""
AROUND_SECONDS = 1.0
CONVERSION_SECONDS = 120.0
PINGS = 200
_AVERAGE = re.compile(r"= [0-9.]+/([0-9.]+)/")


@dataclass(frozen=True)
class Stage:
    """A lab with a router between two networks, and what is probed."""

    lab: Lab
    scene: Scene
    ways: Mapping[str, tuple[str, str]]
    """Name of a flow -> (where from, address)."""


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
    trips: dict[tuple[str, str], list[float]] = {}
    try:
        with labs.lab() as found:
            say("modes: building")
            stage = _build(Lab(found.name))
            for number in range(runs):
                for mode in TOUR[1:]:
                    done.append(_convert(stage, mode))
                    for name, (place, address) in stage.ways.items():
                        trips.setdefault((mode, name), []).append(_round_trip(stage, place, address))
                say(f"modes: {number + 1} of {runs} rounds")
    finally:
        group.figures += [*figures(done), *latencies(trips)]


def _build(lab: Lab) -> Stage:
    built = scene.build(lab_of.client(lab), MODES[TOUR[0]])
    places = (
        ("inside", COMPUTE[0], built.network),
        ("served", COMPUTE[1], built.network),
        ("neighbour", COMPUTE[1], built.second),
    )
    booted = {name: instances.boot(lab, name, host, network=on).instance for name, host, on in places}
    ways = {
        "SNAT": ("inside", OUTSIDE),
        "floating IP": (OUTSIDE_HOST, scene.floating_ip(built, booted["served"].port)),
        INSIDE: ("inside", booted["neighbour"].addresses[0]),
    }
    return Stage(lab, built, ways)


def _convert(stage: Stage, mode: str) -> Conversion:
    with ExitStack() as stack:
        probers = {}
        for name, (place, address) in stage.ways.items():
            probers[name] = Prober(stage.lab, place, [f"udp:{address}", f"tcp:{address}"])
            stack.callback(probers[name].kill)
        for prober in probers.values():
            prober.wait_ready()
        time.sleep(AROUND_SECONDS)
        path = f"/v1/routers/{stage.scene.router}"
        asked = stage.scene.api.post(f"{path}/convert", {"mode": mode})["conversion"]
        seconds = _wait_until_done(stage, asked["id"])
        time.sleep(AROUND_SECONDS)
        met = {name: flow(*prober.stop()) for name, prober in probers.items()}
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


def _round_trip(stage: Stage, place: str, address: str) -> float:
    """Return the mean round trip in milliseconds."""
    argv = ["ping", "-n", "-q", "-i", "0.005", "-c", str(PINGS), address]
    command = enter.command(lab_of.locate(stage.lab, place), argv)
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    found = _AVERAGE.search(said)
    if found is None:
        raise BenchError(f"{place} does not reach {address}: {said.strip()[-200:]}")
    return float(found[1])


def figures(done: Sequence[Conversion]) -> list[Figure]:
    """Return the figures of these conversions."""
    found = []
    for before, after in dict.fromkeys((one.before, one.after) for one in done):
        same = [one for one in done if (one.before, one.after) == (before, after)]
        name = f"{before} to {after}"
        lost = tuple(float(one.flows[INSIDE].lost) for one in same)
        gaps = tuple(max(f.gap_ms for n, f in one.flows.items() if n != INSIDE) for one in same)
        found += [
            Figure(f"{name}: from the call to its end", "s", tuple(one.seconds for one in same)),
            Figure(f"{name}: packets lost {INSIDE}", "", lost, Bound("at most", 0, of="every")),
            Figure(f"{name}: longest gap outward", "ms", gaps, Bound("at most", OUTWARD_MS, of="every")),
        ]
    survived = tuple(100.0 * flow.tcp_survived for one in done for flow in one.flows.values())
    bound = Bound("at least", 100, of="every")
    return [*found, Figure("conversions: TCP survived", "%", survived, bound)]


def latencies(trips: Mapping[tuple[str, str], Sequence[float]]) -> list[Figure]:
    """Return the round trips by mode and flow."""
    return [
        Figure(f"{mode}: round trip, {name}", "ms", tuple(samples))
        for (mode, name), samples in sorted(trips.items())
    ]
