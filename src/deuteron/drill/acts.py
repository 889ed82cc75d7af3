"""What is done in a drill: to hosts, to their cables and processes, or to the router on purpose."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from deuteron.drill import planned
from deuteron.drill.stage import Stage, run
from deuteron.lab import hosts, wires
from deuteron.lab import lab as labs
from deuteron.lab.state import locked
from deuteron.lab.topology import LabError, NetworkName

Do = Literal[
    "power off",
    "power on",
    "cut",
    "heal",
    "freeze",
    "kill",
    "restart",
    "move",
    "drain",
    "undrain",
    "convert",
]

FREEZE_SECONDS = 5.0
SERVICES = ("agent", "switch", "server")
"""What a host's process 1 keeps running."""
CUTTABLE: tuple[NetworkName, ...] = ("underlay", "external", "management")

NOUNS = {
    "active": "the active host",
    "standby": "a standby",
    "other standby": "the other standby",
    "DHCP server": "a DHCP server",
    "compute": "a compute host",
    "controller": "the controller",
    "all agents": "all hosts with an agent",
    "all hosts": "all hosts",
    "dead host": "what is off",
    "cut host": "what is cut off",
    "drained host": "the drained host",
}
"""Role -> how one speaks of it; who has it is in roles.py."""
PLANNED = {"move": planned.move, "drain": planned.drain, "undrain": planned.undrain}


@dataclass(frozen=True)
class Act:
    """One thing that is done, to one host or to all that have a role."""

    do: Do
    who: str
    """A role, of NOUNS."""
    what: str = ""
    """The network that is cut or healed, the process that is killed (SIGKILL) or restarted (SIGTERM), or the
    mode that the router is converted to."""

    def __str__(self) -> str:
        who = NOUNS[self.who]
        if self.do == "move":
            return f"move the router to {who}"
        if self.do == "convert":
            return f"make the router {self.what}"
        if self.do == "cut":
            return f"cut {who} off the {self.what} network"
        if self.do == "heal":
            return f"connect {who} to the {self.what} network again"
        if self.do == "freeze":
            return f"freeze {who} for {FREEZE_SECONDS:.0f} s"
        if self.what:
            return f"{'kill -9' if self.do == 'kill' else self.do} {self.what} on {who}"
        return f"{self.do} {who}"


def places(act: Act, roles: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the hosts that an act is done to. Raises LabError when nobody has the role."""
    found = tuple(roles.get(act.who, ()))
    if not found:
        raise LabError(f"{act}: no host is the {act.who} now")
    return found


def perform(stage: Stage, act: Act, on: Sequence[str]) -> float:
    """Do it; return the Unix time of the last thing that was done. Raises LabError."""
    last = time.time()
    for host in on:
        last = time.time()
        if act.do == "power off":
            labs.power_off(stage.lab, host)
        elif act.do == "power on":
            labs.power_on(stage.lab, host)
        elif act.do in ("cut", "heal"):
            _plug(stage, host, act)
        elif act.do == "freeze":
            hosts.ask(stage.lab, host, "freeze")
            time.sleep(FREEZE_SECONDS)
            last = time.time()
            hosts.ask(stage.lab, host, "thaw")
        elif act.do == "convert":
            planned.convert(stage, act.what)
        elif act.do in PLANNED:
            PLANNED[act.do](stage, host)
        else:
            _end(stage, host, act)
    return last


def _plug(stage: Stage, host: str, act: Act) -> None:
    change = wires.cut if act.do == "cut" else wires.heal
    with locked(stage.lab):
        change(stage.lab.name, host, [network for network in CUTTABLE if network == act.what])


def _end(stage: Stage, host: str, act: Act) -> None:
    """End a process; who keeps it running starts it again."""
    if act.what not in SERVICES:
        _signal(stage, host, act)
    elif act.do == "restart":
        hosts.ask(stage.lab, host, "restart", name=act.what)
    else:
        pid = hosts.ask(stage.lab, host, "status")["services"][act.what]["pid"]
        if not pid:
            raise LabError(f"{host}: {act.what} does not run, so it cannot be killed")
        run(stage.lab, host, "kill", "-9", str(pid))


def _signal(stage: Stage, host: str, act: Act) -> None:
    # What matches is of this host alone: it has process numbers of its own. A child may go before its turn.
    number = "-9" if act.do == "kill" else "-15"
    script = (
        f'found=$(pgrep -f "$1") || exit 3; for pid in $found; do kill {number} $pid 2>/dev/null; done; true'
    )
    try:
        # In brackets, so that the pattern does not match itself in the command line of this very script.
        run(stage.lab, host, "sh", "-c", script, "sh", f"[{act.what[0]}]{act.what[1:]}.*/run/deuteron")
    except LabError:
        raise LabError(f"{host}: no {act.what} runs, so it cannot be ended") from None
