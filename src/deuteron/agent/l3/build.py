"""What the agent wires of this room."""

from deuteron.agent.context import Context
from deuteron.agent.l3.elections import Elections
from deuteron.agent.manager import Manager


def managers(context: Context) -> list[Manager]:
    """Return the managers of elections and routers, in the order in which they are to be applied."""
    return [Elections(context)]
