"""The loop that keeps DHCP servers and routers where they should be.

One thread a controller; only the one that holds the lease decides. It is woken by commits, looks at what the
change log names, at everything when a host appears, dies or returns, and at everything once a minute besides.
What is settled is only read. Each thing that is not gets a transaction of its own, so that one that cannot be
placed hinders no other.
"""

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from deuteron.placement import (
    conversions,
    dhcp,
    drains,
    elections,
    floating,
    ha,
    ha_ports,
    moves,
    rebalance,
    redundancy,
    routers,
    uplinks,
)
from deuteron.placement.cloud import Cloud, load_of, look
from deuteron.resources import subnet
from deuteron.resources.call import Call
from deuteron.resources.errors import NeutronError
from deuteron.settings import ServerSettings
from deuteron.store import Cursor, Database, TooOld, Tx, feed
from deuteron.store import lease as leases

LEASE = "placement"
LEASE_SECONDS = 6.0
TICK_SECONDS = 1.0
MOVE_TICK_SECONDS = 0.02
COALESCE_SECONDS = 0.02
FULL_SECONDS = 60.0
SWEEP_SECONDS = 5.0
SLEPT_SECONDS = 3.0
RETRY_SECONDS = 10.0
MAX_NAMED = 5000
SHOWN_AT_ONCE = 5

T = TypeVar("T")
log = logging.getLogger(__name__)


class Dirty(msgspec.Struct):
    """What to look at."""

    everything: bool = True
    networks: set[str] = msgspec.field(default_factory=set)
    routers: set[str] = msgspec.field(default_factory=set)
    shown: set[str] = msgspec.field(default_factory=set)
    """Routers whose HA ports are to be as their candidates are."""
    floating: set[str] = msgspec.field(default_factory=set)
    """Floating IPs that may be served elsewhere."""
    failed: dict[str, str] = msgspec.field(default_factory=dict)
    """Router whose move failed -> the host where it was to go: it is looked at again later."""
    orphans: bool = True
    """What lost its network or subnet, which the change log does not name."""

    def __bool__(self) -> bool:
        named = self.networks or self.routers or self.shown or self.failed or self.floating
        return bool(self.everything or named or self.orphans)


