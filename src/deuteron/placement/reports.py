"""What agents report: what it changes is written at once; that they are alive, now and then for all together.

In memory, and only here, is which ports each agent says are up: whoever becomes active in an election has had
its routers' ports up long before. After a restart of the server agents say all of it again (`Report.full`).
"""

import secrets
import threading
import time
from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from deuteron.placement import elections, ha_ports
from deuteron.plan.compute import active_host
from deuteron.plan.hub import Hub
from deuteron.plan.rows import Candidate, Part
from deuteron.plan.state import State
from deuteron.plan.units import ContestReport, ElectionReport, MeterReport, Report
from deuteron.resources import metering_counts, nova_queue
from deuteron.resources import port as ports
from deuteron.resources.conversion import router_part
from deuteron.resources.hosts import DVR_MODES, candidate_changed, host, router_candidate
from deuteron.resources.metering_counts import Count
from deuteron.resources.owners import DHCP
from deuteron.store import Database, Tx

MAX_SEEN_INTERVAL = 5.0
_CHUNK = 1000
_UNTOLD = ("problems", "problems_since", "started")
"""What of a host changes without that anybody has to look at it again."""


class _Known(msgspec.Struct):
    """What is remembered of an agent."""

    row: dict[str, object]
    up: set[str]
    contests: tuple[ContestReport, ...] = ()


class Reports:
    """Takes reports, from any thread."""

    def __init__(
        self, db: Database, hub: Hub, agent_down_time: float, dvr_base_mac: str, *, tell_nova: bool = False
    ) -> None:
        self._db = db
        self._tell_nova = tell_nova
        self._hub = hub
        self._dvr_base_mac = dvr_base_mac
        self._interval = min(MAX_SEEN_INTERVAL, agent_down_time / 4)
        self._lock = threading.Lock()
        self._hosts: dict[str, _Known] = {}
        self._seen: dict[str, float] = {}
        self._flushed = 0.0

    def take(self, name: str, report: Report) -> None:
        """Take a host's report; it is stored when this returns."""
        now = time.time()
        known = self._known(name)
        row = _row(report)
        with self._lock:
            self._seen[name] = now
            flush = self._due(now)
            before, known.up = known.up, _up(known.up, report)
            up, new = frozenset(known.up), known.up - before
        problems = frozenset(report.problems)
        acknowledged = self._hub.acknowledged(name, report.revision, problems)
        followed = self._hub.followed(name, report.revision, problems)
        told = self._hub.told(name, report.copying)
        statuses = self._statuses(name, report, up)
        arrived = self._hub.look(lambda state: _waiting(state, name, new)) if self._tell_nova and new else []
        row_changed = row != known.row
        contests = () if report.contests == known.contests else report.contests
        news = (
            statuses
            or report.elections
            or contests
            or acknowledged
            or followed
            or told
            or report.meters
            or arrived
        )
        if flush or row_changed or news:
            changes = _Changes(
                name,
                now,
                row,
                statuses,
                report.elections,
                contests,
                acknowledged,
                followed,
                told,
                flush,
                self._dvr_base_mac,
                self._tell_nova,
                report.meters,
                arrived,
            )
            for deleted in self._db.write_now(changes.write):
                self._forget(deleted)
        known.row = row
        known.contests = report.contests

    def _forget(self, name: str) -> None:
        """Forget a host that was deleted: if it reports again, it is a new one."""
        with self._lock:
            self._hosts.pop(name, None)

    def _known(self, name: str) -> _Known:
        with self._lock:
            return self._hosts.setdefault(name, _Known({}, set()))

    def _due(self, now: float) -> dict[str, float]:
        """Return the hosts to be written as seen, now and then."""
        if now - self._flushed < self._interval:
            return {}
        self._flushed = now
        seen, self._seen = self._seen, {}
        return seen

    def _statuses(self, name: str, report: Report, up: Collection[str]) -> dict[str, str]:
        """Return the status of the ports that this report is about."""
        active = {item.id for item in report.elections if item.state == "active"}
        named = {*report.ports_up, *report.ports_down}
        found = self._hub.look(lambda state: _port_statuses(state, name, named, active, up, full=report.full))
        return found | self._hub.look(lambda state: _ha_port_statuses(state, name, report.elections))


