"""Makes the host so: one thread that hands changes to the managers and has them apply."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deuteron.agent.manager import Manager
from deuteron.agent.plan import Batch, Plan, PlanFile
from deuteron.agent.status import Status
from deuteron.plan.units import Unit

log = logging.getLogger(__name__)

_BACK_OFF = (0.1, 5.0)
_REST = 10.0
"""The next attempt waits so many times as long as one took: failing costs a tenth of a processor at most."""
_PAUSE = 0.02
"""Seconds until the next turn of a manager that has more to do."""
RECHECK_EVERY = 300.0
"""Seconds between comparisons of everything with the kernel."""


@dataclass
class _Turn:
    """When a manager is to apply next."""

    manager: Manager
    due: float = 0.0
    failures: int = 0
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return type(self.manager).__name__


def retry_after(failures: int, took: float) -> float:
    """Return after how many seconds a manager tries again that failed so often, and took so long at last."""
    return max(min(_BACK_OFF[0] * 2.0 ** min(failures, 10), _BACK_OFF[1]), _REST * took)


class Reconciler(threading.Thread):
    """Applies plans through managers, in their order; what fails is tried again, later and later."""

    def __init__(self, plan_file: PlanFile, managers: Sequence[Manager], status: Status) -> None:
        """Start from the plan on disk, if there is one; start() begins."""
        super().__init__(name="reconciler", daemon=True)
        self._file = plan_file
        self._status = status
        self._turns = [_Turn(manager, math.inf) for manager in managers]
        self._inbox: deque[Callable[[], None]] = deque()
        self._wake = threading.Event()
        self._next_recheck = 0.0
        self._refusal = ""
        self._plan = Plan()
        kept = plan_file.load()
        if kept:
            log.info("the plan on disk has %d units, revision %r", len(kept.units), kept.revision)
            self._plan = Plan(revision=kept.revision, complete=True)
            self._take(Batch(True, kept.units, revision=kept.revision, database=kept.database))

    @property
    def revision(self) -> str:
        """The plan that is known, "" for none."""
        return self._plan.revision

    def submit(self, batch: Batch) -> None:
        """Apply a batch soon. From any thread."""
        self._post(lambda: self._keep(batch))

    def wake(self, manager: Manager, note: Callable[[], None]) -> None:
        """Have a manager apply soon, after `note` was called in the reconcile thread. From any thread."""

        def deliver() -> None:
            note()
            for turn in self._turns:
                if turn.manager is manager:
                    turn.due = 0.0

        self._post(deliver)

    def recheck(self) -> None:
        """Compare everything with the kernel soon. From any thread."""
        self._post(self._recheck)

    def run(self) -> None:
        """Reconcile, for ever."""
        while True:
            self._wake.wait(self._pause())
            self._wake.clear()
            self.step()

    def step(self) -> None:
        """Take what came in and give every manager that is due a turn."""
        while self._inbox:
            self._inbox.popleft()()
        if not self._plan.complete:
            return
        now = time.monotonic()
        if now >= self._next_recheck:
            self._recheck()
        self._give_turns(now)
        self._tell()

    def _give_turns(self, now: float) -> None:
        worked = False
        for turn in self._turns:
            # What failed may have waited for what an earlier manager has made just now.
            if turn.due <= now or (worked and turn.problems):
                worked = True
                self._apply(turn)

    def _apply(self, turn: _Turn) -> None:
        began = time.monotonic()
        try:
            problems = turn.manager.apply()
        except Exception as error:  # one manager's fault must not stop the others
            log.exception("%s failed", turn.name)
            problems = {f"agent/{turn.name}": f"{type(error).__name__}: {error}"}
        for key, words in problems.items():
            if turn.problems.get(key) != words:
                log.warning("%s: %s", key, words)
        for key in turn.problems.keys() - problems.keys():
            log.info("%s: well again", key)
        turn.problems = problems
        turn.failures = turn.failures + 1 if problems else 0
        if turn.manager.pending:
            turn.due = time.monotonic() + _PAUSE
        elif problems:
            now = time.monotonic()
            turn.due = now + retry_after(turn.failures, now - began)
        else:
            turn.due = math.inf

    def _tell(self) -> None:
        for turn in self._turns:
            self._status.set_problems(turn.name, turn.problems)
        trouble = "; ".join(filter(None, (self._refusal, self._file.problem)))
        own = {"agent/plan": trouble} if trouble else {}
        self._status.set_problems("plan", self._plan.unreadable | own)
        if not any(turn.manager.pending for turn in self._turns):
            self._status.set_revision(self._plan.revision)

    def _pause(self) -> float | None:
        if self._inbox or not self._plan.complete:
            return 0.0 if self._inbox else None
        due = min([self._next_recheck, *(turn.due for turn in self._turns)])
        return max(0.0, due - time.monotonic())

    def _post(self, note: Callable[[], None]) -> None:
        self._inbox.append(note)
        self._wake.set()

    def _keep(self, batch: Batch) -> None:
        refusal = self._plan.refusal(batch)
        if refusal or (self._refusal and not batch.full):
            self._refuse(refusal)
            return
        self._refusal = ""
        changed, gone = self._plan.take(batch)
        self._file.append(batch, self._plan)
        self._notify(changed, gone)

    def _refuse(self, why: str) -> None:
        """Keep to the plan that is known; what follows a plan that was refused is refused too."""
        if why and why != self._refusal:
            log.error("%s. If this is meant, remove %s and restart the agent", why, self._file.file)
            self._refusal = why

    def _take(self, batch: Batch) -> None:
        self._notify(*self._plan.take(batch))

    def _notify(self, changed: list[Unit], gone: list[str]) -> None:
        for turn in self._turns:
            kinds = turn.manager.kinds
            for unit in changed:
                if isinstance(unit, kinds):
                    turn.manager.put(unit)
                    turn.due, turn.failures = 0.0, 0
            tags = {kind.__struct_config__.tag for kind in kinds}
            for key in gone:
                if key.partition("/")[0] in tags:
                    turn.manager.delete(key)
                    turn.due, turn.failures = 0.0, 0

    def _recheck(self) -> None:
        self._next_recheck = time.monotonic() + RECHECK_EVERY
        for turn in self._turns:
            turn.manager.recheck()
            turn.due = 0.0
