"""Elections on this host: a hidden device for each HA network, a keepalived for each election."""

import ipaddress
import shutil
from pathlib import Path

from deuteron.agent.context import Context
from deuteron.agent.l3 import ha_network, keepalived
from deuteron.agent.l3.hold_down import HoldDown
from deuteron.agent.l3.switch import client, records, silence
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.system import files, netns, nft
from deuteron.agent.system.daemons import Daemon
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Election, Unit

_DAEMON = "keepalived-"


class Elections:
    """Builds Election units."""

    kinds: tuple[type[Unit], ...] = (Election,)

    def __init__(self, context: Context) -> None:
        """Nothing is built before the first `apply`."""
        self._context = context
        self._places = Places(context.run_dir)
        self._wanted: dict[str, Election] = {}
        self._dirty: set[str] = set()
        self._compare = True
        self._held: dict[str, HoldDown] = {}

    @property
    def pending(self) -> bool:
        """Whether an election is still listened to before this host takes part."""
        return bool(self._held)

    def put(self, unit: Unit) -> None:
        """Note an election."""
        assert isinstance(unit, Election)
        if self._wanted.get(unit.id) != unit:
            self._wanted[unit.id] = unit
            self._dirty.add(unit.id)

    def delete(self, key: str) -> None:
        """Note that this host is no candidate any more."""
        kind, _, id_ = key.partition("/")
        if kind == "election":
            self._wanted.pop(id_, None)
            self._dirty.add(id_)

    def recheck(self) -> None:
        """Have everything looked at again."""
        self._compare = True

    def apply(self) -> dict[str, str]:
        """Hold the elections that are wanted, end the others."""
        if self._compare:
            self._dirty |= set(self._wanted) | self._present()
            self._compare = False
        problems: dict[str, str] = {}
        for id_ in sorted(self._dirty):
            try:
                self._apply(id_)
                self._dirty.discard(id_)
            except (SystemCommandError, client.SwitchError, OSError, ValueError) as error:
                problems[f"election/{id_}"] = str(error)
        self._take_part(problems)
        self._remove_networks(problems)
        return problems

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
            self._let_go(id_)
        same = [e for e in self._wanted.values() if e.ha_network == election.ha_network]
        ha_network.connect(election, same, self._context.local_ip)
        nft.apply(silence.RULES, ha_network.namespace(election.ha_network))
        self._tell_switch(election)
        if election.joined and f"{_DAEMON}{id_}" not in self._context.daemons.running():
            if id_ not in self._held:
                self._held[id_] = HoldDown(election)
        else:
            self._run(election)

    def _take_part(self, problems: dict[str, str]) -> None:
        """Start the keepalived of those elections that were listened to for long enough."""
        for id_ in [name for name, held in self._held.items() if held.is_over()]:
            self._held.pop(id_).close()
            try:
                self._run(self._wanted[id_])
            except (SystemCommandError, OSError, ValueError) as error:
                self._dirty.add(id_)
                problems[f"election/{id_}"] = str(error)

    def _end(self, id_: str) -> None:
        routers = (records.read(self._places.router(name), records.Router) for name in self._places.routers())
        riding = sorted(router.id for router in routers if router and router.election == id_)
        if riding:  # they are about to change to another; stopping this one now would close their gates
            raise ValueError(f"its end waits for routers that ride on it: {', '.join(riding)}")
        self._let_go(id_)
        shutil.rmtree(self._directory(id_), ignore_errors=True)
        self._context.status.forget_election(id_)

    def _let_go(self, id_: str) -> None:
        """End what may be in the election's namespace, also when somebody removed its name."""
        held = self._held.pop(id_, None)
        if held:
            held.close()
        self._context.daemons.stop(f"{_DAEMON}{id_}")
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

    def _tell_switch(self, election: Election) -> None:
        """Have the switch listen before keepalived speaks."""
        record = _record(election)
        records.write(self._places.election(election.id), record)
        problems = client.load(self._places, elections=[election.id])
        if election.id in problems:
            raise ValueError(problems[election.id])

    def _run(self, election: Election) -> None:
        where = keepalived.Files(
            self._directory(election.id),
            self._places.fifo(election.id),
            self._places.heartbeat,
            self._places.fence(election.id),
        )
        text = keepalived.render(
            election, ha_network.device(election.ha_network), _record(election).mark, where
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


def _record(election: Election) -> records.Election:
    return records.Election(
        id=election.id,
        netns=ha_network.namespace(election.ha_network),
        vrid=election.vrid,
        peers={str(ipaddress.ip_address(peer.address)): peer.host for peer in election.peers},
    )