class _Changes(msgspec.Struct, frozen=True):
    """What a report changes in the database."""

    host: str
    now: float
    row: dict[str, object]
    statuses: dict[str, str]
    elections: tuple[ElectionReport, ...]
    contests: tuple[ContestReport, ...]
    acknowledged: list[Candidate]
    followed: list[Part]
    told: list[Candidate]
    seen: dict[str, float]
    dvr_base_mac: str
    tell_nova: bool
    meters: tuple[MeterReport, ...]
    arrived: list[dict[str, str]]
    """Ports that wait here for a guest, and are ready for it."""

    def write(self, tx: Tx) -> list[str]:
        """Write it; return the hosts that are not there any more."""
        _store_host(tx, self.host, self.row, self.now, self.dvr_base_mac)
        deleted = []
        for other, last in self.seen.items():
            seen = update(host).where(host.c.name == other).values(last_seen=last)
            if other != self.host and tx.execute(seen).rowcount == 0:
                deleted.append(other)
        for status in ("ACTIVE", "DOWN"):
            ids = sorted(port for port, new in self.statuses.items() if new == status)
            _store_status(tx, ids, status, tell_nova=self.tell_nova)
        for port in self.arrived:
            nova_queue.tell(tx, "network-vif-plugged", port)
        elections.take(tx, self.host, self.elections, self.now)
        elections.weigh(tx, self.host, self.contests, self.now)
        if self.elections:
            ha_ports.follow_status(tx, self.host)
        _tell(tx, self.told)
        _acknowledge(tx, self.acknowledged)
        _follow(tx, self.followed)
        counted = [Count(one.router, one.label, one.packets, one.bytes) for one in self.meters]
        metering_counts.note(tx, self.host, self.now, counted)
        return deleted


def _up(up: set[str], report: Report) -> set[str]:
    before = set() if report.full else up
    return (before | set(report.ports_up)) - set(report.ports_down)


def _row(report: Report) -> dict[str, object]:
    """Return what a report says of its host, as a row."""
    return {
        "roles": sorted(report.roles),
        "vtep": report.vtep,
        "physical_networks": sorted(report.physical_networks),
        "zone": report.zone,
        "version": report.version,
        "started": report.started,
        "problems": report.problems,
        "uplinks": [msgspec.to_builtins(uplink) for uplink in report.uplinks],
        "agent_mode": report.agent_mode,
    }


def _store_host(tx: Tx, name: str, row: dict[str, Any], now: float, dvr_base_mac: str) -> None:
    found = tx.execute(select(host).where(host.c.name == name)).first()
    before = {} if found is None else found.problems_since
    row = {**row, "problems_since": {key: before.get(key, now) for key in row["problems"]}}
    if row["agent_mode"] in DVR_MODES and (found is None or found.dvr_mac is None):
        row["dvr_mac"] = _free_dvr_mac(tx, dvr_base_mac)
    if found is None:
        tx.execute(insert(host).values(name=name, created=now, last_seen=now, agents={}, **row))
        tx.changed("host", name, "create")
        return
    tx.execute(update(host).where(host.c.name == name).values(last_seen=now, **row))
    if any(found._mapping[key] != value for key, value in row.items() if key not in _UNTOLD):
        tx.changed("host", name, "update")


def _free_dvr_mac(tx: Tx, base: str) -> str:
    """Return a DVR MAC that no host has. Another one may take it at once: then the report is told again."""
    taken = set(tx.execute(select(host.c.dvr_mac)).scalars())
    while True:
        mac = base[:8] + "".join(f":{byte:02x}" for byte in secrets.token_bytes(3))
        if mac not in taken:
            return mac


