"""Keeps what the ports of this host are held to as planned."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deuteron.agent import names
from deuteron.agent.qos import marking, shaping
from deuteron.agent.qos.marking import NONE, Rules
from deuteron.agent.qos.shaping import Held
from deuteron.agent.system import ip, nft, tc
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Qos, Unit

_PREFIX = names.shaper("")
_DOOMED = 0x6465616E
"""The device group of devices that are about to be deleted."""
Links = Mapping[str, Mapping[str, Any]]
"""Device -> what `ip link show` says of it."""


class QosManager:
    """Bandwidth, packet rates and marks of ports; everything goes by the names of their devices."""

    kinds: tuple[type[Unit], ...] = (Qos,)
    pending = False

    def __init__(self, lacks: str) -> None:
        """`lacks` says why this host cannot limit bandwidth; "" when it can."""
        self._lacks = lacks
        self._units: dict[str, Qos] = {}
        self._ports: dict[str, str] = {}  # device -> port, gone ones too until they are dealt with
        self._dirty: set[str] = set()  # ports
        self._compare = True
        self._ruled: dict[str, Rules] | None = None
        """What the table holds, nothing if it is not there; None when that is not known."""

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        if isinstance(unit, Qos):
            self._units[unit.id] = unit
            self._ports[names.tap(unit.id)] = unit.id
            self._dirty.add(unit.id)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        id_ = key.partition("/")[2]
        if self._units.pop(id_, None):
            self._dirty.add(id_)

    def recheck(self) -> None:
        """Compare with the kernel at the next turn."""
        self._compare = True

    def concerns(self, device: str) -> bool:
        """Return whether it is the device of a port that is held to something."""
        return device in self._ports

    def device_changed(self, device: str) -> None:
        """Note that a device came, or is another one now."""
        self._dirty.add(self._ports[device])

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        problems = self._mark()
        if self._compare or self._dirty:
            try:
                problems |= self._shape()
            except SystemCommandError as error:
                self._compare = True
                problems["agent/qos"] = f"bandwidth limits stay as they were: {error}"
        return problems

    def _mark(self) -> dict[str, str]:
        """Bring the table of packet rates and marks up to date, in one transaction."""
        wanted = {id_: rules for id_, unit in self._units.items() if (rules := marking.rules(unit)) != NONE}
        if self._compare and self._ruled and not _is_held(self._ruled):
            self._ruled = None
        if wanted == self._ruled:
            return {}
        had = self._ruled or {}
        ids = sorted(wanted.keys() | had.keys())
        commands = marking.commands((id_, had.get(id_, NONE), wanted.get(id_, NONE)) for id_ in ids)
        if not wanted:
            commands = [marking.EMPTY]
        elif not had:
            commands.insert(0, marking.FRAME)
        try:
            nft.apply("\n".join(commands) + "\n")
        except SystemCommandError as error:
            self._ruled = None
            return {"agent/qos-marks": f"packet rates and marks stay as they were: {error}"}
        self._ruled = wanted
        return {}

    def _shape(self) -> dict[str, str]:
        links = {link["ifname"]: link for link in ip.show("link show type ifb")}
        held = shaping.held(tc.show("qdisc show"))
        if self._compare:
            self._dirty |= self._units.keys() | self._strangers(links, held)
        problems: dict[str, str] = {}
        todo: dict[str, _Work] = {}
        for id_ in sorted(self._dirty):
            try:
                todo[id_] = self._work(id_, links, held)
            except ValueError as error:
                problems[id_] = str(error)
        problems |= _do(todo)
        for id_ in self._dirty - problems.keys() - self._units.keys():
            self._ports.pop(names.tap(id_), None)
        self._dirty &= problems.keys()
        self._compare = False
        return {f"qos/{id_}": words for id_, words in problems.items()}

    def _strangers(self, links: Links, held: Mapping[str, Held]) -> set[str]:
        """Return what ids of ports that are not in the plan, but have something of ours, begin with."""
        known = {id_[:11] for id_ in self._units}
        seen = {name.removeprefix(_PREFIX) for name in links if name.startswith(_PREFIX)}
        seen |= {name[3:] for name, has in held.items() if has.ours and name.startswith("tap")}
        return {part for part in seen if part and part not in known}

    def _work(self, id_: str, links: Links, held: Mapping[str, Held]) -> "_Work":
        """Return what to do for a port's device. Raises ValueError when it cannot be done."""
        unit = self._units.get(id_)
        wanted = shaping.buckets(unit.bandwidth, unit.mtu) if unit else {}
        if wanted and self._lacks:
            raise ValueError(self._lacks)
        tap, shaper = names.tap(id_), names.shaper(id_)
        there, ours = shaper in links, shaper in links and names.is_ours(links[shaper])
        has = held.get(tap, Held())
        work = _Work()
        if plugged := ip.exists(tap):
            work.queue += shaping.root(tap, wanted.get("ingress"), has)
        if "egress" in wanted:
            if there and not ours:
                raise ValueError(f"a device {shaper} that is not ours is in the way: remove or rename it")
            work.make += [] if there else shaping.make(shaper)
            work.queue += shaping.root(shaper, wanted["egress"], Held())
            work.queue += shaping.redirect(tap, shaper, has) if plugged else []
        elif ours:
            work.undo += shaping.straight(tap) if plugged and has.filters else []
            work.remove.append(f"link set {shaper} group {_DOOMED}")
        return work


@dataclass
class _Work:
    """What to do for a port, as commands of `ip` (make, remove) and `tc`.

    What is to be removed is marked, and goes at once: each device alone would wait for the whole kernel.
    """

    make: list[str] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    undo: list[str] = field(default_factory=list)
    """What fails of this was not there."""
    remove: list[str] = field(default_factory=list)


def _do(todo: Mapping[str, _Work]) -> dict[str, str]:
    """Do the work for many ports at once; return what failed, by port."""
    problems = ip.batch_groups({id_: work.make for id_, work in todo.items() if work.make})
    well = {id_: work.queue for id_, work in todo.items() if work.queue and id_ not in problems}
    problems |= tc.batch_groups(well)
    tc.batch_groups({id_: work.undo for id_, work in todo.items() if work.undo})
    doomed = {id_: work.remove for id_, work in todo.items() if work.remove}
    problems |= ip.batch_groups(doomed)
    if doomed.keys() - problems.keys():
        ip.batch([f"link delete group {_DOOMED}"])
    return problems


def _is_held(ruled: Mapping[str, Rules]) -> bool:
    """Return whether the table knows the devices that it should: who harmed it took those too."""
    return all(
        nft.keys("bridge", map_, table=marking.TABLE) == marking.devices(ruled, map_)
        for map_ in (marking.FROM, marking.TO)
    )
