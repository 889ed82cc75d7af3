"""What placement sees of the hosts: who is alive, able, and how much each carries."""

import math
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from deuteron.placement.decide import Candidate, Unfit
from deuteron.resources import attachments, port, subnet
from deuteron.resources.hosts import (
    AGENT_TYPES,
    agent_settings,
    dhcp_server,
    drain,
    election,
    host,
    router_candidate,
)
from deuteron.resources.segmentation import Segment
from deuteron.store import Tx


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host."""

    name: str
    roles: frozenset[str]
    zone: str
    physical_networks: frozenset[str]
    attached: frozenset[str]
    """To physical networks, and segments: see deuteron.resources.attachments."""
    agent_mode: str = "legacy"
    disabled: frozenset[str] = frozenset()
    """Roles that an administrator took from it: what it has goes to others, if there are any."""
    last_seen: float


class Cloud(msgspec.Struct, frozen=True):
    """All hosts, at one moment."""

    hosts: Mapping[str, Host]
    alive: frozenset[str]
    silent: frozenset[str]
    """Hosts silent for so long that they count as dead. Of others that are not alive nothing is known yet."""
    gone: frozenset[str] = frozenset()
    """Hosts dead for so long that nobody waits for them any more."""
    draining: frozenset[str] = frozenset()
    """Hosts that are to be empty: they get nothing new."""

    @property
    def reach(self) -> dict[str, frozenset[str]]:
        """The physical networks of each host."""
        return {name: row.physical_networks for name, row in self.hosts.items()}

    def fit(
        self,
        role: str,
        load: "Load",
        current: Collection[str],
        attached: Collection[str] = (),
        off: Collection[str] = (),
        modes: Collection[str] | None = None,
    ) -> dict[str, Candidate]:
        """Return the hosts that may carry something that needs a role, attachments, and an agent mode.

        Of those that carry it now, it is enough that they are not known to be dead. It was taken from those
        that are `off`.
        """
        return {
            name: self.candidate(name, load)
            for name, row in self.hosts.items()
            if self.able(name, role, attached, modes)
            and name not in self.silent
            and name not in off
            and role not in row.disabled
            and (name in current or (name in self.alive and name not in self.draining))
        }

    def unfit(
        self,
        role: str,
        load: "Load",
        current: Sequence[str],
        attached: Collection[str] = (),
        leaving: Collection[str] = (),
        *,
        modes: Collection[str] | None = None,
        patient: bool = False,
    ) -> Unfit:
        """Return what is to be done with those hosts of `current` that are not fit.

        It is `leaving` some of them. Those that died not long ago are awaited, if `patient`.
        """
        able = [name for name in current if self.able(name, role, attached, modes)]
        dead = [name for name in able if name in self.silent]
        return Unfit(
            silent=dead,
            awaited={name: self.candidate(name, load) for name in dead if patient and name not in self.gone},
            leaving=[name for name in able if name in leaving],
            disabled=[name for name in able if name not in dead and role in self.hosts[name].disabled],
        )

    def candidate(self, name: str, load: "Load") -> Candidate:
        """Return a host as the decision sees it."""
        return Candidate(name=name, zone=self.hosts[name].zone, load=load.carried[name], leads=load.led[name])

    def able(
        self,
        name: str,
        role: str,
        attached: Collection[str] = (),
        modes: Collection[str] | None = None,
    ) -> bool:
        """Whether a host has a role, is attached to all of these, and has one of some agent modes."""
        row = self.hosts.get(name)
        return (
            row is not None
            and role in row.roles
            and row.attached.issuperset(attached)
            and (modes is None or row.agent_mode in modes)
        )

    def in_use(
        self,
        role: str,
        current: Collection[str],
        attached: Collection[str] = (),
        off: Collection[str] = (),
        modes: Collection[str] | None = None,
    ) -> int:
        """Return on how many hosts something could be, if all were alive."""
        return sum(
            name not in self.draining and (name in current or role not in row.disabled)
            for name, row in self.hosts.items()
            if self.able(name, role, attached, modes) and name not in off
        )


def look(tx: Tx, down_after: float, watching_since: float, patience: float = math.inf) -> Cloud:
    """Return the hosts as they are now.

    A host is dead when it was silent for `down_after` seconds while somebody listened: after a stop of the
    server, all hosts get that time to be heard. Nobody waits any more for one that was so for `patience`.
    """
    now = time.time()
    several = attachments.several(tx)
    hosts = {row.name: _host(row, several) for row in tx.execute(select(host))}
    quiet = {name: now - max(row.last_seen, watching_since) for name, row in hosts.items()}
    alive = {name for name, row in hosts.items() if now - row.last_seen <= down_after}
    silent = {name for name, seconds in quiet.items() if seconds > down_after}
    return Cloud(
        hosts,
        frozenset(alive),
        frozenset(silent),
        frozenset(name for name in silent if quiet[name] > patience),
        frozenset(tx.execute(select(drain.c.host)).scalars()),
    )


def _host(row: Any, several: Sequence[Sequence[Segment]]) -> Host:
    disabled = {r for r, agent in AGENT_TYPES.items() if not agent_settings(row, agent).admin_state_up}
    return Host(
        name=row.name,
        roles=frozenset(row.roles),
        zone=row.zone,
        physical_networks=frozenset(row.physical_networks),
        attached=attachments.of_host(row.physical_networks, several),
        agent_mode=row.agent_mode,
        disabled=frozenset(disabled),
        last_seen=row.last_seen,
    )


class Load(msgspec.Struct, frozen=True):
    """How many each host carries, and for how many it is the active one."""

    carried: Counter[str]
    led: Counter[str]


def load_of(tx: Tx, role: str, load_type: str = "networks") -> Load:
    """Return what the hosts carry in a role.

    DHCP servers count by `load_type` as one each ("networks"), or as many as they serve "subnets" or "ports".
    """
    if role == "l3":
        return Load(_count(tx, _CANDIDATES), _count(tx, _ACTIVE))
    return Load(_count(tx, _DHCP[load_type]), Counter())


def _count(tx: Tx, statement: Select[Any]) -> Counter[str]:
    return Counter({row.host: row.carried for row in tx.execute(statement)})


def _counted(table: Any) -> Select[Any]:
    return select(table.c.host, func.count().label("carried")).group_by(table.c.host)


_CANDIDATES = _counted(router_candidate)
# An election without a winner so far will have its first candidate active.
_ACTIVE = (
    _counted(router_candidate)
    .outerjoin(election, election.c.id == router_candidate.c.election_id)
    .where(
        or_(
            router_candidate.c.gate == "open",
            election.c.active == router_candidate.c.host,
            and_(election.c.active.is_(None), router_candidate.c.position == 0),
        )
    )
)
_SUBNETS, _PORTS = subnet.resource.table, port.resource.table
_DHCP = {
    "networks": _counted(dhcp_server),
    "subnets": _counted(dhcp_server).join(_SUBNETS, _SUBNETS.c.network_id == dhcp_server.c.network_id),
    "ports": _counted(dhcp_server).join(_PORTS, _PORTS.c.network_id == dhcp_server.c.network_id),
}


def of(statement: Select[Any], column: ColumnElement[Any], ids: Collection[str] | None) -> Select[Any]:
    """Return a query of those rows that these ids name; of all if None."""
    return statement if ids is None else statement.where(column.in_(ids))
