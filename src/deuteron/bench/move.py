"""Planned moves of a router from host to host: packets lost, and whether TCP connections survive."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, Flows, lateness
from deuteron.bench.processes import BenchError
from deuteron.bench.stage import CANDIDATES, Stage, build

AROUND_SECONDS = 1.0
"""Of undisturbed traffic before and after."""
MOVE_SECONDS = 60.0


@dataclass(frozen=True)
class Move:
    """One move and what the traffic met."""

    seconds: float
    """From the call until it was done."""
    flows: dict[str, Flow]


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Move the router `runs` times in one lab, from each host to the next. Raises BenchError, LabError."""
    moves: list[Move] = []
    try:
        with labs.lab() as lab:
            say("move: building")
            stage = build(lab)
            for number in range(runs):
                moves.append(_move(stage))
                lost = ", ".join(f"{name} {flow.lost} lost" for name, flow in moves[-1].flows.items())
                say(f"move: {number + 1} of {runs}: {lost}")
    finally:
        group.figures += figures(moves)
        group.notes += [lateness([one.flows for one in moves])] if moves else []


def _move(stage: Stage) -> Move:
    active = labs.settled(stage.client, stage.router, CANDIDATES)
    hosts = sorted(labs.ha_states(stage.client, stage.router))
    target = hosts[(hosts.index(active) + 1) % len(hosts)]
    with Flows(stage.lab.name, stage.ways) as flows:
        time.sleep(AROUND_SECONDS)
        started = time.monotonic()
        made = stage.client.post(f"/v1/routers/{stage.router}/move", {"host": target})["move"]
        _wait_until_done(stage, made["id"])
        seconds = time.monotonic() - started
        time.sleep(AROUND_SECONDS)
        found = flows.stop()
    arrived = labs.settled(stage.client, stage.router, CANDIDATES)
    if arrived != target:
        raise BenchError(f"router {stage.router} was moved to {target} and is active on {arrived}")
    return Move(seconds, found)


def _wait_until_done(stage: Stage, move: str) -> None:
    until = time.monotonic() + MOVE_SECONDS
    while True:
        moves = stage.client.get(f"/v1/routers/{stage.router}/moves")["moves"]
        found = next(one for one in moves if one["id"] == move)
        if not found["running"]:
            break
        if time.monotonic() > until:
            raise BenchError(f"move {move} is in phase {found['phase']} after {MOVE_SECONDS:.0f} s")
        time.sleep(0.02)
    if found["phase"] != "done":
        raise BenchError(
            f"move {move} to {found['to']} ended as {found['phase']}: {found['steps'][-1]['reason']}"
        )


def figures(moves: list[Move]) -> list[Figure]:
    """Return the figures of these moves."""
    found = [Figure("planned move: from the call to its end", "s", tuple(move.seconds for move in moves))]
    for name in moves[0].flows if moves else ():
        flows = [move.flows[name] for move in moves]
        lost = tuple(float(flow.lost) for flow in flows)
        survived = tuple(100.0 * flow.tcp_survived for flow in flows)
        found += [
            Figure(f"planned move: packets lost, {name}", "", lost, Bound("at most", 0, of="every")),
            Figure(f"planned move: TCP survived, {name}", "%", survived, Bound("at least", 100, of="every")),
        ]
    return found
