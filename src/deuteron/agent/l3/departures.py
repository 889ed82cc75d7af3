"""Routers that are to go close before anything that they stand on goes.

What they stand on are networks, that of their election too: without it a host that stood by hears nobody any
more, takes over, and says so on those networks that are still there.
"""

from dataclasses import replace

from deuteron.agent.context import Context
from deuteron.agent.l3.switch import client, records
from deuteron.agent.l3.switch.records import Places
from deuteron.plan.units import Router, Unit


class Departures:
    """Closes the gates of routers that are in the plan no more; to remove them is others' business."""

    kinds: tuple[type[Unit], ...] = (Router,)
    pending = False

    def __init__(self, context: Context) -> None:
        """Nothing is closed before the first `apply`."""
        self._places = Places(context.run_dir)
        self._wanted: set[str] = set()
        self._leaving: set[str] = set()
        self._compare = True

    def put(self, unit: Unit) -> None:
        """Note a router that stays."""
        self._wanted.add(unit.id)
        self._leaving.discard(unit.id)

    def delete(self, key: str) -> None:
        """Note that a router is to go."""
        kind, _, id_ = key.partition("/")
        if kind == "router":  # not its distributed part, which has the same id
            self._wanted.discard(id_)
            self._leaving.add(id_)

    def recheck(self) -> None:
        """Have every router looked at again."""
        self._compare = True

    def apply(self) -> dict[str, str]:
        """Close the gates; return what failed: unit key -> words."""
        if self._compare:
            self._leaving |= self._places.routers() - self._wanted
        closed = []
        try:
            for id_ in sorted(self._leaving):
                record = records.read(self._places.router(id_), records.Router)
                if record:
                    shut = replace(record, gate="closed", election=None, draining=False)
                    records.write(self._places.router(id_), shut)
                    closed.append(id_)
            problems = client.load(self._places, closed) if closed else {}
        except (client.SwitchError, OSError, ValueError) as error:
            return {f"router/{id_}": f"its gate is not closed: {error}" for id_ in self._leaving}
        self._leaving.clear()
        self._compare = False
        return {f"router/{id_}": words for id_, words in problems.items()}
