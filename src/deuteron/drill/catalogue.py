"""The drills, by name."""

from dataclasses import dataclass

from deuteron.drill.acts import CUTTABLE, Act
from deuteron.lab.modes import MODES, Mode


@dataclass(frozen=True)
class Step:
    """What is done at once; the traffic is watched meanwhile, and then all must settle."""

    acts: tuple[Act, ...] = ()
    traffic: bool = True
    """Whether there can be any."""
    settles: bool = True
    """Whether anything is left that could."""
    title: str = ""
    """What is done, where the acts would make a long list."""

    @property
    def converts(self) -> bool:
        """Whether the router becomes something else."""
        return any(act.do == "convert" for act in self.acts)

    def leads_to(self, mode: Mode) -> Mode:
        """Return what a router of some mode is afterwards."""
        return next((MODES[act.what] for act in self.acts if act.do == "convert"), mode)

    def __str__(self) -> str:
        return self.title or " and ".join(str(act) for act in self.acts) or "look whether everything works"


@dataclass(frozen=True)
class Drill:
    """Failures and repairs, one after the other; everything is well before and afterwards."""

    name: str
    steps: tuple[Step, ...]


def _drill(name: str, *acts: Act) -> Drill:
    """Return a drill whose acts are done one after the other."""
    return Drill(name, tuple(Step((act,)) for act in acts))


_ON = Act("power on", "dead host")

_POWER = (
    _drill("power-cut-active", Act("power off", "active"), _ON),
    _drill("power-cut-standby", Act("power off", "standby"), _ON),
    _drill("power-cut-dhcp-server", Act("power off", "DHCP server"), _ON),
    _drill("power-cut-controller", Act("power off", "controller"), _ON),
    _drill("power-cuts-in-a-row", Act("power off", "active"), Act("power off", "active"), _ON),
    Drill(
        "power-cuts-at-once",
        (Step((Act("power off", "active"), Act("power off", "standby"))), Step((_ON,))),
    ),
    Drill(
        "power-cut-of-everything",
        (
            Step((Act("power off", "all hosts"),), traffic=False, settles=False),
            Step((Act("power on", "all hosts"),), traffic=False),
            Step(),
        ),
    ),
)

_FREEZES = tuple(_drill(f"freeze-{who}", Act("freeze", who)) for who in ("active", "standby"))

_CUTS = tuple(
    _drill(f"cut-{network}-{who}", Act("cut", who, network), Act("heal", "cut host", network))
    for network in CUTTABLE
    for who in ("active", "standby", "controller")
    if who != "controller" or network == "management"
)

_PROCESSES = (
    ("agent", ("active", "standby", "compute")),
    ("switch", ("active", "standby")),
    ("keepalived", ("active", "standby")),
    ("dnsmasq", ("DHCP server",)),
    ("haproxy", ("compute",)),
    ("conntrack-sync", ("active", "standby")),
    ("radvd", ("active",)),
    ("server", ("controller",)),
)

_ENDS = tuple(
    _drill(
        f"{process}-{who.replace(' ', '-').lower()}", Act("kill", who, process), Act("restart", who, process)
    )
    for process, whose in _PROCESSES
    for who in whose
)

_ALL = (
    Drill(
        "restart-of-everything",
        (
            Step(
                (
                    Act("kill", "controller", "server"),
                    Act("kill", "all agents", "agent"),
                    Act("kill", "all agents", "switch"),
                ),
                title="kill -9 the server, all agents and all switches",
            ),
        ),
    ),
    _drill("move", Act("move", "standby"), Act("move", "standby")),
    _drill(
        "drain",
        Act("drain", "active"),
        Act("power off", "drained host"),
        _ON,
        Act("undrain", "drained host"),
    ),
)
_UPLINK = Drill(
    "cut-external-active",
    (
        Step((Act("cut", "active", "external"),)),
        Step((Act("heal", "cut host", "external"),), traffic=False),
        Step(),
    ),
)
"""Where nobody stands by: nothing goes out meanwhile."""
_OF_ELECTIONS = ("keepalived", "conntrack-sync", "cut-underlay-active")
"""Drills that make no sense where nobody stands by: nobody hears that the active host is cut off."""


def _convert(mode: Mode) -> Drill:
    """Return the drill that makes a router of a mode what else it can be, and back."""
    steps = []
    for other in MODES.values():
        if other != mode:
            steps.append(Step((Act("convert", "active", other.name),), settles=False))
            steps.append(Step((Act("convert", "active", mode.name),)))
    return Drill("convert", tuple(steps))


def of_mode(mode: Mode) -> dict[str, Drill]:
    """Return the drills for a router of a mode, by name."""
    found = {drill.name: drill for drill in (*_POWER, *_FREEZES, *_CUTS, *_ENDS, *_ALL, _convert(mode))}
    if mode.redundant:
        return found
    found[_UPLINK.name] = _UPLINK
    return {name: drill for name, drill in found.items() if not name.startswith(_OF_ELECTIONS)}


DRILLS = of_mode(MODES["ha"])
