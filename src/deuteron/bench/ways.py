"""Modes of a router: which way packets take, how long, how much goes through, what a power cut costs."""

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from deuteron.bench import labs, throughput
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, Flows
from deuteron.bench.processes import BenchError
from deuteron.lab import enter, lab, scene, trace, ways
from deuteron.lab.modes import MODES, Mode
from deuteron.lab.state import Lab
from deuteron.lab.ways import EAST_WEST, OUTSIDE_HOST, SNAT, Stage

PLAIN = "a bridge and VXLAN alone"
GAP_MS = 100.0
PINGS = 200
TRANSFERS = 5
LEAD_SECONDS = 1.0
AFTER_SECONDS = 3.0
"""Of traffic after the latest that somebody else takes over."""
COPY_SECONDS = 3.0
"""For connections to be copied to hosts that came back."""
_AVERAGE = re.compile(r"= [0-9.]+/([0-9.]+)/")

Samples = dict[str, list[float]]
"""By figure."""


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Measure all four modes in one lab, with `runs` power cuts in each. Raises BenchError, LabError."""
    speeds: Samples = {}
    try:
        with labs.lab() as found, throughput.plain() as alone:
            say("ways: building")
            first, *others = MODES.values()
            stage = ways.build(Lab(found.name), first)
            for mode in (first, *others):
                if mode != first:
                    stage = replace(stage, scene=scene.convert(stage.scene, mode))
                scene.settled(stage.scene, mode.candidates(ways.NETWORK_HOSTS))
                group.figures += [*_hosts(stage, mode), *_round_trips(stage, mode)]
                _transfers(stage, mode, alone, speeds)
                say(f"ways: {mode.name}: cutting power")
                group.figures += gaps(mode, [_cut(stage, mode) for _ in range(runs)])
    finally:
        group.figures += throughputs(speeds)


def _hosts(stage: Stage, mode: Mode) -> list[Figure]:
    """Return how many hosts of the cloud a packet passes."""
    found = []
    for name, (source, target) in stage.ways.items():
        traced = trace.trace(stage.lab, source, target)
        if not traced.answered:
            raise BenchError(f"{mode.name}: {source} does not reach {target}: {trace.describe(traced)}")
        passed = [host for host in traced.there.hosts if host != OUTSIDE_HOST]
        found.append(Figure(f"{mode.name}: hosts on the way, {name}", "", (float(len(passed)),)))
    return found


def _round_trips(stage: Stage, mode: Mode) -> list[Figure]:
    found = []
    for name, (source, target) in stage.ways.items():
        argv = ["ping", "-n", "-q", "-i", "0.005", "-c", str(PINGS), target]
        command = enter.command(lab.locate(stage.lab, source), argv)
        samples = []
        for _ in range(TRANSFERS):
            said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
            average = _AVERAGE.search(said)
            if average is None:
                raise BenchError(f"{source} does not reach {target}: {said.strip()[-200:]}")
            samples.append(float(average[1]))
        found.append(Figure(f"{mode.name}: round trip, {name}", "ms", tuple(samples)))
    return found


def _transfers(
    stage: Stage, mode: Mode, alone: tuple[throughput.Enter, throughput.Enter, str], speeds: Samples
) -> None:
    """Send as much as goes, east-west and, in turn, through a bridge alone."""
    source, target = stage.ways[EAST_WEST]
    receiver = next(i.name for i in stage.lab.instances().values() if target in i.addresses)

    def place(name: str) -> throughput.Enter:
        return lambda argv: enter.command(lab.locate(stage.lab, name), argv)

    for _ in range(TRANSFERS):
        speeds.setdefault(mode.name, []).append(throughput.measure(place(source), place(receiver), target))
        speeds.setdefault(PLAIN, []).append(throughput.measure(*alone))


def _cut(stage: Stage, mode: Mode) -> dict[str, Flow]:
    """Take the power of the host with the central part; return what traffic met when all is well again."""
    host = scene.settled(stage.scene, mode.candidates(ways.NETWORK_HOSTS))
    time.sleep(COPY_SECONDS)
    before = scene.started_at(stage.scene, host)
    with Flows(stage.lab.name, stage.ways) as flows:
        time.sleep(LEAD_SECONDS)
        lab.power_off(stage.lab, host)
        time.sleep(mode.takeover_ms / 1000 + AFTER_SECONDS)
        met = flows.stop()
    lab.power_on(stage.lab, host)
    scene.back(stage.scene, host, before)
    return met


def gaps(mode: Mode, rounds: Sequence[Mapping[str, Flow]]) -> list[Figure]:
    """Return the figures of power cuts in a mode."""
    found = []
    for name in rounds[0] if rounds else ():
        bound = None
        if mode.distributed and name != SNAT:
            bound = Bound("at most", 0, of="every")
        elif mode.redundant:
            bound = Bound("at most", GAP_MS)
        samples = tuple(one[name].gap_ms for one in rounds)
        found.append(Figure(f"{mode.name}: power cut, gap, {name}", "ms", samples, bound))
    survived = tuple(100.0 * flow.tcp_survived for one in rounds for flow in one.values())
    return [*found, Figure(f"{mode.name}: power cut, TCP survived", "%", survived)]


def throughputs(speeds: Mapping[str, Sequence[float]]) -> list[Figure]:
    """Return the figures of transfers, each mode's also by what a bridge alone took in the same turns."""
    found = [Figure(f"{name}: TCP {EAST_WEST}", "Gbit/s", tuple(all_)) for name, all_ in speeds.items()]
    plain = speeds.get(PLAIN, ())
    for number, mode in enumerate(name for name in speeds if name != PLAIN):
        turns = zip(speeds[mode], plain[number * TRANSFERS :], strict=False)
        shares = tuple(100 * speed / other for speed, other in turns)
        found.append(Figure(f"{mode}: TCP {EAST_WEST}, of what {PLAIN} takes", "%", shares))
    return found
