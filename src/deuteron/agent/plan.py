"""The plan of this host as the agent holds it, in memory and on disk.

On disk it is a stream like the one from the server: each batch is appended before it is applied, so that what
is in the kernel is always in the file too, and the file is written anew when it has grown too long.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from deuteron.agent.validity import unfit
from deuteron.plan.units import Delete, InSync, Message, Put, Router, Snapshot, Unit

log = logging.getLogger(__name__)

_COMPACT_AT = 4 << 20
"""Bytes at which the file is looked at; it is written anew when it is also four times the plan."""


@dataclass
class Batch:
    """Changes that together make one consistent plan."""

    full: bool = False
    """It is a whole plan: what it does not name is gone."""
    puts: dict[str, Unit] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)
    revision: str = ""
    database: str = ""
    """The identity of the database that a whole plan comes from."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Units that cannot be used: key -> reason. What is known of them from before stays."""

    def add(self, message: Message) -> bool:
        """Take in a message; return whether the batch is complete."""
        match message:
            case Snapshot(database):
                self.full, self.puts, self.deletes, self.unreadable = True, {}, set(), {}
                self.database = database
            case Put(unit):
                self._put(unit)
            case Delete(key):
                self.puts.pop(key, None)
                self.deletes.add(key)
                self.unreadable.pop(key, None)
            case InSync(revision):
                self.revision = revision
                return True
        return False

    def _put(self, unit: Unit) -> None:
        reason = unfit(unit)
        if reason:
            log.error("%s: %s", unit.key, reason)
            self.unreadable[unit.key] = reason
            return
        self.puts[unit.key] = unit
        self.deletes.discard(unit.key)
        self.unreadable.pop(unit.key, None)


@dataclass
class Plan:
    """What this host must look like, as far as it was told."""

    units: dict[str, Unit] = field(default_factory=dict)
    revision: str = ""
    database: str = ""
    complete: bool = False
    """Whether a whole plan was ever received."""
    unreadable: dict[str, str] = field(default_factory=dict)

    def refusal(self, batch: Batch) -> str:
        """Return why a batch must not be taken, "" if it may.

        A server that lost its database knows of nothing and would have everything removed.
        """
        if not batch.full:
            return "" if self.complete else f"changes {batch.revision!r} came before a whole plan"
        if self.database and batch.database and batch.database != self.database:
            return (
                f"the server's database is {batch.database}, what is on this host was planned from "
                f"{self.database}: nothing is changed"
            )
        return ""

    def take(self, batch: Batch) -> tuple[list[Unit], list[str]]:
        """Take in a batch; return the units that are new or different and the keys of those that are gone."""
        kept = batch.puts.keys() | batch.unreadable.keys()
        gone = self.units.keys() - kept if batch.full else batch.deletes & self.units.keys()
        changed = [unit for key, unit in batch.puts.items() if self.units.get(key) != unit]
        for key in gone:
            del self.units[key]
        self.units.update(batch.puts)
        if batch.full:
            self.unreadable = {}
            self.database = batch.database
        self.unreadable.update(batch.unreadable)
        for key in batch.puts.keys() | gone | batch.deletes:
            self.unreadable.pop(key, None)
        self.revision = batch.revision
        self.complete = self.complete or batch.full
        return changed, sorted(gone)


def held_back(plan: Plan) -> Plan:
    """Return what may be made of a plan from before this boot, when the server is not heard yet.

    While the host was down another one may have been given the routers that have only one: they are built and
    stay closed. Redundant ones find out by their elections. The plan has no revision: all is asked for anew.
    """
    units = {
        key: msgspec.structs.replace(unit, gate="closed")
        if isinstance(unit, Router) and unit.gate == "open"
        else unit
        for key, unit in plan.units.items()
    }
    return Plan(units=units, database=plan.database, complete=True)


class PlanFile:
    """The plan on disk. Troubles with the disk never stop the agent: `problem` tells them.

    `confirmed` is a file that lives until the next boot: it says that the server spoke since the last one.
    """

    def __init__(self, file: Path, confirmed: Path) -> None:
        self.file = file
        self.problem = ""
        self._confirmed = confirmed
        self._size = 0

    def load(self) -> Plan | None:
        """Return the last plan, `held_back` if it is from before this boot.

        None when there is none that is whole and readable.
        """
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("%s: %s; waiting for the server", self.file, error)
            return None
        try:
            plan = _replay(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.error("%s: unreadable (%s); waiting for the server", self.file, error)
            return None
        if not plan.complete:
            log.error("%s: it holds no whole plan; waiting for the server", self.file)
            return None
        return plan if self._confirmed.exists() else held_back(plan)

    def append(self, batch: Batch, plan: Plan) -> None:
        """Note a batch from the server before it is applied; `plan` is the plan that already has it."""
        with contextlib.suppress(OSError):
            self._confirmed.touch()
        grown = self._size > _COMPACT_AT and self._size > 4 * self._compact_size
        if batch.full or self.problem or not self._size or grown:
            self._write(plan)
            return
        try:
            with self.file.open("ab") as stream:
                stream.write(_encode(_messages(batch)))
                self._size = stream.tell()
        except OSError as error:
            self._give_up(error)

    def _write(self, plan: Plan) -> None:
        new = self.file.with_suffix(".new")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            whole = Batch(True, plan.units, revision=plan.revision, database=plan.database)
            with new.open("wb") as stream:
                stream.write(_encode(_messages(whole)))
                stream.flush()
                os.fsync(stream.fileno())
                self._size = self._compact_size = stream.tell()
            new.replace(self.file)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            self._give_up(error)
            return
        if self.problem:
            log.info("%s: the plan is kept again", self.file)
        self.problem = ""

    def _give_up(self, error: OSError) -> None:
        """Remove the file: after a restart, a plan that is too old would do more harm than none."""
        problem = (
            f"{self.file}: {error.strerror}; the plan cannot be kept, so that after a restart this agent "
            "changes nothing until it reaches the server"
        )
        if not self.problem:
            log.error("%s", problem)
        self.problem = problem
        self._size = 0
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)

    _compact_size = 0


def _replay(data: bytes) -> Plan:
    plan, batch = Plan(), Batch()
    decoder = msgspec.json.Decoder(Message)
    for line in data[: data.rfind(b"\n") + 1].splitlines():  # a torn last line was never applied
        if batch.add(decoder.decode(line)):
            plan.take(batch)
            batch = Batch()
    return plan


def _messages(batch: Batch) -> Iterator[Message]:
    if batch.full:
        yield Snapshot(batch.database)
    yield from (Put(unit) for unit in batch.puts.values())
    yield from (Delete(key) for key in sorted(batch.deletes))
    yield InSync(batch.revision)


def _encode(messages: Iterable[Message]) -> bytes:
    encoder = msgspec.json.Encoder()
    return b"".join(encoder.encode(message) + b"\n" for message in messages)
