"""The agent's part in the copying of connections: it has the process run where routers have twins.

A router that is closed here whatever its election says was built to take over: it is told when that one knows
all connections.
"""

import sys
from pathlib import Path

from deuteron.agent.context import Context
from deuteron.agent.l3.conntrack_sync import progress
from deuteron.agent.l3.conntrack_sync.arrivals import Arrivals
from deuteron.agent.l3.wanted import namespace
from deuteron.agent.system.daemons import Daemon
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Router, Unit

NAME = "conntrack-sync"


class ConnectionSync:
    """Runs `deuteron conntrack-sync`. What it must know of routers, it reads where the switch does."""

    kinds: tuple[type[Unit], ...] = (Router,)
    pending = False

    def __init__(self, context: Context) -> None:
        """Nothing runs before the first `apply`."""
        self._context = context
        self._redundant: set[str] = set()
        self._known: set[str] = set()
        self._arrivals = Arrivals(context.run_dir, context.status.set_copying)
        self._arrivals.start()

    def put(self, unit: Unit) -> None:
        """Note whether a router has twins."""
        assert isinstance(unit, Router)
        (self._redundant.add if unit.twins else self._redundant.discard)(unit.key)
        if unit.gate != "closed" or not unit.twins:
            self._arrivals.forget(unit.id)
        elif unit.key not in self._known:
            self._arrivals.expect(unit.id, namespace(unit))
        self._known.add(unit.key)

    def delete(self, key: str) -> None:
        """Note that a router is gone."""
        self._redundant.discard(key)
        self._known.discard(key)
        self._arrivals.forget(key.partition("/")[2])

    def recheck(self) -> None:
        """Nothing: whether it runs is looked at every time."""

    def apply(self) -> dict[str, str]:
        """Have it running or not; return what failed, for each router that lacks it."""
        daemons = self._context.daemons
        try:
            if self._redundant:
                daemons.ensure(self._daemon())
            elif NAME in daemons.running():
                daemons.stop(NAME)
                (self._context.run_dir / "conntrack" / "status.json").unlink(missing_ok=True)
                progress.place(self._context.run_dir).unlink(missing_ok=True)
        except (SystemCommandError, OSError) as error:
            problem = f"its connections are not copied to its twins: {error}"
            return dict.fromkeys(sorted(self._redundant), problem)
        return {}

    def _daemon(self) -> Daemon:
        return Daemon(
            name=NAME,
            argv=(
                str(Path(sys.executable).with_name("deuteron")),
                "conntrack-sync",
                "--run-dir",
                str(self._context.run_dir),
                "--local-ip",
                self._context.local_ip,
            ),
        )
