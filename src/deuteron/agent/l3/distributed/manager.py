"""The distributed parts of routers on this host: namespaces, ports, neighbours, and what keeps them here."""

import logging
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.l2.devices import Refused, uplink
from deuteron.agent.l3 import kernel as ports
from deuteron.agent.l3 import radvd
from deuteron.agent.l3.distributed import kernel, wanted
from deuteron.agent.l3.distributed.bridges import Bridges, PartPort
from deuteron.agent.l3.distributed.outsides import Outsides
from deuteron.agent.l3.distributed.wanted import MARK, Part
from deuteron.agent.l3.wanted import SYSCTLS
from deuteron.agent.system import ip, netns, nft, sysctl
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import DistributedRouter, FloatingGateway, FloatingIP, Neighbour, Network, Unit

log = logging.getLogger(__name__)

_PREFIX = names.router_namespace("")
_RADVD = "distributed-radvd-"
_PART = "distributed"
_AT_ONCE = 8
"""Routers in one turn: others want theirs too."""

Taps = Mapping[str, Mapping[str, Any]]


class DistributedRouters:
    """Builds DistributedRouter units, with the neighbours that they know."""

    kinds: tuple[type[Unit], ...] = (DistributedRouter, Neighbour, Network, FloatingGateway, FloatingIP)

    def __init__(self, context: Context) -> None:
        """Nothing is built before the first `apply`."""
        self._context = context
        self._routers: dict[str, DistributedRouter] = {}
        self._networks: dict[str, Network] = {}
        self._neighbours: dict[str, dict[str, Neighbour]] = {}  # network -> id -> neighbour
        self._network_of: dict[str, str] = {}  # neighbour -> network
        self._changed: dict[str, None] = {}
        self._heard: dict[str, dict[str, Neighbour | None]] = {}  # network -> id -> what it was before
        self._compare = True
        self._parts: dict[str, Part] = {}
        self._built: dict[str, Part] = {}
        self._made: set[str] = set()
        self._up: set[str] = set()
        self._problems: dict[str, str] = {}
        self._outside_problems: dict[str, str] = {}
        self._bridges = Bridges()
        self._outsides = Outsides(context)

    @property
    def pending(self) -> bool:
        """Whether routers wait for their turn."""
        return bool(self._changed)

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        match unit:
            case DistributedRouter():
                self._routers[unit.id] = unit
                self._parts.pop(unit.id, None)
                self._changed[unit.id] = None
            case Neighbour():
                self._forget(unit.id)
                self._neighbours.setdefault(unit.network, {})[unit.id] = unit
                self._network_of[unit.id] = unit.network
                self._heard.setdefault(unit.network, {}).setdefault(unit.id, None)
            case Network():
                self._networks[unit.id] = unit
            case _:
                self._outsides.put(unit)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, id_ = key.partition("/")
        if kind == "distributedrouter":
            self._routers.pop(id_, None)
            self._parts.pop(id_, None)
            self._changed[id_] = None
        elif kind == "neighbour":
            self._forget(id_)
        elif kind == "network":
            self._networks.pop(id_, None)
        else:
            self._outsides.delete(kind, id_)

    def _forget(self, neighbour: str) -> None:
        network = self._network_of.pop(neighbour, None)
        if network is not None:
            before = self._neighbours[network].pop(neighbour)
            self._heard.setdefault(network, {}).setdefault(neighbour, before)

    def recheck(self) -> None:
        """Compare everything at the next turns."""
        self._compare = True

    def apply(self) -> dict[str, str]:
        """Build what changed, a number of routers at a time; what is new takes part when it is complete."""
        if self._compare:
            self._built.clear()
            self._bridges.forget()
            self._outsides.recheck()
            self._changed.update(dict.fromkeys(sorted(self._routers.keys() | self._present())))
            self._compare = False
        self._tell_neighbours(but=self._take_turn())
        problems: dict[str, list[str]] = {id_: [words] for id_, words in self._problems.items()}
        for id_, words in self._bridges.apply(self._wanted_ports(problems)).items():
            problems.setdefault(id_, []).append(words)
        if not self.pending:
            self._report(problems.keys())
            made, self._made = self._made, set()
            here = {id_: router for id_, router in self._routers.items() if id_ in self._built}
            self._outside_problems = self._outsides.apply(here, made)
        told = {f"distributedrouter/{id_}": "; ".join(words) for id_, words in problems.items()}
        return told | self._outside_problems

    def _take_turn(self) -> list[str]:
        """Remove what is gone, and build a number of those that changed or had problems; return which."""
        again = {} if self.pending else dict.fromkeys(sorted(self._problems))
        todo = {**self._changed, **again}
        # What is not wanted is not in the table any more: it must not stay on a bridge.
        gone = [id_ for id_ in todo if id_ not in self._routers]
        turn = [*gone, *[id_ for id_ in todo if id_ in self._routers][:_AT_ONCE]]
        taps = _taps() if turn else {}
        for id_ in turn:
            self._changed.pop(id_, None)
            problem = self._make(id_, taps)
            self._problems.pop(id_, None)
            if problem:
                self._problems[id_] = problem
        return turn

    def _report(self, troubled: Container[str]) -> None:
        """Say which interfaces carry traffic here."""
        up = {
            device.port
            for id_, part in self._built.items()
            if part.is_open and id_ not in troubled
            for device in part.devices
        }
        for port in self._up ^ up:
            self._context.status.set_port(port, port in up, _PART)
        self._up = up

    def _present(self) -> set[str]:
        """Return the routers of which there is a distributed part here."""
        here = {name for name in netns.names() if name.startswith(_PREFIX) and netns.exists(name)}
        daemons = self._context.daemons.running()
        return {name.removeprefix(_PREFIX) for name in here if netns.is_ours(name, MARK)} | {
            name.removeprefix(_RADVD) for name in daemons if name.startswith(_RADVD)
        }

    def _make(self, id_: str, taps: Taps) -> str:
        """Make a router's part so, or remove it; return what failed."""
        try:
            if id_ in self._routers:
                return self._build(self._part(id_), taps)
            return self._remove(id_)
        except (SystemCommandError, OSError, ValueError) as error:
            return str(error)

    def _part(self, id_: str) -> Part:
        """Return what a part must look like. Raises ValueError."""
        if id_ not in self._parts:
            self._parts[id_] = wanted.part(self._routers[id_])
        return self._parts[id_]

    def _build(self, part: Part, taps: Taps) -> str:
        """Make a part so, but for its place on the bridges; return what the rest can do without."""
        before = self._built.pop(part.id, None)
        if not netns.exists(part.namespace):  # a radvd may still be in one that somebody removed
            radvd.stop(self._context.daemons, f"{_RADVD}{part.id}", self._directory(part.id))
            self._made.add(part.id)
        netns.create(part.namespace, mark=MARK)
        if before is None:
            sysctl.write(SYSCTLS, part.namespace)
        if before is None or before.nft != part.nft:
            nft.apply(part.nft, part.namespace)
        inside = kernel.look(part.namespace)
        removals = [
            *ports.remove_ports(part.devices, inside.links),
            *ports.remove_addresses(part.devices, inside.links),
        ]
        if removals:
            ip.batch(removals, part.namespace)
            inside = kernel.look(part.namespace)  # routes went with them
        here = [device for device in part.devices if device.inside in inside.links]
        whole = {device.tap: taps[device.tap] for device in here if device.tap in taps}
        ip.batch(kernel.make_ports(part.devices, part.namespace, taps, whole))
        ip.batch(ports.set_ports(part.devices, inside.links), part.namespace)
        known = wanted.neighbours(self._routers[part.id], self._neighbours)
        groups = kernel.set_neighbours(inside.neighbours, known) | kernel.set_routes(part, inside)
        failed = ip.batch_groups(groups, part.namespace)
        for version in (4, 6):
            failed |= ip.batch_groups(kernel.set_rules(part, inside, version), part.namespace, version)
        daemon, unit = f"{_RADVD}{part.id}", f"distributedrouter/{part.id}"
        directory = self._directory(part.id)
        radvd.ensure(self._context.daemons, daemon, part.radvd, directory, part.namespace, unit)
        self._built[part.id] = part
        return "; ".join(failed.values())

    def _remove(self, id_: str) -> str:
        """Remove what there is of a part."""
        self._built.pop(id_, None)
        radvd.stop(self._context.daemons, f"{_RADVD}{id_}", self._directory(id_))
        name = f"{_PREFIX}{id_}"
        if netns.exists(name) and netns.is_ours(name, MARK):
            ends = [names.distributed_tap(device[3:]) for device in kernel.look(name).links]
            taps = _taps()
            ours = [tap for tap in ends if tap in taps and names.is_ours(taps[tap])]
            ip.batch([f"link delete {tap}" for tap in ours])
            netns.delete(name)
        return ""

    def _directory(self, id_: str) -> Path:
        return self._context.run_dir / "distributed-radvd" / id_

    def _tell_neighbours(self, but: Container[str]) -> None:
        """Tell routers, `but` for some that know already, which neighbours have come, changed and gone."""
        heard, self._heard = self._heard, {}
        before = {at: {id_: unit for id_, unit in those.items() if unit} for at, those in heard.items()}
        here = self._neighbours
        now = {at: {id_: here[at][id_] for id_ in those if id_ in here[at]} for at, those in heard.items()}
        for id_, part in self._built.items():
            if id_ in but or id_ in self._changed or heard.keys().isdisjoint(part.networks):
                continue
            router = self._routers[id_]
            have, want = wanted.neighbours(router, before), wanted.neighbours(router, now)
            failed = ip.batch_groups(kernel.set_neighbours(have, want), part.namespace)
            if failed:
                self._changed[id_] = None  # what it knows now is looked up
                self._problems[id_] = "; ".join(failed.values())

    def _wanted_ports(self, problems: dict[str, list[str]]) -> list[PartPort]:
        """Return the ports of all parts with the networks that they are on; add to `problems` by router."""
        found = []
        for id_ in self._routers:
            try:
                part = self._part(id_)
            except ValueError:
                continue  # told when it was to be built
            for device, network in zip(part.devices, part.networks, strict=True):
                if network not in self._networks:
                    words = f"its network {network} is not planned for this host"
                    problems.setdefault(id_, []).append(words)
                    continue
                try:
                    way = uplink(self._networks[network], self._context.bridge_mappings)
                except Refused as error:
                    problems.setdefault(id_, []).append(str(error))
                    continue
                found.append(PartPort(id_, device, way, part.mac, part.is_open, self._built.get(id_) is part))
        return found


def _taps() -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in ip.show("link show type veth")}
