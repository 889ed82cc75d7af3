"""One election as the switch sees it: what keepalived says, what the kernel shows, and why."""

import errno
import socket
import time
from dataclasses import replace

from deuteron.agent.l3.switch import records, underlay
from deuteron.agent.l3.switch.adverts import Adverts
from deuteron.agent.l3.switch.pipes import Pipe
from deuteron.agent.l3.switch.records import Election, Places, Standing
from deuteron.agent.l3.switch.silence import Silence
from deuteron.agent.system import netns

_STATES = {"MASTER": "active", "BACKUP": "standby", "FAULT": "fault", "STOP": "fault"}
_YIELDED = "fault"


class Watch:
    """Follows one election."""

    def __init__(self, election: Election, places: Places) -> None:
        """Begin, with the truth as it is now; raises OSError when its namespace is not there."""
        self.election = election
        self.adverts = Adverts(election)
        self.cut = False
        """Whether its device was told that there is no carrier."""
        self._places = places
        try:
            self._silence = Silence(election.netns, election.vrid, election.peers)
            self.pipe = Pipe(places.fifo(election.id))
            self.standing = self._now()
        except OSError:
            self.adverts.close()
            raise

    def close(self, forget: bool) -> None:
        """Stop following; `forget` also what was."""
        self.adverts.close()
        self._silence.close()
        self.pipe.close()
        if forget:
            for file in (self._places.standing, self._places.fifo, self._places.fence):
                file(self.election.id).unlink(missing_ok=True)

    def read(self) -> bool:
        """Take what keepalived says; return whether the standing changed. The last word counts."""
        said, lives = self.pipe.read()
        if not lives:
            self.pipe.reopen()
            stopped = said and said[-1] == "STOP"
            return self._change("fault", "keepalived was stopped" if stopped else "keepalived died")
        if not said:
            return False
        state, why = _STATES[said[-1]], self._why(said[-1])
        lost = state == "standby" and self.standing.state == "active"
        return self._change(state, why, rival=self.adverts.peer if lost else "")

    def cut_off(self, cut: bool) -> None:
        """Tell its device whether there is a carrier; raises OSError."""
        if cut:
            self.adverts.listen_anew()  # to notice when the others are there again
        if cut != self.cut:
            underlay.pass_on(self.election.netns, self.election.device, has_carrier=not cut)
            self.cut = cut

    def measure_gap(self, opened: float) -> None:
        """Note how long nobody was active until the gates opened here, by time.monotonic()."""
        silent = self._silence.milliseconds()
        if silent is not None:
            gap = max(0.0, silent - (time.monotonic() - opened) * 1000)
            self.standing = replace(self.standing, gap_ms=round(gap, 1))

    def save(self) -> None:
        """Keep the standing for a switch that comes after; raises OSError."""
        records.write(self._places.standing(self.election.id), self.standing)

    def _change(self, state: str, cause: str, rival: str = "") -> bool:
        if self.election.yields_to:
            state, cause = _YIELDED, self._yields()
        if state == self.standing.state:
            return False
        self.standing = Standing(self.election.id, state, time.time(), cause, rival=rival)
        return True

    def _yields(self) -> str:
        return f"it yields to {self.election.yields_to}, which is active and cannot be heard here"

    def _why(self, said: str) -> str:
        if said == "MASTER":
            return self.adverts.why_active()
        if said == "BACKUP":
            return self.adverts.why_standby() if self.standing.state == "active" else "started"
        if said == "STOP":
            return "keepalived was stopped"
        if self.cut:
            return f"the underlay device {self.election.underlay} has no carrier"
        return "its HA device is down, or it missed the switch"

    def _now(self) -> Standing:
        """Return the standing by what the kernel shows: keepalived's mark, and whether it lives at all.

        Events that still wait in the pipe are older than that, so they are dropped first.
        """
        _, lives = self.pipe.read()
        if self.election.yields_to:
            state, cause = _YIELDED, self._yields()
        elif not lives:
            state, cause = "fault", "keepalived does not run"
        elif self._is_marked():
            state, cause = "active", "it was so when the switch started"
        else:
            state, cause = "standby", "started"
        try:
            before = records.read(self._places.standing(self.election.id), Standing)
        except ValueError:
            before = None
        same = before is not None and before.state == state
        return before if before and same else Standing(self.election.id, state, time.time(), cause)

    def _is_marked(self) -> bool:
        with netns.entered(self.election.netns):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with probe:
            try:
                probe.bind((self.election.mark, 0))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    return False
                raise
        return True
