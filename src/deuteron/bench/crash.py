"""Power cuts of the host that carries the router: the gaps, and whether TCP connections survive."""

import time
from collections.abc import Callable

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, Flows, lateness
from deuteron.bench.processes import BenchError
from deuteron.bench.stage import CANDIDATES, Stage, build
from deuteron.lab.client import Client

GAP_MS = 100.0
LEAD_SECONDS = 1.0
"""Of undisturbed traffic before the cut."""
AFTER_SECONDS = 4.0
"""Of traffic after the cut: longer than any gap that is not a failure."""
BACK_SECONDS = 60.0
SETTLE_SECONDS = 3.0
"""After all candidates are back: connections are being copied to them."""


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Cut the power `runs` times in one lab. Raises BenchError, LabError."""
    rounds: list[dict[str, Flow]] = []
    try:
        with labs.lab() as lab:
            say("crash: building")
            stage = build(lab)
            for number in range(runs):
                rounds.append(_cut(stage))
                gaps = ", ".join(f"{name} {flow.gap_ms:.0f} ms" for name, flow in rounds[-1].items())
                say(f"crash: power cut {number + 1} of {runs}: {gaps}")
    finally:
        group.figures += figures(rounds)
        group.notes += [lateness(rounds)] if rounds else []


def _cut(stage: Stage) -> dict[str, Flow]:
    host = labs.settled(stage.client, stage.router, CANDIDATES)
    time.sleep(SETTLE_SECONDS)
    started = _started(stage.client, host)
    with Flows(stage.lab.name, stage.ways) as flows:
        time.sleep(LEAD_SECONDS)
        stage.lab.verb("power-off", host)
        time.sleep(AFTER_SECONDS)
        found = flows.stop()
    stage.lab.verb("power-on", host)
    _wait_until_back(stage.client, host, started)
    return found


def _started(client: Client, host: str) -> str:
    agents = client.get("/v2.0/agents", host=host, agent_type="L3 agent")["agents"]
    if not agents:
        raise BenchError(f"host {host} carries the router and has no L3 agent")
    return str(agents[0]["started_at"])


def _wait_until_back(client: Client, host: str, before: str) -> None:
    """Wait until another agent than the one started at `before` reports from a host. Raises BenchError."""
    until = time.monotonic() + BACK_SECONDS
    while _started(client, host) == before:
        if time.monotonic() > until:
            raise BenchError(f"host {host}: no report {BACK_SECONDS:.0f} s after its power came back")
        time.sleep(0.1)


def figures(rounds: list[dict[str, Flow]]) -> list[Figure]:
    """Return the figures of these rounds: for each flow the gap and how TCP took it."""
    found = []
    for name in rounds[0] if rounds else ():
        flows = [one[name] for one in rounds]
        survived = tuple(100.0 * flow.tcp_survived for flow in flows)
        every = Bound("at least", 100, of="every")
        gaps = tuple(flow.gap_ms for flow in flows)
        stalls = tuple(flow.tcp_stall_ms for flow in flows)
        found += [
            Figure(f"power cut: gap, {name}", "ms", gaps, Bound("at most", GAP_MS)),
            Figure(f"power cut: TCP survived, {name}", "%", survived, every),
            Figure(f"power cut: longest silence of TCP, {name}", "ms", stalls),
        ]
    return found
