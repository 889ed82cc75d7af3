"""What the agent wires of this room."""

from deuteron.agent.context import Context
from deuteron.agent.l3.elections import Elections
from deuteron.agent.l3.routers import Routers
from deuteron.agent.l3.standings import Standings
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.manager import Manager


def managers(context: Context) -> list[Manager]:
    """Return the managers of elections and routers, in the order in which they are to be applied.

    Starts the thread that reports elections.
    """
    standings = Standings(Places(context.run_dir), context.status)
    context.status.watch_problems(standings.problems)
    standings.start()
    return [Elections(context), Routers(context)]
