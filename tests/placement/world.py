"""A cloud without threads, whose time passes when a test says so: hours of failures in seconds."""

import sys
import threading
import types
from collections.abc import Callable
from typing import Any, TypeVar

from deuteron.placement import moves, service
from deuteron.placement.reports import Reports
from deuteron.placement.service import Placement
from deuteron.plan.hub import Hub
from deuteron.settings import ServerSettings
from deuteron.store import Database, feed
from tests.placement.cloud import Agent, Cloud
from tests.placement.steps import open_on

T = TypeVar("T")
TICK = 0.11
"""Seconds: an overlap of a move ends within one."""
LEAP = 2.5
"""Seconds: less than what the server takes for having slept."""


class Clock(types.ModuleType):
    """In place of the module `time`."""

    def __init__(self) -> None:
        super().__init__("time")
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def shared(clock: Clock) -> Callable[[], None]:
    """Have all that decides go by a clock; return what undoes it."""
    undo: list[tuple[types.ModuleType, str, Any]] = [(service, "LEASE_SECONDS", service.LEASE_SECONDS)]
    service.LEASE_SECONDS = 600.0  # by the clock of the database, which goes on while a test computes
    for name, module in list(sys.modules.items()):
        deciding = name.startswith(("deuteron.placement.", "deuteron.plan.", "deuteron.resources."))
        if (deciding or name == "tests.placement.cloud") and isinstance(
            getattr(module, "time", None), types.ModuleType
        ):
            undo.append((module, "time", module.__dict__["time"]))
            module.__dict__["time"] = clock

    def restore() -> None:
        for module, name, before in undo:
            module.__dict__[name] = before

    return restore


class World(Cloud):
    """The same insides, stepped by hand."""

    def __init__(self, url: str, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        self.settings = ServerSettings(database=url, **settings)
        self.db = Database(url)
        self.hub = Hub(self.db, self.settings.dns_domain, threading.Event())
        self.reports = Reports(self.db, self.hub, self.settings.agent_down_time, self.settings.dvr_base_mac)
        self.placement = Placement(self.db, self.settings)
        self.agents: dict[str, Agent] = {}

    def close(self) -> None:
        self.db.close()

    def restart(self) -> None:
        """Have another controller take over."""
        self.placement.hand_over()
        self.placement = Placement(self.db, self.settings)

    def tell(self) -> None:
        """Let all agents know and do what the database says, and say so."""
        for _ in range(2):
            self.hub.catch_up()
            for agent in list(self.agents.values()):
                agent.step()
        self.hub.catch_up()

    def step(self, seconds: float = TICK) -> None:
        """Let time pass; then everybody does what there is to do."""
        self.clock.now += seconds
        self.tell()
        self.placement.turn()
        self.tell()

    def until(self, true: Callable[[], T], seconds: float = 60.0) -> T:
        """Let time pass until something is true; return it."""
        end = self.clock.now + seconds
        while not (found := true()):
            assert self.clock.now < end, f"not in {seconds} s"
            self.step()
        return found

    def leap(self, seconds: float) -> None:
        """Let much time pass."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.step(LEAP)

    def settle(self) -> None:
        """Let time pass until nothing changes any more."""
        quiet = 0
        for _ in range(400):
            before = self.db.read_now(feed.head)
            moving = self.db.read_now(moves.all_running)
            self.step(TICK if moving else LEAP)
            quiet = quiet + 1 if self.db.read_now(feed.head) == before and not moving else 0
            if quiet * LEAP > max(service.SWEEP_SECONDS, service.RETRY_SECONDS) + LEAP:
                return
        raise AssertionError("it does not come to rest")

    def open_on(self, router: str) -> set[str]:
        """The living hosts on which a router forwards."""
        return {name for name in open_on(self, router) if not self.agents[name].silent}