class Placement:
    """The loop. `stop()` ends it and gives the lease back."""

    def __init__(self, db: Database, settings: ServerSettings) -> None:
        self._db = db
        self._settings = settings
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease: leases.Lease | None = None
        self._renewed = 0.0
        self._watching_since = time.time()
        self._last_tick = time.time()
        self._last_full = 0.0
        self._last_sweep = 0.0
        self._last_told = 0.0
        self._last_asked = 0.0
        self._cursor: Cursor | None = None
        self._hosts: tuple[frozenset[str], frozenset[str], frozenset[str]] | None = None
        self._again: dict[str, float] = {}
        self._moving = False
        self._converting = False
        self._rung = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="placement", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._db.on_commit(self._rung.set)
        self._thread.start()

    def stop(self) -> None:
        """Finish the transaction under way and end."""
        self._closed = True
        self._rung.set()
        self._thread.join(5)

    def hand_over(self) -> None:
        """Give the lease back, if it is held."""
        held, self._lease = self._lease, None
        if held is not None:
            self._db.write_now(lambda tx: leases.release(tx, held))

    def _run(self) -> None:
        while not self._closed:
            try:
                self.turn()
            except leases.LeaseLost as error:
                log.warning("placement: %s", error)
                self._lease = None
            except Exception:  # the database may be away; what is placed stays where it is
                log.exception("placement: failed; everything again in %g s", TICK_SECONDS)
                self._cursor = None
                time.sleep(0 if self._closed else TICK_SECONDS)
            under_way = self._moving or self._converting
            self._rung.wait(MOVE_TICK_SECONDS if under_way else TICK_SECONDS)
            if not under_way:
                time.sleep(COALESCE_SECONDS)  # commits come in bursts: one look for all of them
            self._rung.clear()
        with contextlib.suppress(Exception):
            self.hand_over()

    def turn(self) -> None:
        """Look once at what changed."""
        self._watch()
        if not self._leads():
            return
        dirty = self._dirty()
        cloud = self._db.read_now(self._look)
        if max(map(len, (dirty.networks, dirty.routers, dirty.shown, dirty.floating))) > MAX_NAMED:
            dirty.everything = True
        if (cloud.alive, cloud.silent, cloud.gone) != self._hosts:
            self._hosts = (cloud.alive, cloud.silent, cloud.gone)
            log.info("placement: alive: %s; dead: %s", _names(cloud.alive), _names(cloud.silent))
            dirty.everything = True
            self._write(lambda call: elections.bury(call.tx, cloud.silent, time.time()))
        if dirty.everything:
            self._last_full = time.monotonic()
        self._tell(dirty, cloud)
        self._place(dirty, cloud)
        if dirty or time.monotonic() - self._last_asked > SWEEP_SECONDS:
            self._last_asked = time.monotonic()
            self._do_what_was_asked(cloud)
            self._leave_lost_uplinks(cloud)
        self._move(cloud)
        self._convert(cloud)
        if time.monotonic() - self._last_sweep > SWEEP_SECONDS:
            self._last_sweep = time.monotonic()
            if self._db.read_now(lambda tx: ha.chores(tx, time.time())):
                self._write(lambda call: ha.do_chores(call, time.time()))

    def _watch(self) -> None:
        """Notice that this process slept: then nobody else can be blamed for silence."""
        now = time.time()
        if abs(now - self._last_tick) > SLEPT_SECONDS:
            self._watching_since = now
        self._last_tick = now

    def _look(self, tx: Tx) -> Cloud:
        settings = self._settings
        patience = settings.ha_candidate_replacement_delay
        return look(tx, settings.agent_down_time, self._watching_since, patience)

    def _leads(self) -> bool:
        """Take or renew the lease."""
        now = time.monotonic()
        if self._lease is not None and now - self._renewed < LEASE_SECONDS / 3:
            return True
        held = self._lease
        if held is not None and self._db.write_now(lambda tx: leases.renew(tx, held, LEASE_SECONDS)):
            self._renewed = now
            return True
        self._lease = self._db.write_now(lambda tx: leases.acquire(tx, LEASE, self._holder, LEASE_SECONDS))
        if self._lease is None:
            return False
        log.info("placement: this controller decides (epoch %d)", self._lease.epoch)
        self._renewed, self._cursor, self._hosts = now, None, None
        self._watching_since = time.time()
        return True

    def _dirty(self) -> Dirty:
        """Return what changed since the last look."""
        if self._cursor is None or time.monotonic() - self._last_full > FULL_SECONDS:
            self._cursor = self._db.read_now(feed.head)
            return Dirty()
        dirty = Dirty(everything=False, orphans=False)
        try:
            self._cursor = self._db.read_now(lambda tx: _read(tx, self._cursor, dirty))
        except TooOld:
            self._cursor = None
            return Dirty()
        now = time.monotonic()
        _, silent, _ = self._hosts or (frozenset(), frozenset(), frozenset())
        for id_, target in dirty.failed.items():
            # A dead host is not chosen again: another one is tried at once.
            self._again[id_] = now if target in silent else now + RETRY_SECONDS
        for id_ in [id_ for id_, due in self._again.items() if due <= now]:
            del self._again[id_]
            dirty.routers.add(id_)
        return dirty

    def _place(self, dirty: Dirty, cloud: Cloud) -> None:
        if not dirty:
            return
        networks, wanted = self._db.read_now(lambda tx: self._unsettled(tx, dirty, cloud))
        now = time.time()
        for id_ in networks:
            self._try(f"DHCP of network {id_}", partial(dhcp.place, cloud=cloud, network_id=id_))
        for id_ in wanted:
            self._try(f"router {id_}", partial(routers.place, cloud=cloud, router_id=id_, now=now))
        self._show_ha_ports(dirty)
        ids = None if dirty.everything else dirty.floating
        if self._db.read_now(lambda tx: floating.lack(tx, ids)):
            self._try("floating IPs", partial(floating.prepare, ids=ids))

    def _tell(self, dirty: Dirty, cloud: Cloud) -> None:
        """Tell who died and what is short of hosts, before it is placed elsewhere."""
        now = time.time()
        if dirty.everything and self._db.read_now(lambda tx: redundancy.deaths(tx, cloud)):
            self._write(lambda call: redundancy.tell_deaths(call.tx, cloud, now))
        if not dirty and time.monotonic() - self._last_told < TICK_SECONDS:
            return
        self._last_told = time.monotonic()
        networks, ids = (None, None) if dirty.everything else (dirty.networks, dirty.routers)
        news = self._db.read_now(lambda tx: redundancy.news(tx, cloud, self._settings, networks, ids))
        if news:
            self._write(lambda call: redundancy.tell(call.tx, news, now))

    def _do_what_was_asked(self, cloud: Cloud) -> None:
        """Go on with emptying hosts, and with a rebalance."""
        for name in sorted(cloud.draining & cloud.hosts.keys()):
            if not self._db.read_now(partial(drains.due, cloud=cloud, settings=self._settings, name=name)):
                continue
            if self._try(f"drain of {name}", partial(drains.act, cloud=cloud, name=name)):
                self._last_asked = 0.0  # the next one need not wait
                self._rung.set()
        if self._db.read_now(rebalance.due):
            self._try("rebalance", partial(rebalance.act, cloud=cloud))

    def _leave_lost_uplinks(self, cloud: Cloud) -> None:
        """Move routers away from where their way out does not answer."""
        for id_ in self._db.read_now(lambda tx: uplinks.concerned(tx, cloud, time.time())):
            self._try(f"uplink of router {id_}", partial(uplinks.place, cloud=cloud, router_id=id_))

    def _show_ha_ports(self, dirty: Dirty) -> None:
        """Make the HA ports of routers, which are only there to be seen, what their candidates are."""
        ids = None if dirty.everything else dirty.shown
        stale = self._db.read_now(lambda tx: ha_ports.unsettled(tx, ids))
        for begin in range(0, len(stale), SHOWN_AT_ONCE):
            part = stale[begin : begin + SHOWN_AT_ONCE]
            self._try("HA ports of routers", partial(ha_ports.show, router_ids=part))

    def _unsettled(self, tx: Tx, dirty: Dirty, cloud: Cloud) -> tuple[list[str], list[str]]:
        """Return the networks and routers that are not as they should be."""
        settings = self._settings
        network_ids, router_ids = dirty.networks, dirty.routers
        if dirty.orphans:
            network_ids = network_ids | set(dhcp.orphans(tx))
            router_ids = router_ids | set(routers.orphans(tx))
        load = load_of(tx, dhcp.ROLE, settings.dhcp_load_type)
        networks = [
            id_
            for id_, facts in dhcp.facts_of(tx, None if dirty.everything else network_ids).items()
            if not dhcp.settled(facts, dhcp.decide(facts, cloud, load, settings.dhcp_agents_per_network))
        ]
        load = load_of(tx, routers.ROLE)
        wanted = [
            id_
            for id_, facts in routers.facts_of(tx, None if dirty.everything else router_ids).items()
            if not routers.settled(facts, cloud, load, settings.max_l3_agents_per_router)
        ]
        return sorted(networks), sorted(wanted)

    def _move(self, cloud: Cloud) -> None:
        def due(tx: Tx) -> tuple[list[str], bool]:
            running = moves.all_running(tx)
            now = time.time()
            ready = [m.id for m in running if moves.next_step(moves.facts_of(tx, m, cloud, now))]
            return ready, bool(running)

        ready, self._moving = self._db.read_now(due)
        for id_ in ready:
            self._advance(id_, cloud)
        if ready:
            self._rung.set()

    def _advance(self, move_id: str, cloud: Cloud) -> None:
        """Take the next step of a move; one that cannot be taken ends it."""
        try:
            step = self._write(partial(moves.advance, cloud=cloud, move_id=move_id))
        except NeutronError as error:
            step = self._write(partial(moves.fail, move_id=move_id, reason=str(error)))
        if step is not None:
            log.info("move %s: %s: %s", move_id, step.phase, step.reason)

    def _convert(self, cloud: Cloud) -> None:
        ready, self._converting = self._db.read_now(lambda tx: conversions.due(tx, cloud, self._settings))
        for id_ in ready:
            step = self._try(f"conversion {id_}", partial(conversions.advance, cloud=cloud, id_=id_))
            if step is not None:
                log.info("conversion %s: %s: %s", id_, step.does, step.reason)
                self._rung.set()

    def _try(self, what: str, work: Callable[[Call], T]) -> T | None:
        """Do one thing in a transaction of its own; say if it cannot be done."""
        try:
            done = self._write(work)
        except NeutronError as error:
            log.warning("placement: %s: %s", what, error)
            return None
        if isinstance(done, str):
            log.info("placement: %s", done)
        return done

    def _write(self, work: Callable[[Call], T]) -> T:
        def fenced(tx: Tx) -> T:
            if self._lease is None:
                raise leases.LeaseLost(f"{LEASE}: not held")
            leases.fence(tx, self._lease)
            return work(Call(tx=tx, settings=self._settings))

        return self._db.write_now(fenced)


