"""The plans of all hosts that are followed, kept true change by change."""

from collections.abc import Iterable

import msgspec

from deuteron.plan import touched
from deuteron.plan.compute import unit, units
from deuteron.plan.rows import Row
from deuteron.plan.state import State
from deuteron.plan.units import Unit


class Change(msgspec.Struct, frozen=True):
    """A row is so now, or is gone (None)."""

    kind: type[Row]
    id: str
    row: Row | None


Delta = dict[str, Unit | None]
"""What changed in a plan, by key; None is what is not part of it any more."""


class Plans:
    """A state, and the plan of each followed host made of it."""

    def __init__(self, state: State, dns_domain: str) -> None:
        self.state = state
        self._dns_domain = dns_domain
        self._plans: dict[str, dict[str, Unit]] = {}

    def follow(self, host: str) -> dict[str, Unit]:
        """Return the plan of a host, and keep it true from now on."""
        if host not in self._plans:
            self._plans[host] = units(self.state, host, self._dns_domain)
        return self._plans[host]

    def forget(self, host: str) -> None:
        """Stop keeping the plan of a host."""
        self._plans.pop(host, None)

    def apply(self, changes: Iterable[Change]) -> dict[str, Delta]:
        """Make changes; return what they did to the plans of followed hosts."""
        places: set[touched.Place] = set()
        for change in changes:
            places.update(self._replace(change))
        deltas: dict[str, Delta] = {}
        for host, key in places:
            plan = self._plans.get(host)
            if plan is None:
                continue
            new = unit(self.state, host, key, self._dns_domain)
            if new == plan.get(key):
                continue
            deltas.setdefault(host, {})[key] = new
            if new is None:
                del plan[key]
            else:
                plan[key] = new
        return deltas

    def reset(self, state: State) -> dict[str, Delta]:
        """Take another state in place of this one; return what that does to the plans of followed hosts."""
        self.state = state
        deltas: dict[str, Delta] = {}
        for host, old in self._plans.items():
            new = units(state, host, self._dns_domain)
            delta: Delta = {key: value for key, value in new.items() if value != old.get(key)}
            delta.update(dict.fromkeys(old.keys() - new.keys()))
            if delta:
                deltas[host] = delta
            self._plans[host] = new
        return deltas

    def _replace(self, change: Change) -> set[touched.Place]:
        state = self.state
        old = state.table(change.kind).get(change.id)
        if old == change.row:
            return set()
        places: set[touched.Place] = set()
        if old is not None:
            places.update(touched.touched(state, old, change.row))
        replaced = state.replace(change.kind, change.id, change.row)
        if change.row is not None:
            places.update(touched.touched(state, change.row, old))
        for network, host in replaced.presence:
            places.update(touched.presence(state, network, host))
        for group, host in replaced.secured:
            places.update(touched.secured(state, group, host))
        for router, host in replaced.parts:
            places.update(touched.parts(state, router, host))
        return places
