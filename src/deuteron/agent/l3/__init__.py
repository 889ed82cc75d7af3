"""Redundant routers on one host: twins behind a gate, elections, and the copying of connections."""

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deuteron.agent.context import Context
    from deuteron.agent.manager import Manager


def managers(
    context: "Context", uplink_check_interval: float, measure_interval: float = 30.0
) -> "list[Manager]":
    """Return the managers of this room, in the order in which they are to be applied.

    Starts the threads that report what this host is in its elections, whose next hops answer, and what is
    counted.
    """
    # Imported here: the switch lives in this package, and needs nothing but the standard library.
    from deuteron.agent.l3.conntrack_sync.manager import ConnectionSync
    from deuteron.agent.l3.distributed.manager import DistributedRouters
    from deuteron.agent.l3.elections import Elections
    from deuteron.agent.l3.meters import Meters
    from deuteron.agent.l3.routers import Routers
    from deuteron.agent.l3.standings import Standings
    from deuteron.agent.l3.switch.records import Places
    from deuteron.agent.l3.uplinks import Uplinks

    elections = Elections(context)
    standings = Standings(Places(context.run_dir), context.status, elections.hear)
    context.status.watch_problems(standings.problems)
    standings.start()
    uplinks = Uplinks(context, uplink_check_interval)
    return [
        elections,
        Routers(context),
        DistributedRouters(context),
        ConnectionSync(context),
        uplinks,
        Meters(context, measure_interval),
    ]


def connect(managers: "Sequence[Manager]", wake: "Callable[[Manager, Callable[[], None]], None]") -> None:
    """Have `wake` called, with a manager and what to call in the reconcile thread, when it has news."""
    from deuteron.agent.l3.elections import Elections

    for manager in managers:
        if isinstance(manager, Elections):
            manager.wake = partial(wake, manager)