def _read(tx: Tx, cursor: Cursor | None, dirty: Dirty) -> Cursor | None:
    """Read the change log to its end, and note what it names."""
    ports: list[str] = []
    changed: set[str] = set()
    while cursor is not None:
        changes, after = feed.read(tx, cursor)
        for change in changes:
            _note(tx, change, dirty)
            if change.kind == "port" and change.op == "delete":
                ports.append(change.object_id)
            elif change.kind == "port":
                changed.add(change.object_id)
        if after == cursor:
            break
        cursor = after
    for begin in range(0, len(ports), 1000):
        dirty.networks.update(dhcp.without_port(tx, ports[begin : begin + 1000]))
    dirty.floating |= floating.touched_by(tx, changed, dirty.routers)
    return cursor


def _note(tx: Tx, change: feed.Change, dirty: Dirty) -> None:
    match change.kind:
        case "network":
            dirty.networks.add(change.object_id)
        case "subnet":
            table = subnet.resource.table
            found = tx.execute(table.select().where(table.c.id == change.object_id)).first()
            if found is None:
                dirty.orphans = True
            else:
                dirty.networks.add(found.network_id)
        case "router":
            dirty.routers.add(change.object_id)
        case "floatingip":
            dirty.floating.add(change.object_id)
        case "router_candidate":
            dirty.shown.add(change.object_id.partition("/")[0])
        case "wish":
            role, _, id_ = change.object_id.partition("/")
            (dirty.networks if role == dhcp.ROLE else dirty.routers).add(id_)
        case "router_move":
            # What was wished for while it was on its way is looked at when it has arrived.
            router_id, phase, target = moves.ended(tx, change.object_id)
            if phase == "done":
                dirty.routers.add(router_id)
            elif phase:
                dirty.failed[router_id] = target
        case "host" | "drain" | "rebalance":
            dirty.everything = True


def _names(hosts: frozenset[str]) -> str:
    return ", ".join(sorted(hosts)) or "none"


def start(db: Database, settings: ServerSettings) -> Placement:
    """Start the loop in a thread of its own; `stop()` of what is returned ends it."""
    placement = Placement(db, settings)
    placement.start()
    return placement
