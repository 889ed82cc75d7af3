"""Elections on this host: a hidden device for each HA network, a keepalived for each election."""

import ipaddress
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from deuteron.agent.context import Context
from deuteron.agent.l3 import ha_network, keepalived
from deuteron.agent.l3.contests import Contests
from deuteron.agent.l3.hold_down import HoldDown
from deuteron.agent.l3.switch import client, records, silence
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.l3.yielding import Yielding
from deuteron.agent.system import files, ip, netns, nft
from deuteron.agent.system.daemons import Daemon
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Election, Network, Unit

log = logging.getLogger(__name__)

_DAEMON = "keepalived-"


class Elections:
    """Builds Election units."""

    kinds: tuple[type[Unit], ...] = (Election, Network)

    def __init__(self, context: Context) -> None:
        """Nothing is built before the first `apply`."""
        self.wake: Callable[[Callable[[], None]], None] = lambda note: note()
        """Has a function called in the reconcile thread, and `apply` after it."""
        self._context = context
        self._places = Places(context.run_dir)
        self._wanted: dict[str, Election] = {}
        self._dirty: set[str] = set()
        self._compare = True
        self._held: dict[str, HoldDown] = {}
        self._yielding: dict[str, Yielding] = {}
        self._contests = Contests(context)
        self._insisting: set[str] = set()

    @property
    def pending(self) -> bool:
        """Whether an election is still listened to before this host takes part, or about to be left."""
        return bool(self._held) or any(one.waits for one in self._yielding.values())

    def put(self, unit: Unit) -> None:
        """Note an election, or a network: where other hosts are."""
        if isinstance(unit, Network):
            self._contests.put(unit)
            return
        assert isinstance(unit, Election)
        before = self._wanted.get(unit.id)
        self._wanted[unit.id] = unit
        if before is None or _lasting(before) != _lasting(unit):
            self._dirty.add(unit.id)
        if before is not None and before.overrules != unit.overrules:
            self._insisting.add(unit.id)

    def delete(self, key: str) -> None:
        """Note that this host is no candidate any more."""
        kind, _, id_ = key.partition("/")
        if kind == "network":
            self._contests.delete(id_)
        elif kind == "election":
            self._wanted.pop(id_, None)
            self._dirty.add(id_)

    def recheck(self) -> None:
        """Have everything looked at again."""
        self._compare = True

    def hear(self, id_: str) -> None:
        """Note that an active host is heard in an election in which this host yields. From any thread."""

        def note() -> None:
            if id_ in self._yielding:
                self._yielding[id_].heard = True

        self.wake(note)

    def apply(self) -> dict[str, str]:
        """Hold the elections that are wanted, end the others."""
        if self._compare:
            self._dirty |= set(self._wanted) | self._present()
            self._compare = False
        problems: dict[str, str] = {}
        dirty, self._dirty = self._dirty, set()
        for id_ in sorted(dirty):
            self._try(id_, self._apply, problems)
        self._insist()
        for id_ in sorted(self._wanted):
            self._try(id_, self._yield, problems)
        for id_ in [name for name, held in self._held.items() if held.is_over()]:
            self._try(id_, self._take_part, problems)
        self._contests.answer(self._wanted.values())
        self._remove_networks(problems)
        return problems

    def _try(self, id_: str, work: Callable[[str], str | None], problems: dict[str, str]) -> None:
        """Do something about one election; what fails is tried again."""
        try:
            problem = work(id_)
        except (SystemCommandError, client.SwitchError, OSError, ValueError) as error:
            problem = str(error)
            self._dirty.add(id_)
        if problem:
            problems[f"election/{id_}"] = problem

    def _present(self) -> set[str]:
        """Return the elections of which there is something here."""
        names = self._context.daemons.running()
        here = {name.removeprefix(_DAEMON) for name in names if name.startswith(_DAEMON)}
        return here | self._places.elections()

    def _apply(self, id_: str) -> None:
        election = self._wanted.get(id_)
        if election is None:
            self._end(id_)
            return
        self._places.make()
        if ha_network.namespace(election.ha_network) not in netns.names():
            self._context.daemons.stop(f"{_DAEMON}{id_}")  # it keeps what must be made again from being made
            self._let_go(id_)
        same = [e for e in self._wanted.values() if e.ha_network == election.ha_network]
        ha_network.connect(election, same, self._context.local_ip)
        nft.apply(silence.RULES, ha_network.namespace(election.ha_network))
        mine = self._yielding.get(id_)
        if mine is not None and mine.left:
            self._tell_switch(election, mine.to)
            return
        if election.yields_to and self._left(id_):  # an agent before this one could not end keepalived
            self._leave(id_)
            return
        if election.yields_to and not self._runs(id_):
            return
        self._tell_switch(election)
        if election.joined and not self._runs(id_):
            if id_ not in self._held:
                self._held[id_] = HoldDown(election)
        else:
            self._run(election)

    def _runs(self, id_: str) -> bool:
        return f"{_DAEMON}{id_}" in self._context.daemons.running()

    def _left(self, id_: str) -> bool:
        """Return whether the switch was told that this host takes no part."""
        record = records.read(self._places.election(id_), records.Election)
        return record is not None and bool(record.yields_to)

    def _yield(self, id_: str) -> str | None:
        """Leave an election in which another host is active that is not heard; join it when it is heard."""
        election, mine = self._wanted[id_], self._yielding.get(id_)
        if mine is None and not election.yields_to:
            return None
        if mine is None:
            mine = self._yielding[id_] = Yielding(election.yields_to)
        if mine.left and mine.over(election, self._context.status.delivered):
            self._return(id_)
            return None
        standing = records.read(self._places.standing(id_), records.Standing)
        if mine.left:
            self._tell_switch(election, mine.to)  # which hears anew, lest one was heard and nobody noticed
        elif mine.must_leave(election, standing, runs=self._runs(id_)):
            self._leave(id_)
        elif not mine.waits:
            del self._yielding[id_]
        return f"{mine.to} is active, and its adverts do not arrive here: held back" if mine.left else None

    def _insist(self) -> None:
        """Have routers announced in elections in which another host begins or ceases to yield to this one."""
        elections, self._insisting = sorted(self._insisting), set()
        try:
            if elections:
                client.insist(self._places, elections)
        except client.SwitchError as error:
            log.warning("%s", error)

    def _leave(self, id_: str) -> None:
        """Close the gates of an election, then end its keepalived."""
        election = self._wanted[id_]
        held = self._held.pop(id_, None)
        if held:
            held.close()
        self._tell_switch(election, election.yields_to)
        self._yielding.setdefault(id_, Yielding(election.yields_to)).left = True
        self._context.daemons.dismiss(f"{_DAEMON}{id_}")

    def _return(self, id_: str) -> None:
        """Take part again, after having listened all the time."""
        self._yielding.pop(id_)
        self._tell_switch(self._wanted[id_])
        self._run(self._wanted[id_])

    def _take_part(self, id_: str) -> None:
        """Start the keepalived of an election that was listened to for long enough."""
        self._held.pop(id_).close()
        self._run(self._wanted[id_])

    def _end(self, id_: str) -> None:
        routers = (records.read(self._places.router(name), records.Router) for name in self._places.routers())
        riding = sorted(router.id for router in routers if router and router.election == id_)
        if riding:  # they are about to change to another; stopping this one now would close their gates
            raise ValueError(f"its end waits for routers that ride on it: {', '.join(riding)}")
        self._let_go(id_)
        shutil.rmtree(self._directory(id_), ignore_errors=True)
        self._context.status.forget_election(id_)

    def _let_go(self, id_: str) -> None:
        """End what there is of an election."""
        held = self._held.pop(id_, None)
        if held:
            held.close()
        self._yielding.pop(id_, None)
        self._context.daemons.dismiss(f"{_DAEMON}{id_}")
        self._places.election(id_).unlink(missing_ok=True)
        client.load(self._places, elections=[id_])

    def _remove_networks(self, problems: dict[str, str]) -> None:
        """Remove the namespaces in which no election is held any more."""
        kept = {ha_network.namespace(election.ha_network) for election in self._wanted.values()}
        if self._dirty:
            return  # one that could not be ended may still be in one of them
        try:
            found = [name for name in netns.names() - kept if name.startswith(ha_network.PREFIX)]
            netns.delete(*(name for name in found if netns.is_ours(name)))
        except (SystemCommandError, OSError) as error:
            problems["election/namespaces"] = str(error)
            self._compare = True

    def _tell_switch(self, election: Election, yields_to: str = "") -> None:
        """Have the switch listen before keepalived speaks."""
        record = records.Election(
            id=election.id,
            netns=ha_network.namespace(election.ha_network),
            vrid=election.vrid,
            peers={str(ipaddress.ip_address(peer.address)): peer.host for peer in election.peers},
            yields_to=yields_to,
            device=ha_network.device(election.ha_network),
            underlay=self._underlay(election),
            address=str(ipaddress.ip_interface(election.address).ip),
            priority=election.priority,
        )
        records.write(self._places.election(election.id), record)
        problems = client.load(self._places, elections=[election.id])
        if election.id in problems:
            raise ValueError(problems[election.id])

    def _underlay(self, election: Election) -> str:
        """Return the device whose carrier shows that this host is connected, "" if there is none.

        Where there is but one other host, its end of a cable between the two may be what is dead.
        """
        if len(self._contests.others(election)) < 2:
            return ""
        found = ip.show(f"address show to {self._context.local_ip}")
        return next((str(link["ifname"]) for link in found if "ifname" in link), "")

    def _run(self, election: Election) -> None:
        where = keepalived.Files(
            self._directory(election.id),
            self._places.fifo(election.id),
            self._places.heartbeat,
            self._places.fence(election.id),
        )
        text = keepalived.render(
            election, ha_network.device(election.ha_network), records.mark(election.vrid), where
        )
        files.write(where.config, text)
        for script, content in (
            (where.alive, records.ALIVE_SCRIPT),
            (where.close, records.FENCE_SCRIPT),
        ):
            files.write(script, content)
            script.chmod(0o755)
        daemon = Daemon(
            name=f"{_DAEMON}{election.id}",
            argv=keepalived.command(where),
            netns=ha_network.namespace(election.ha_network),
            files=(str(where.config),),
            stale=tuple(str(pid) for pid in where.pids),
            unit=f"election/{election.id}",
        )
        self._context.daemons.ensure(daemon)

    def _directory(self, id_: str) -> Path:
        return self._context.run_dir / "keepalived" / id_


def _lasting(election: Election) -> Election:
    """Return what of an election has to be built."""
    return msgspec.structs.replace(election, contested=0.0, yields_to="", overrules=False, superseded=0.0)
