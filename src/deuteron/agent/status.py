"""What this host has to tell the server: ports up and down, elections, problems."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field

from deuteron.plan.units import ContestReport, ElectionReport, MeterReport, UplinkReport


@dataclass(frozen=True)
class News:
    """What a report tells: the changes since the last one, or everything."""

    full: bool
    ports_up: tuple[str, ...]
    ports_down: tuple[str, ...]
    elections: tuple[ElectionReport, ...]
    problems: dict[str, str]
    revision: str
    contests: tuple[ContestReport, ...] = ()
    uplinks: tuple[UplinkReport, ...] = ()
    copying: tuple[str, ...] = ()
    meters: tuple[MeterReport, ...] = ()


@dataclass
class _Changes:
    ports: set[str] = field(default_factory=set)
    elections: set[str] = field(default_factory=set)
    meters: set[tuple[str, str]] = field(default_factory=set)
    full: bool = True


class Status:
    """The state of this host as the agent sees it. All methods may be called from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        """Set when there is something that should be told at once."""
        self.delivered = time.monotonic()
        """When the server took a report last; at first, when the agent started."""
        self._lock = threading.Lock()
        self._up: dict[str, set[str]] = {}
        self._elections: dict[str, ElectionReport] = {}
        self._contests: dict[str, ContestReport] = {}
        self._uplinks: tuple[UplinkReport, ...] = ()
        self._meters: dict[tuple[str, str], MeterReport] = {}
        self._copying: frozenset[str] = frozenset()
        self._problems: dict[str, dict[str, str]] = {}
        self._revision = ""
        self._changes = _Changes()
        self._sources: list[Callable[[], Mapping[str, str]]] = []

    def set_port(self, port: str, up: bool, part: str = "") -> None:
        """Say whether a port (its id) carries traffic; it does when it does so for any part of its router."""
        with self._lock:
            was, parts = port in self._up, self._up.setdefault(port, set())
            (parts.add if up else parts.discard)(part)
            if not parts:
                del self._up[port]
            if was != (port in self._up):
                self._changes.ports.add(port)
                self.changed.set()

    def set_election(self, report: ElectionReport) -> None:
        """Say what this host is in an election."""
        with self._lock:
            if self._elections.get(report.id) != report:
                self._elections[report.id] = report
                self._changes.elections.add(report.id)
                self.changed.set()

    def forget_election(self, election: str) -> None:
        """This host is no candidate of an election any more."""
        with self._lock:
            self._elections.pop(election, None)
            self._contests.pop(election, None)
            self._changes.elections.discard(election)

    def set_contest(self, election: str, report: ContestReport | None) -> None:
        """Say how much of the underlay this host reaches, which is not the only active one in an election."""
        with self._lock:
            if self._contests.get(election) != report:
                self._contests.pop(election, None)
                if report is not None:
                    self._contests[election] = report
                    self.changed.set()

    def set_uplinks(self, uplinks: Iterable[UplinkReport]) -> None:
        """Say all that is known of the next hops of routers' gateways."""
        told = tuple(uplinks)
        with self._lock:
            if self._uplinks != told:
                self._uplinks = told
                self.changed.set()

    def set_meter(self, report: MeterReport) -> None:
        """Say what a router has counted; the next report tells it, whenever that is."""
        with self._lock:
            self._meters[report.router, report.label] = report
            self._changes.meters.add((report.router, report.label))

    def keep_meters(self, meters: Set[tuple[str, str]]) -> None:
        """Forget all meters, (router, label), but these."""
        with self._lock:
            self._meters = {key: report for key, report in self._meters.items() if key in meters}

    def set_copying(self, routers: frozenset[str]) -> None:
        """Say which routers are built to be opened, and are still told connections."""
        with self._lock:
            if self._copying != routers:
                self._copying = routers
                self.changed.set()

    def set_problems(self, source: str, problems: Mapping[str, str]) -> None:
        """Say all that is wrong in one part of the agent: unit key -> words."""
        with self._lock:
            if self._problems.get(source, {}) != problems:
                self._problems[source] = dict(problems)
                self.changed.set()

    def watch_problems(self, source: Callable[[], Mapping[str, str]]) -> None:
        """Ask a function for problems whenever a report is written."""
        self._sources.append(source)

    def set_revision(self, revision: str) -> None:
        """Say which plan is applied."""
        with self._lock:
            if revision != self._revision:
                self._revision = revision
                self.changed.set()

    def take(self) -> News:
        """Return the news since the last call: everything after `tell_all`."""
        asked = [source() for source in self._sources]
        with self._lock:
            self.changed.clear()
            changes, self._changes = self._changes, _Changes(full=False)
            problems: dict[str, str] = {}
            for found in (*self._problems.values(), *asked):
                problems.update(found)
            up = self._up.keys()
            ports: Set[str] = up if changes.full else changes.ports
            elections: Iterable[str] = self._elections if changes.full else changes.elections
            meters = self._meters.keys() & (self._meters.keys() if changes.full else changes.meters)
            return News(
                full=changes.full,
                ports_up=tuple(sorted(ports & up)),
                ports_down=tuple(sorted(ports - up)),
                elections=tuple(self._elections[name] for name in sorted(elections)),
                problems=problems,
                revision=self._revision,
                contests=tuple(self._contests[name] for name in sorted(self._contests)),
                uplinks=self._uplinks,
                copying=tuple(sorted(self._copying)),
                meters=tuple(self._meters[key] for key in sorted(meters)),
            )

    def tell_all(self) -> None:
        """Have the next report tell everything: the last one did not arrive."""
        with self._lock:
            self._changes.full = True
