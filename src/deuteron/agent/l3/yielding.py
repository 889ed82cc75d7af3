"""Yielding to a host that is active and not heard: the server hears both, the heartbeat's path is cut.

Two keepalived that do not hear each other would both stay active. The one that the plan tells to yield leaves
the election, and joins it again as a standby when it hears the other, so that nothing changes hands when the
path heals.
"""

import time
from dataclasses import dataclass, field

from deuteron.agent.l3.hold_down import PATIENCE
from deuteron.agent.l3.switch.records import Standing
from deuteron.plan.units import Election

STARTING = 5.0
"""Seconds that a keepalived gets that is neither active nor standby."""
SETTLING = 0.3
"""Seconds that VRRP gets to end it by itself: the path may just have healed."""
ALONE = 60.0
"""Seconds without a server after which nobody can be asked whether the other host still lives."""


@dataclass
class Yielding:
    """One election in which this host yields."""

    to: str
    since: float = field(default_factory=time.monotonic)
    left: bool = False
    """Whether this host has left the election."""
    heard: bool = False
    """Whether an active host was heard since then."""
    waits: bool = False
    """Whether it is about to leave, unless VRRP is faster."""

    def must_leave(self, election: Election, standing: Standing | None, *, runs: bool) -> bool:
        """Return whether it is time to leave; `runs`: whether there is a keepalived.

        Who is standby by now hears somebody. Who became active after what the server heard will be heard by
        the server, and told again if that is of no avail.
        """
        state = standing.state if standing else "fault"
        overruled = standing is not None and state == "active" and standing.since == election.superseded
        concerned = bool(election.yields_to) and (overruled or state == "fault")
        patience = 0.0 if not runs else STARTING if state == "fault" else SETTLING
        early = time.monotonic() - self.since < patience
        self.waits = concerned and early
        return concerned and not early

    def over(self, election: Election, server_heard: float) -> str:
        """Return why it may take part again; "" while it must not. `server_heard` is by time.monotonic()."""
        now, self.waits = time.monotonic(), False
        if self.heard:
            return "an active host is heard"
        if not election.yields_to:
            self.waits = now - self.since < PATIENCE
            return "" if self.waits else "the server says that nobody else is active"
        if now - max(server_heard, self.since) > ALONE:
            return "there is nobody to ask whether another host is active"
        return ""
