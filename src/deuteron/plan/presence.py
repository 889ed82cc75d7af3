"""On which hosts something is, and for which reasons."""

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Presence(Generic[T]):
    """Things, the hosts on which they are, and the reasons (by id): mostly ports."""

    def __init__(self) -> None:
        self.hosts: dict[T, dict[str, set[str]]] = {}
        """Thing -> host -> reasons."""
        self.things: dict[str, set[T]] = {}
        """Host -> things."""
        self._places: dict[str, set[tuple[T, str]]] = {}

    def place(self, reason: str, now: set[tuple[T, str]]) -> set[tuple[T, str]]:
        """Say the (thing, host) that are for a reason; return those that appeared or ended by it."""
        before = self._places.pop(reason, set())
        if now:
            self._places[reason] = now
        changed = set()
        for thing, host in before - now:
            reasons = self.hosts[thing][host]
            reasons.discard(reason)
            if not reasons:
                self._remove(thing, host)
                changed.add((thing, host))
        for thing, host in now - before:
            reasons = self.hosts.setdefault(thing, {}).setdefault(host, set())
            if not reasons:
                self.things.setdefault(host, set()).add(thing)
                changed.add((thing, host))
            reasons.add(reason)
        return changed

    def _remove(self, thing: T, host: str) -> None:
        del self.hosts[thing][host]
        if not self.hosts[thing]:
            del self.hosts[thing]
        self.things[host].discard(thing)
        if not self.things[host]:
            del self.things[host]
