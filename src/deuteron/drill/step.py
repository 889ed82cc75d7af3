"""One step of a drill: do it under traffic, watch, and wait until all holds again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from deuteron.drill import acts, effects, invariants, planned, roles, seen, stage
from deuteron.drill.catalogue import Step
from deuteron.drill.effects import Effect
from deuteron.drill.invariants import Subject
from deuteron.drill.stage import Stage
from deuteron.drill.traffic import Met, Traffic
from deuteron.drill.underlay import Watch
from deuteron.lab import hosts as lab_hosts
from deuteron.lab.topology import LabError

LEAD_SECONDS = 0.5
"""Of undisturbed traffic before something is done."""
FIRST_LOOK_SECONDS = 1.0
"""After what was done: looking costs processor time, which what is measured needs."""
BETWEEN_LOOKS_SECONDS = 1.0
COPY_SECONDS = 3.0
"""After all has settled: connections are still being copied to candidates that are new."""
REPAIR_SECONDS = 90.0


Places = Sequence[tuple[acts.Act, Sequence[str]]]
"""Things that are done, and to which hosts each."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a step did and how it went."""

    drill: str
    step: str
    hosts: tuple[str, ...]
    """To which of them it was done."""
    effect: Effect
    met: Met | None
    settled_s: float | None
    """From the end of what was done; None when it did not settle, or nothing was left that could."""
    missed: tuple[str, ...]
    """What was worse than it may be."""
    evidence: dict[str, Any] | None = None

    @property
    def kept(self) -> bool:
        """Whether everything was as it shall be."""
        return not self.missed


@dataclass(frozen=True)
class Drilled:
    """A stage and what is judged on it."""

    stage: Stage
    subject: Subject


def prepare(built: Stage) -> Drilled:
    """Wait until a new stage has settled, and return it ready to be drilled. Raises LabError."""
    deadline = time.monotonic() + REPAIR_SECONDS
    while time.monotonic() < deadline:
        for unit in (unit for host in built.candidates() for unit in seen.plan(built, host) or ()):
            if unit["kind"] == "router" and unit["id"] == built.router:
                subject = Subject(built.router, built.mode, int(unit["number"]), built.controller())
                drilled = Drilled(built, subject)
                settle(drilled, deadline)
                return drilled
        time.sleep(0.2)
    raise LabError("no host's plan has the router")


def take(drilled: Drilled, drill: str, step: Step, effect: Effect | None = None) -> Outcome:
    """Take a step. Raises LabError when it cannot be taken; that it goes badly is in the outcome."""
    effect = effect or effects.of_all(step.acts, drilled.stage.mode)
    found = roles.of(drilled.stage, drilled.subject, seen.hosts(drilled.stage, kernels=True))
    done_to = [(act, acts.places(act, found)) for act in step.acts]
    with Watch(drilled.stage) as watch:
        met, settled, left = _go(drilled, step, effect, done_to, watch)
        strays = watch.end()
    missed = [
        *(effects.misses(effect, met, drilled.stage.mode) if met else ()),
        *strays,
        *(f"does not settle: {text}" for text in left),
    ]
    outcome = Outcome(
        drill=drill,
        step=str(step),
        hosts=tuple(host for _, on in done_to for host in on),
        effect=effect,
        met=met,
        settled_s=settled,
        missed=tuple(missed),
        evidence=seen.evidence(drilled.stage) if missed else None,
    )
    if step.settles and not left:
        time.sleep(COPY_SECONDS)
    return outcome


def _go(
    drilled: Drilled, step: Step, effect: Effect, done_to: Places, watch: Watch
) -> tuple[Met | None, float | None, list[str]]:
    """Do what is to be done; return what the traffic met, when all had settled, and what does not."""
    met, settled = None, None
    becomes = step.leads_to(drilled.stage.mode)
    if becomes.distributed and not step.converts:
        watch.begin()
    if step.traffic:
        with Traffic(drilled.stage) as traffic:
            time.sleep(LEAD_SECONDS)
            last, end = _perform(drilled.stage, done_to)
            if becomes.distributed:
                watch.begin()
            settled = _watch(drilled, end, effect.watch_s)
            met = traffic.stop(last)
    else:
        _, end = _perform(drilled.stage, done_to)
    if settled is not None or not step.settles:
        return met, settled, []
    _revive(drilled.stage)
    return met, *_settle(drilled, end, end + effect.settled_s)


