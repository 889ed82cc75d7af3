"""The routers of this host as they come, go, open and close."""

import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from deuteron.agent.l3.conntrack_sync.copier import Copier
from deuteron.agent.l3.conntrack_sync.counters import Counters
from deuteron.agent.l3.conntrack_sync.dumper import Dumper
from deuteron.agent.l3.conntrack_sync.table import Table, identity
from deuteron.agent.l3.conntrack_sync.underlay import Underlay
from deuteron.agent.l3.switch import records
from deuteron.agent.l3.switch.records import Places, Router

log = logging.getLogger(__name__)

_Stamp = tuple[int, int]


class Fleet:
    """Has a copier for each router that has twins, and the table of its namespace while there is one.

    `on_open` and `on_close` are called when a copier begins to hear its table, and before it ends to.
    """

    def __init__(
        self,
        places: Places,
        underlay: Underlay,
        dumper: Dumper,
        counters: Counters,
        on_open: Callable[[Copier, socket.socket], None],
        on_close: Callable[[Copier, socket.socket], None],
    ) -> None:
        """Nothing is read before `look`."""
        self._places = places
        self._underlay = underlay
        self._dumper = dumper
        self._counters = counters
        self._on_open = on_open
        self._on_close = on_close
        self._files: dict[str, tuple[_Stamp, Router | None]] = {}
        self._open: dict[str, bool] = {}
        self._problems: dict[str, str] = {}
        self.copiers: dict[str, Copier] = {}
        self.by_number: dict[int, Copier] = {}

    def set_gates(self, gates: Mapping[str, bool | None], whole: bool, now: float) -> None:
        """Take which gates are open, all of them when `whole`; None for a router that is gone."""
        known = {id_: is_open for id_, is_open in gates.items() if is_open is not None}
        if whole:
            self._open = known
        else:
            for id_ in gates.keys() - known.keys():
                self._open.pop(id_, None)
            self._open.update(known)
        self.look(now, None if whole else gates)

    def look(self, now: float, routers: Iterable[str] | None = None) -> None:
        """Compare with the files and the namespaces, for these routers or for all that there are."""
        if routers is None:
            routers = self._places.routers() | self.copiers.keys()
        for id_ in routers:
            try:
                self._look_at(id_, now)
                self._problems.pop(id_, None)
            except (OSError, ValueError) as error:
                if self._problems.get(id_) != str(error):
                    self._problems[id_] = str(error)
                    log.error("router %s: %s; trying again", id_, error)

    def release(self, copier: Copier, now: float) -> None:
        """Let go of a router's namespace; it is taken up again at the next look."""
        self._shut(copier, now)
        copier.set_table(None, now)

    def release_all(self, now: float) -> None:
        """Let go of everything."""
        for copier in self.copiers.values():
            self.release(copier, now)

    def _look_at(self, id_: str, now: float) -> None:
        router = self._read(id_)
        copier = self.copiers.get(id_)
        if copier and (router is None or router.number != copier.router.number):
            self.release(copier, now)
            del self.copiers[id_]
            if self.by_number.get(copier.router.number) is copier:
                del self.by_number[copier.router.number]
            copier = None
        if router is None:
            return
        if copier is None:
            copier = self.copiers[id_] = Copier(router, self._underlay, self._dumper, self._counters)
            self.by_number[router.number] = copier
        elif router is not copier.router:
            copier.set_router(router)
        self._fit_table(copier, now)
        wanted = self._open.get(id_, False) and copier.table is not None
        if wanted and not copier.is_open:
            self._on_open(copier, copier.open(now))
        elif copier.is_open and not wanted:
            self._shut(copier, now)

    def _fit_table(self, copier: Copier, now: float) -> None:
        namespace = copier.router.netns
        there = identity(namespace)
        table = copier.table
        if table and (table.namespace != namespace or table.identity != there):
            self.release(copier, now)
        if copier.table is None and there is not None:
            copier.set_table(Table(namespace), now)

    def _shut(self, copier: Copier, now: float) -> None:
        events = copier.table.events if copier.table else None
        if events:
            self._on_close(copier, events)
            copier.close(now)

    def _read(self, id_: str) -> Router | None:
        """Return a router that has twins. Raises ValueError when its file is unreadable."""
        file = self._places.router(id_)
        stamp = _stamp(file)
        if stamp is None:
            self._files.pop(id_, None)
            return None
        known = self._files.get(id_)
        if known is None or known[0] != stamp:
            router = records.read(file, Router)
            known = self._files[id_] = stamp, router if router and router.twins else None
        return known[1]


def _stamp(file: Path) -> _Stamp | None:
    try:
        status = os.stat(file)  # noqa: PTH116 - called for every router every second
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
