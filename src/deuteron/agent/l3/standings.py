"""What the switch tells, as the agent reports it."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from deuteron.agent.l3.switch import client
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.status import Status
from deuteron.plan.units import ElectionReport

log = logging.getLogger(__name__)

_PAUSE = 0.5


class Standings(threading.Thread):
    """A thread that follows the elections; `problems` says when there is no switch."""

    def __init__(self, places: Places, status: Status, hear: Callable[[str], None]) -> None:
        """Begin with start(); `hear` is called with an election in which an active host is heard again."""
        super().__init__(name="standings", daemon=True)
        self._places = places
        self._status = status
        self._hear = hear
        self._problem = "the switch was not asked yet"

    def problems(self) -> dict[str, str]:
        """Return what is wrong: unit key -> words."""
        return {"agent/switch": self._problem} if self._problem else {}

    def run(self) -> None:
        """Follow, for ever."""
        while True:
            try:
                with client.watching(self._places) as news:
                    self._set_problem("")
                    for item in news:
                        self._take(item)
                self._set_problem("the switch hung up")
            except (client.SwitchError, ValueError, KeyError) as error:
                self._set_problem(str(error))
            time.sleep(_PAUSE)

    def _take(self, item: dict[str, Any]) -> None:
        if "heard" in item:
            self._hear(item["heard"])
        told = item["all"]["elections"] if "all" in item else [item["election"]] if "election" in item else ()
        for standing in told:
            self._status.set_election(ElectionReport(**standing))

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._status.changed.set()