def _port_statuses(
    state: State, name: str, named: Iterable[str], active: Collection[str], up: Collection[str], *, full: bool
) -> dict[str, str]:
    """Return the status of those ports of which this host is the one to say it.

    Those are the instances' and DHCP servers' ports here, and those of the routers that are active here.
    """
    ids = set(named)
    if full:
        for network in state.present.get(name, ()):
            ids |= state.presence[network][name]
    for election in active:
        for candidate in state.candidates.by("election", election):
            ids |= {port.id for port in state.ports.by("router", candidate.router)}
    found = {}
    for id_ in ids:
        port = state.ports.get(id_)
        if port is None:
            continue
        if port.is_instance or port.device_owner == DHCP or port.is_agent_gateway:
            here = name == port.host if port.is_instance else name in state.hosts_of(port)
        elif id_ in up and name in state.parts_at.hosts.get(port.device_id, ()):
            here = True  # of the many that carry it, one is enough
        else:
            mine = state.candidates.get(f"{port.device_id}/{name}")
            here = mine is not None and (
                mine.election in active or active_host(state, port.device_id) == name
            )
        if here:
            found[id_] = "ACTIVE" if id_ in up else "DOWN"
    return found


def _waiting(state: State, name: str, ids: Iterable[str]) -> list[dict[str, str]]:
    """Return those ports that wait on a host for a guest on its way there, as Nova's queue takes them."""
    found = (state.ports.get(id_) for id_ in sorted(ids))
    return [
        {"id": port.id, "device_id": port.device_id, "device_owner": port.device_owner}
        for port in found
        if port is not None and name in port.waiting
    ]


def _ha_port_statuses(state: State, name: str, reports: Iterable[ElectionReport]) -> dict[str, str]:
    """Return the status of a host's ports on HA networks: up where an election runs that is not at fault."""
    found: dict[str, str] = {}
    for report in reports:
        election = state.elections.get(report.id)
        for port in state.ports.by("heartbeat", (election.ha_network, name)) if election else ():
            if found.get(port.id) != "ACTIVE":
                found[port.id] = "DOWN" if report.state == "fault" else "ACTIVE"
    return found


def _store_status(tx: Tx, ids: list[str], status: str, *, tell_nova: bool) -> None:
    table = ports.resource.table
    for begin in range(0, len(ids), _CHUNK):
        other = (table.c.id.in_(ids[begin : begin + _CHUNK]), table.c.status != status)
        seen = select(table.c.id, table.c.status, table.c.device_id, table.c.device_owner).where(*other)
        found = [dict(one._mapping) for one in tx.execute(seen)]
        changed = [port["id"] for port in found]
        if changed:
            values = {"status": status, "revision_number": table.c.revision_number + 1, "updated_at": tx.now}
            tx.execute(update(table).where(table.c.id.in_(changed)).values(values))
        for port in found:
            tx.changed("port", port["id"], "update")
            if tell_nova:
                nova_queue.status_changed(tx, port, status)


def _acknowledge(tx: Tx, candidates: Iterable[Candidate]) -> None:
    for candidate in candidates:
        mine = (
            router_candidate.c.router_id == candidate.router,
            router_candidate.c.host == candidate.host,
            router_candidate.c.version == candidate.version,
        )
        values = {"applied": candidate.version}
        if tx.execute(update(router_candidate).where(*mine).values(values)).rowcount:
            candidate_changed(tx, candidate.router, candidate.host)


def _tell(tx: Tx, candidates: Iterable[Candidate]) -> None:
    for candidate in candidates:
        c = router_candidate.c
        mine = (c.router_id == candidate.router, c.host == candidate.host)
        if tx.execute(update(router_candidate).where(*mine).values(copying=candidate.copying)).rowcount:
            candidate_changed(tx, candidate.router, candidate.host)


def _follow(tx: Tx, parts: Iterable[Part]) -> None:
    for part in parts:
        c = router_part.c
        mine = (c.router_id == part.router, c.host == part.host, c.version == part.version)
        if tx.execute(update(router_part).where(*mine).values(applied=part.version)).rowcount:
            tx.changed("router_part", part.id, "update")
