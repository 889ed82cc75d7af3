"""The loop that tells Nova what is in the queue.

One thread a controller; only the one that holds the lease tells. What Nova does not take now stays in the
queue, in order, however often the server restarts; after a day it is of no use to anybody and is left out.
"""

import contextlib
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import delete, select

from deuteron.nova.client import Nova, NovaDoesNotTake, NovaRefuses
from deuteron.resources.nova_queue import nova_event
from deuteron.settings import NovaSettings
from deuteron.store import Database, Tx
from deuteron.store import lease as leases

LEASE = "nova"
LEASE_SECONDS = 15.0
POLL_SECONDS = 1.0
COALESCE_SECONDS = 0.05
AT_ONCE = 100
KEPT_SECONDS = 86400.0
BACK_OFF = (0.5, 30.0)

log = logging.getLogger(__name__)


class Told(Protocol):
    """Whoever is told: deuteron.nova.client.Nova."""

    def tell(self, events: Sequence[dict[str, str]]) -> list[int]:
        """See Nova.tell."""


class Teller:
    """The loop. `stop()` ends it and gives the lease back."""

    def __init__(self, db: Database, nova: Told) -> None:
        self._db = db
        self._nova = nova
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease: leases.Lease | None = None
        self._renewed = 0.0
        self._failures = 0
        self._rung = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nova", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._db.on_commit(self._rung.set)
        self._thread.start()

    def stop(self) -> None:
        """Finish what is being told, and end."""
        self._closed.set()
        self._rung.set()
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                pause = self.turn()
            except Exception:  # the database may be away; what is in the queue stays there
                log.exception("telling Nova failed; again in %g s", POLL_SECONDS)
                pause = POLL_SECONDS
            if pause:
                self._closed.wait(pause)
            else:
                self._rung.wait(POLL_SECONDS)
                self._closed.wait(COALESCE_SECONDS)  # what begins together is told together
            self._rung.clear()
        held, self._lease = self._lease, None
        if held is not None:
            with contextlib.suppress(Exception):
                self._db.write_now(lambda tx: leases.release(tx, held))

    def turn(self) -> float:
        """Tell all that there is; return how many seconds to wait before the next try, 0 if it was taken."""
        while not self._closed.is_set() and (events := self._db.read_now(_first)):
            if not self._leads():
                return POLL_SECONDS
            try:
                self._tell(events)
            except NovaDoesNotTake as error:
                pause: float = min(BACK_OFF[0] * 2**self._failures, BACK_OFF[1])
                if not self._failures or pause == BACK_OFF[1]:
                    log.warning("Nova is not told of ports, %s; trying again", error)
                self._failures = min(self._failures + 1, 10)
                self._forget_old()
                return pause * random.uniform(0.5, 1)
            self._failures = 0
        return 0.0

    def _tell(self, events: Sequence[Any]) -> None:
        try:
            codes = self._nova.tell([_body(event) for event in events])
        except NovaRefuses as error:
            if len(events) > 1:
                for event in events:  # one of them is at fault, and the others are not to suffer
                    self._tell([event])
                return
            log.error("Nova refuses %s: %s", _body(events[0]), error)
            codes = [400]
        for event, code in zip(events, codes, strict=True):
            if code != 200:
                log.info("Nova has no use for %s: %d", _body(event), code)
        self._db.write_now(lambda tx: _remove(tx, [event.id for event in events]))

    def _leads(self) -> bool:
        now = time.monotonic()
        if self._lease is not None and now - self._renewed < LEASE_SECONDS / 3:
            return True
        held = self._lease
        if held is None or not self._db.write_now(lambda tx: leases.renew(tx, held, LEASE_SECONDS)):
            self._lease = self._db.write_now(
                lambda tx: leases.acquire(tx, LEASE, self._holder, LEASE_SECONDS)
            )
        self._renewed = now
        return self._lease is not None

    def _forget_old(self) -> None:
        before = nova_event.c.created < time.time() - KEPT_SECONDS
        lost = self._db.write_now(lambda tx: tx.execute(delete(nova_event).where(before)).rowcount)
        if lost:
            log.error("%d events of ports were not told to Nova within a day: left out", lost)


def start(db: Database, settings: NovaSettings) -> Teller:
    """Begin to tell Nova. Raises ConfigError."""
    teller = Teller(db, Nova(settings))
    teller.start()
    return teller


def _first(tx: Tx) -> Sequence[Any]:
    return tx.execute(select(nova_event).order_by(nova_event.c.id).limit(AT_ONCE)).all()


def _remove(tx: Tx, ids: Sequence[int]) -> None:
    tx.execute(delete(nova_event).where(nova_event.c.id.in_(ids)))


def _body(event: Any) -> dict[str, str]:
    told = {"name": event.name, "server_uuid": event.server_id, "tag": event.port_id}
    return told if event.name == "network-changed" else {**told, "status": "completed"}
