"""Routers on this host: namespaces, ports, rules, and what the switch must know of them."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.l3 import acquaintances, kernel, radvd, serving, wanted
from deuteron.agent.l3.distributed import wanted as distributed
from deuteron.agent.l3.switch import client, records
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.l3.wanted import Twin
from deuteron.agent.system import ip, netns, nft, sysctl
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import FloatingIP, Router, Unit

log = logging.getLogger(__name__)

_PREFIXES = (names.router_namespace(""), names.snat_namespace(""))
_RADVD = "radvd-"
_AT_ONCE = 24
"""Routers in one turn: others want theirs too."""
_THREADS = 4

Taps = Mapping[str, Mapping[str, Any]]


class Routers:
    """Builds Router units and the FloatingIP units of them."""

    kinds: tuple[type[Unit], ...] = (Router, FloatingIP)

    def __init__(self, context: Context) -> None:
        """Nothing is built before the first `apply`."""
        self._context = context
        self._places = Places(context.run_dir)
        self._routers: dict[str, Router] = {}
        self._floating: dict[str, FloatingIP] = {}
        self._changed: dict[str, None] = {}
        self._unchecked: dict[str, None] = {}
        self._compare = True
        self._built: dict[str, Twin] = {}
        self._ports: dict[str, set[str]] = {}
        self._problems: dict[str, str] = {}
        self._waiting: set[str] = set()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="routers")

    @property
    def pending(self) -> bool:
        """Whether routers wait for their turn."""
        return bool(self._changed or self._unchecked)

    def put(self, unit: Unit) -> None:
        """Note a router or a floating IP."""
        if isinstance(unit, Router):
            self._routers[unit.id] = unit
            self._changed[unit.id] = None
        elif isinstance(unit, FloatingIP):
            before = self._floating.pop(unit.id, None)
            if not unit.distributed:
                self._floating[unit.id] = unit
            self._changed.update({f.router: None for f in (before, self._floating.get(unit.id)) if f})

    def delete(self, key: str) -> None:
        """Note that a router or a floating IP is gone."""
        kind, _, id_ = key.partition("/")
        if kind == "router":
            self._routers.pop(id_, None)
            self._changed[id_] = None
        elif kind == "floatingip" and (gone := self._floating.pop(id_, None)):
            self._changed[gone.router] = None

    def recheck(self) -> None:
        """Have every router looked at again."""
        self._compare = True

    def apply(self) -> dict[str, str]:
        """Build what changed, then look at what was not looked at yet; a number of routers at a time."""
        self._places.make()
        if self._compare:
            self._built.clear()
            self._unchecked = dict.fromkeys(sorted(self._routers.keys() | self._present()))
            self._compare = False
        again = {key.partition("/")[2] for key in self._problems} if not self.pending else set()
        turn = list({**self._changed, **self._unchecked, **dict.fromkeys(sorted(again))})[:_AT_ONCE]
        for id_ in turn:
            self._changed.pop(id_, None)
            self._unchecked.pop(id_, None)
            self._problems.pop(f"router/{id_}", None)
        for id_, problem in self._work(turn).items():
            self._problems[f"router/{id_}"] = problem
        return dict(self._problems)

    def _present(self) -> set[str]:
        """Return the routers of which there is something here that is ours."""
        known = self._places.routers()
        for name in netns.names():
            prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
            id_ = name.removeprefix(prefix or "")
            if prefix is None or id_ in self._routers or id_ in known:
                continue
            if netns.is_ours(name):
                known.add(id_)
            elif not netns.is_ours(name, distributed.MARK):
                log.warning("namespace %s is not ours: left alone", name)
        daemons = self._context.daemons.running()
        return known | {name.removeprefix(_RADVD) for name in daemons if name.startswith(_RADVD)}

    def _work(self, turn: list[str]) -> dict[str, str]:
        """Build or remove routers; return what failed."""
        problems: dict[str, str] = {}
        twins = self._twins(turn, problems)
        try:
            todo = [twin for twin in twins if not self._is_built(twin)]
            gone = [id_ for id_ in turn if id_ not in self._routers]
            taps = _taps() if todo or gone else {}
        except SystemCommandError as error:
            return dict.fromkeys(turn, str(error))
        self._rename(todo, problems)
        todo = [twin for twin in todo if twin.id not in self._waiting]
        new = [twin for twin in todo if twin.id not in problems and not netns.exists(twin.namespace)]
        self._shut(new, problems)
        build = {twin.id: partial(self._build, twin, taps) for twin in todo if twin.id not in problems}
        remove = {id_: partial(self._remove, id_, taps) for id_ in gone}
        jobs = {**build, **remove}
        results = dict(zip(jobs, self._pool.map(_attempt, jobs.values()), strict=True))
        undone = {id_ for id_, result in results.items() if not result.done} | problems.keys() | self._waiting
        problems.update({id_: result.problem for id_, result in results.items() if result.problem})
        built = [twin for twin in twins if twin.id not in undone]
        self._tell(built, [id_ for id_ in gone if id_ not in undone], problems)
        return problems

    def _twins(self, turn: list[str], problems: dict[str, str]) -> list[Twin]:
        floating: dict[str, list[FloatingIP]] = {}
        for floating_ip in self._floating.values():
            floating.setdefault(floating_ip.router, []).append(floating_ip)
        twins = []
        for id_ in turn:
            try:
                if id_ in self._routers:
                    twins.append(wanted.twin(self._routers[id_], floating.get(id_, [])))
            except ValueError as error:
                problems[id_] = str(error)
        return twins

    def _is_built(self, twin: Twin) -> bool:
        """Return whether at most the switch has news of it."""
        before = self._built.get(twin.id)
        return before is not None and before.kernel == twin.kernel and before.namespace == twin.namespace

    def _rename(self, twins: list[Twin], problems: dict[str, str]) -> None:
        """Have namespaces called as routers are now, with distributed parts or without, and the switch know.

        Nothing in them notices. A distributed part that still has the name goes in this turn of its manager:
        then the router waits for its next turn, once.
        """
        renamed = []
        waited, self._waiting = self._waiting, set()
        for twin in twins:
            (other,) = {*_namespaces(twin.id)} - {twin.namespace}
            try:
                if netns.exists(other) and netns.is_ours(other):
                    if twin.id not in waited and _is_part(twin.namespace):
                        self._waiting.add(twin.id)
                        self._changed[twin.id] = None
                        continue
                    netns.rename(other, twin.namespace)
                    if record := records.read(self._places.router(twin.id), records.Router):
                        records.write(self._places.router(twin.id), replace(record, netns=twin.namespace))
                        renamed.append(twin.id)
            except (SystemCommandError, OSError, ValueError) as error:
                problems[twin.id] = str(error)
        if renamed:
            try:
                client.load(self._places, renamed)
            except client.SwitchError as error:
                problems.update(dict.fromkeys(renamed, str(error)))

    def _shut(self, new: list[Twin], problems: dict[str, str]) -> None:
        """Close the gates of routers that are to be made: none may be heard half-built."""
        if not new:
            return
        try:
            for twin in new:
                closed = records.Router(id=twin.id, number=twin.number, netns=twin.namespace)
                records.write(self._places.router(twin.id), closed)
            problems.update(client.load(self._places, [twin.id for twin in new]))
        except (client.SwitchError, OSError) as error:
            problems.update({twin.id: str(error) for twin in new})

    def _tell(self, built: list[Twin], gone: list[str], problems: dict[str, str]) -> None:
        """Have the switch know the routers as they are now, also those of which a part failed."""
        news = [*(twin.id for twin in built), *gone]
        try:
            for twin in built:
                records.write(self._places.router(twin.id), twin.record)
            for id_ in gone:
                self._places.router(id_).unlink(missing_ok=True)
            problems.update(client.load(self._places, news) if news else {})
        except (client.SwitchError, OSError) as error:
            problems.update(dict.fromkeys(news, str(error)))
        for twin in built:
            if twin.id not in problems:
                self._built[twin.id] = twin
        for id_ in gone:
            self._built.pop(id_, None)
            self._report(id_, set())

    def _report(self, id_: str, ports: set[str]) -> None:
        for port in self._ports.get(id_, set()) - ports:
            self._context.status.set_port(port, False)
        for port in ports:
            self._context.status.set_port(port, True)
        self._ports[id_] = ports

    def _build(self, twin: Twin, taps: Taps) -> str:
        """Make a router so; return which parts of it failed that the others can do without."""
        before = self._built.pop(twin.id, None)
        if not netns.exists(twin.namespace):  # a radvd may still be in one that somebody removed
            self._context.daemons.stop(f"{_RADVD}{twin.id}")
        netns.create(twin.namespace)
        inside = kernel.look(twin.namespace)
        if before is None:
            sysctl.write(wanted.SYSCTLS, twin.namespace)
        if before is None or before.kernel.rules != twin.kernel.rules:
            nft.apply(twin.kernel.rules, twin.namespace)
            sysctl.write(wanted.CONNECTION_SYSCTLS, twin.namespace)
        inside, unplugged = _set_ports(twin, inside, taps, afresh=before is None)
        failed = ip.batch_groups(kernel.set_routes(twin, inside), twin.namespace)
        ip.batch(kernel.set_ways(twin.kernel.ways, inside), twin.namespace)
        done = before.kernel.services if before else None
        failed.update(serving.build(twin.kernel.services, done, twin.namespace, self._context.log_limit))
        radvd.ensure(
            self._context.daemons,
            f"{_RADVD}{twin.id}",
            twin.kernel.radvd,
            self._radvd_directory(twin.id),
            twin.namespace,
            f"router/{twin.id}",
        )
        self._report(twin.id, {d.port for d in twin.kernel.devices if d.tap not in unplugged})
        failed.update(unplugged)
        return "; ".join(failed.values())

    def _remove(self, id_: str, taps: Taps) -> str:
        """Remove what there is of a router; return what failed. Its gate is forgotten last, by `_tell`."""
        radvd.stop(self._context.daemons, f"{_RADVD}{id_}", self._radvd_directory(id_))
        for name in filter(netns.exists, _namespaces(id_)):
            if netns.is_ours(name, distributed.MARK):
                continue
            if not netns.is_ours(name):
                raise ValueError(f"namespace {name} is not ours: left alone")
            inside = kernel.look(name)
            ends = [f"tap{device[3:]}" for device in inside.links]
            ip.batch([f"link delete {tap}" for tap in ends if tap in taps and names.is_ours(taps[tap])])
            netns.delete(name)
        return ""

    def _radvd_directory(self, id_: str) -> Path:
        return self._context.run_dir / "radvd" / id_


def _set_ports(
    twin: Twin, inside: kernel.Inside, taps: Taps, *, afresh: bool
) -> tuple[kernel.Inside, dict[str, str]]:
    """Make a router's ports so; return what was inside without those that are not wanted, and what failed.

    What sends to a network from now on knows those there whom another port knew.
    """
    devices, namespace = twin.kernel.devices, twin.namespace
    pairs = acquaintances.successions(devices, inside.links, taps)
    known = acquaintances.look(namespace) if pairs else {}
    ip.batch(acquaintances.introduce(pairs, known, inside.links), namespace)
    removals = [
        *kernel.remove_ports(devices, inside.links),
        *kernel.remove_addresses(devices, inside.links),
    ]
    if removals:
        ip.batch(removals, namespace)
        inside = kernel.look(namespace)  # routes went with them
    here = [device for device in devices if device.inside in inside.links]
    whole = {device.tap: taps[device.tap] for device in here if device.tap in taps}
    ip.batch(kernel.make_ports(twin, taps, whole))
    for device in devices if afresh else [device for device in devices if device not in here]:
        sysctl.write(wanted.asking(device.inside), namespace)
    # Plugged before they have addresses: what leads to these must lead to the network, too.
    unplugged = ip.batch_groups(kernel.plug_ports(twin, whole))
    added = [d for d in devices if d.inside not in inside.links and d.tap not in unplugged]
    if inside.links and added:
        ip.batch([f"link set {device.inside} up" for device in added], namespace)
        kernel.wait_for_bridges([device.tap for device in added])
        ip.batch(acquaintances.introduce(pairs, known, [device.inside for device in added]), namespace)
    ip.batch(kernel.set_ports(devices, inside.links), namespace)
    return inside, unplugged


def _namespaces(id_: str) -> tuple[str, str]:
    """Return the names that the namespace of a router's central part may have."""
    return names.router_namespace(id_), names.snat_namespace(id_)


def _is_part(namespace: str) -> bool:
    return netns.exists(namespace) and netns.is_ours(namespace, distributed.MARK)


@dataclass(frozen=True)
class _Result:
    done: bool
    """It is there, or gone, but for what `problem` says."""
    problem: str


def _attempt(job: Callable[[], str]) -> _Result:
    try:
        return _Result(True, job())
    except (SystemCommandError, OSError, ValueError) as error:
        return _Result(False, str(error))


def _taps() -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in ip.show("link show type veth")}
