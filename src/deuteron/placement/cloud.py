"""What placement sees of the hosts: who is alive, able, and how much each carries."""

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func, select

from deuteron.placement.decide import Candidate
from deuteron.resources.hosts import AGENT_TYPES, agent_settings, dhcp_server, host, router_candidate
from deuteron.store import Tx


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host."""

    name: str
    roles: frozenset[str]
    zone: str
    physical_networks: frozenset[str]
    disabled: frozenset[str]
    """Roles that an administrator took from it: what it has goes to others, if there are any."""
    last_seen: float


class Cloud(msgspec.Struct, frozen=True):
    """All hosts, at one moment."""

    hosts: Mapping[str, Host]
    alive: frozenset[str]
    silent: frozenset[str]
    """Hosts silent for so long that they count as dead. Of others that are not alive nothing is known yet."""

    def fit(
        self,
        role: str,
        load: "Load",
        current: Collection[str],
        physical_networks: Collection[str] = (),
        off: Collection[str] = (),
    ) -> dict[str, Candidate]:
        """Return the hosts that may carry something that needs a role and physical networks.

        Of those that carry it now, it is enough that they are not known to be dead. It was taken from those
        that are `off`.
        """
        return {
            name: Candidate(name=name, zone=row.zone, load=load.carried[name], leads=load.led[name])
            for name, row in self.hosts.items()
            if self.able(name, role, physical_networks)
            and name not in self.silent
            and name not in off
            and role not in row.disabled
            and (name in current or name in self.alive)
        }

    def disabled_of(
        self, current: Sequence[str], role: str, physical_networks: Collection[str] = ()
    ) -> list[str]:
        """Return those of some hosts that could go on, but for the administrator who wants them empty."""
        return [
            name
            for name in current
            if self.able(name, role, physical_networks)
            and name not in self.silent
            and role in self.hosts[name].disabled
        ]

    def able(self, name: str, role: str, physical_networks: Collection[str] = ()) -> bool:
        """Whether a host has a role and is attached to physical networks."""
        row = self.hosts.get(name)
        return row is not None and role in row.roles and row.physical_networks.issuperset(physical_networks)

    def silent_of(
        self, current: Sequence[str], role: str, physical_networks: Collection[str] = ()
    ) -> list[str]:
        """Return those of some hosts that are able, but dead."""
        return [n for n in current if n in self.silent and self.able(n, role, physical_networks)]


def look(tx: Tx, down_after: float, watching_since: float) -> Cloud:
    """Return the hosts as they are now.

    A host is dead when it was silent for `down_after` seconds while somebody listened: after a stop of the
    server, all hosts get that time to be heard.
    """
    now = time.time()
    hosts = {row.name: _host(row) for row in tx.execute(select(host))}
    quiet = {name for name, row in hosts.items() if now - row.last_seen > down_after}
    silent = quiet if now - watching_since > down_after else set()
    return Cloud(hosts, frozenset(hosts.keys() - quiet), frozenset(silent))


def _host(row: Any) -> Host:
    disabled = {r for r, agent in AGENT_TYPES.items() if not agent_settings(row, agent).admin_state_up}
    return Host(
        name=row.name,
        roles=frozenset(row.roles),
        zone=row.zone,
        physical_networks=frozenset(row.physical_networks),
        disabled=frozenset(disabled),
        last_seen=row.last_seen,
    )


class Load(msgspec.Struct, frozen=True):
    """How many each host carries, and of how many it is the first candidate."""

    carried: Counter[str]
    led: Counter[str]


def load_of(tx: Tx, role: str) -> Load:
    """Return what the hosts carry in a role."""
    table = router_candidate if role == "l3" else dhcp_server
    counted = select(table.c.host, func.count().label("carried")).group_by(table.c.host)
    carried = Counter({row.host: row.carried for row in tx.execute(counted)})
    if role != "l3":
        return Load(carried, Counter())
    first = counted.where(router_candidate.c.position == 0)
    return Load(carried, Counter({row.host: row.carried for row in tx.execute(first)}))


def of(statement: Select[Any], column: ColumnElement[Any], ids: Collection[str] | None) -> Select[Any]:
    """Return a query of those rows that these ids name; of all if None."""
    return statement if ids is None else statement.where(column.in_(ids))
