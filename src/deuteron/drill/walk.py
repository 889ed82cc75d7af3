"""A random walk of failures and repairs: pure, and the same for the same seed.

At most one candidate of the router is impaired at a time, so that a majority always can; processes are killed
anywhere and at any time. What a step may cost follows from what is done.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from deuteron.drill import effects
from deuteron.drill.acts import CUTTABLE, Act
from deuteron.drill.catalogue import Step
from deuteron.drill.effects import HA, Effect
from deuteron.lab.modes import Mode

AT_ONCE = 0.25
"""How often two things are done at once."""
REPAIR = 0.5
"""How often something is repaired, when something is damaged."""
AT_ONCE_GAP_MS = 1000.0
"""Of a takeover by a host to which something was done at the same time."""
_ON = Act("power on", "dead host")


class Damage(NamedTuple):
    """What is not well: a network that is cut, "power", or nothing ("")."""

    candidate: str = ""
    """Of one host that can carry the router."""
    controller: str = ""


def walk(seed: int, rounds: int, mode: Mode = HA) -> Iterator[tuple[Step, Effect]]:
    """Yield so many steps with what each may cost; after them, repairs until nothing is damaged."""
    dice = random.Random(seed)
    damage = Damage()
    for _ in range(rounds):
        first = choose(dice, damage, mode)
        damage = after(damage, first)
        both = [first]
        if first.do not in ("freeze", "move") and dice.random() < AT_ONCE:
            second = choose(dice, damage, mode)
            if second.do not in ("freeze", "move") and not undoes(second, first) and second != first:
                damage = after(damage, second)
                both.append(second)
        yield Step(tuple(both)), expected(both, mode)
    for act in repairs(damage):
        if act in repairs(damage):
            damage = after(damage, act)
            yield Step((act,)), expected([act], mode)


def choose(dice: random.Random, damage: Damage, mode: Mode = HA) -> Act:
    """Choose what is done next."""
    repairing = repairs(damage)
    if repairing and dice.random() < REPAIR:
        return dice.choice(repairing)
    kinds = [kind for kind in (of_hosts(damage), of_processes(damage)) if kind]
    if not mode.redundant:
        kinds = [[act for act in kind if not _needs_standbys(act)] for kind in kinds]
    return dice.choice(dice.choice([kind for kind in kinds if kind]))


def _needs_standbys(act: Act) -> bool:
    """Whether an act makes no sense where nobody stands by, or stops everything there."""
    if act.what in ("keepalived", "conntrack-sync") or (act.do, act.what) == ("cut", "underlay"):
        return True
    if (act.who, act.what) == ("standby", "radvd"):  # where there is no twin there is none
        return True
    return (act.do, act.who, act.what) == ("cut", "active", "external")


def repairs(damage: Damage) -> list[Act]:
    """Return what can be repaired."""
    found = {one: None for one in damage if one}
    return [_ON if one == "power" else Act("heal", "cut host", one) for one in found]


def of_hosts(damage: Damage) -> list[Act]:
    """Return what can be done to whole hosts."""
    found: list[Act] = []
    if not damage.candidate:
        found += [Act(do, who) for do in ("power off", "freeze") for who in ("active", "standby")]
        # The server has to see who is cut off from whom, and that another uplink is better.
        seen = CUTTABLE if not damage.controller else ("management",)
        found += [Act("cut", who, network) for network in seen for who in ("active", "standby")]
        if not damage.controller:
            found += [Act("move", who) for who in ("standby", "other standby")]
    if not damage.controller and damage.candidate not in ("underlay", "external"):
        found += [Act("power off", "controller"), Act("cut", "controller", "management")]
    return found


def of_processes(damage: Damage) -> list[Act]:
    """Return which processes can be ended."""
    whose = {
        "agent": ("active", "standby", "compute", "all agents"),
        "switch": ("active", "standby"),
        "keepalived": ("active", "standby"),
        "conntrack-sync": ("active", "standby"),
        "dnsmasq": ("DHCP server",),
        "haproxy": ("compute",),
        "radvd": ("active", "standby"),
        "server": () if damage.controller == "power" else ("controller",),
    }
    if damage.candidate == "external":  # an election knows nothing of uplinks
        whose["keepalived"] = ("standby",)
    ends = [(process, who) for process, them in whose.items() for who in them]
    return [Act(do, who, process) for process, who in ends for do in ("kill", "restart")]


def after(damage: Damage, act: Act) -> Damage:
    """Return what is damaged when that was done."""
    if act.do in ("power off", "cut"):
        what = act.what or "power"
        if act.who == "controller":
            return damage._replace(controller=what)
        return damage._replace(candidate=what)
    if act.do in ("power on", "heal"):
        what = act.what or "power"
        return Damage(*("" if one == what else one for one in damage))
    return damage


def undoes(act: Act, other: Act) -> bool:
    """Return whether an act repairs what another one has just broken, or the other way round."""
    return {act.do, other.do} in ({"power on", "power off"}, {"cut", "heal"})


def expected(acts: list[Act], mode: Mode = HA) -> Effect:
    """Return what acts that are done at once may cost."""
    effect = effects.of_all(acts, mode)
    if len(acts) == 1 or not effect.gap_ms:
        return effect
    return effects.worst([effect, Effect(gap_ms=AT_ONCE_GAP_MS)])