def settle(drilled: Drilled, deadline: float) -> None:
    """Wait until all invariants hold. Raises LabError with what does not."""
    _revive(drilled.stage)
    _, left = _settle(drilled, time.monotonic(), deadline)
    if left:
        raise LabError(f"it does not settle: {'; '.join(left)}")
    time.sleep(COPY_SECONDS)


def repair(drilled: Drilled) -> None:
    """Undo all damage, and wait until all is well. Raises LabError when it does not become so."""
    built = drilled.stage
    now = seen.hosts(built, kernels=False)
    for name, host in now.items():
        if host.state == "frozen":
            lab_hosts.ask(built.lab, name, "thaw")
        if host.state == "off":
            acts.perform(built, acts.Act("power on", "dead host"), [name])
        for network in sorted(host.cut):
            acts.perform(built, acts.Act("heal", "cut host", network), [name])
    planned.restore(built, REPAIR_SECONDS)
    settle(drilled, time.monotonic() + REPAIR_SECONDS)


def look(drilled: Drilled) -> list[str]:
    """Return in words which invariants do not hold now; kernels only when the server's view is well."""
    built, subject = drilled.stage, drilled.subject
    now = seen.hosts(built, kernels=False)
    told = [name for name in built.agents() if now[name].managed]
    reachable = now[subject.controller].state == "on"
    view = seen.view(built, []) if reachable else None
    if found := invariants.in_view(subject, view, now):
        return found
    now = seen.hosts(built, kernels=True)
    view = seen.view(built, told) if reachable else None
    return [
        *invariants.in_view(subject, view, now),
        *invariants.in_kernels(subject, view, now),
        *invariants.on_the_wire(subject, now, seen.answering(built)),
    ]


def _perform(built: Stage, done_to: Places) -> tuple[float, float]:
    """Do it; return the Unix time of the last act and the monotonic time of its end."""
    last = time.time()
    for act, on in done_to:
        last = acts.perform(built, act, on)
    return last, time.monotonic()


def _watch(drilled: Drilled, begin: float, seconds: float) -> float | None:
    """Let the traffic run; return when all had settled meanwhile, if it had. Raises LabError."""
    settled = None
    next_look = begin + FIRST_LOOK_SECONDS
    while (now := time.monotonic()) < begin + seconds:
        if settled is None and now >= next_look:
            settled = _since(begin) if not _looked(drilled) else None
            next_look = time.monotonic() + BETWEEN_LOOKS_SECONDS
        time.sleep(0.02)
    return settled


def _settle(drilled: Drilled, begin: float, deadline: float) -> tuple[float | None, list[str]]:
    """Wait until all holds; return how long that took since `begin`, or what does not hold at the end."""
    while True:
        left = _looked(drilled)
        if not left:
            return _since(begin), []
        if time.monotonic() > deadline:
            return None, left
        time.sleep(BETWEEN_LOOKS_SECONDS)


def _looked(drilled: Drilled) -> list[str]:
    try:
        return look(drilled)
    except LabError as error:  # a host that changes while one looks
        return [str(error)]


def _since(begin: float) -> float:
    return time.monotonic() - begin


def _revive(built: Stage) -> None:
    """Boot those instances that went with their host, when it is back."""
    now = seen.hosts(built, kernels=False)
    there = stage.running(built)
    for name, (host, _) in stage.PLACED.items():
        if name not in there and now[host].state == "on":
            deadline = time.monotonic() + REPAIR_SECONDS
            while True:
                try:
                    stage.boot(built, name)
                    break
                except LabError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(1.0)


def failed(drill: str, why: str, drilled: Drilled) -> Outcome:
    """Return the outcome of what could not be done to its end."""
    return Outcome(
        drill=drill,
        step="broken off",
        hosts=(),
        effect=effects.NOTHING,
        met=None,
        settled_s=None,
        missed=(why,),
        evidence=seen.evidence(drilled.stage),
    )
