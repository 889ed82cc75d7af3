"""DHCP servers of this host: one dnsmasq a network."""

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.dhcp import ports, render
from deuteron.agent.dhcp.texts import Unfit
from deuteron.agent.system import files, ip, netns
from deuteron.agent.system.daemons import Daemon
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Dhcp, Lease, Unit

log = logging.getLogger(__name__)

_AT_ONCE = 20
"""Networks that one turn builds, lest others wait too long."""
_RELOAD_PAUSE = 0.05
"""Seconds between two reloads of one dnsmasq: while a hundred instances boot, it reads its files rarely."""
_PATIENCE = 3.0
"""Seconds in which a dnsmasq must be there after its start."""
_PREFIX = "dnsmasq-"


class DhcpManager:
    """Serves the leases of networks; every server of a network gives the same."""

    kinds: tuple[type[Unit], ...] = (Dhcp, Lease)

    def __init__(self, context: Context, lease_seconds: int) -> None:
        """Build on the host of `context`; leases are given for so many seconds."""
        self._context = context
        self._lease_seconds = lease_seconds
        self._directory = context.run_dir / "dhcp"
        self._servers: dict[str, Dhcp] = {}
        self._leases: dict[str, dict[str, Lease]] = {}  # network -> id -> lease
        self._network_of: dict[str, str] = {}  # lease -> network
        self._dirty: set[str] = set()  # networks of which anything changed
        self._unbuilt: set[str] = set()  # networks whose port may not be as it should
        self._gone: dict[str, str] = {}  # network -> port
        self._reloaded: dict[str, float] = {}
        self._problems: dict[str, str] = {}
        self._refused: dict[str, dict[str, str]] = {}  # network -> lease key -> why
        self._compare = True
        self.pending = False

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        if isinstance(unit, Dhcp):
            before = self._servers.get(unit.id)
            if before and before.port != unit.port:
                self._context.status.set_port(before.port, False)
            self._servers[unit.id] = unit
            self._gone.pop(unit.id, None)
            self._unbuilt.add(unit.id)
            self._dirty.add(unit.id)
        elif isinstance(unit, Lease):
            self._forget_lease(unit.id)
            self._leases.setdefault(unit.network, {})[unit.id] = unit
            self._network_of[unit.id] = unit.network
            self._dirty.add(unit.network)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, identity = key.partition("/")
        if kind == "lease":
            self._forget_lease(identity)
        elif kind == "dhcp" and identity in self._servers:
            self._gone[identity] = self._servers.pop(identity).port
            self._dirty.discard(identity)
            self._unbuilt.discard(identity)
            self._refused.pop(identity, None)
            self._problems.pop(key, None)

    def recheck(self) -> None:
        """Compare everything at the next turn."""
        self._compare = True

    def apply(self) -> dict[str, str]:
        """Make the host so, for some of the networks; `pending` says whether there are more."""
        if self._compare:
            self._compare_all()
        for network, port in list(self._gone.items()):
            if self._attempt(f"dhcp/{network}", partial(self._remove, network)):
                del self._gone[network]
                self._context.status.set_port(port, False)
        self._dirty &= self._servers.keys()
        now = time.monotonic()
        ready = [name for name in sorted(self._dirty) if self._reloaded.get(name, 0) + _RELOAD_PAUSE <= now]
        self._serve(ready[:_AT_ONCE])
        failed = {key.partition("/")[2] for key in self._problems}
        self.pending = bool(self._dirty - failed)
        found = dict(self._problems)
        for refused in self._refused.values():
            found |= refused
        return found

    def _forget_lease(self, identity: str) -> None:
        network = self._network_of.pop(identity, None)
        if network is not None:
            self._leases[network].pop(identity)
            if not self._leases[network]:
                del self._leases[network]
            self._dirty.add(network)

    def _compare_all(self) -> None:
        prefix = names.dhcp_namespace("")
        there = {name.removeprefix(prefix) for name in netns.names() if name.startswith(prefix)}
        there |= {
            name.removeprefix(_PREFIX) for name in self._context.daemons.running() if name.startswith(_PREFIX)
        }
        for network in there - self._servers.keys():
            self._gone.setdefault(network, "")
        self._unbuilt |= self._servers.keys()
        self._dirty |= self._servers.keys()
        self._compare = False

    def _attempt(self, key: str, work: Callable[[], None]) -> bool:
        try:
            work()
        except (SystemCommandError, OSError, Unfit) as error:
            self._problems[key] = str(error)
            return False
        self._problems.pop(key, None)
        return True

    def _serve(self, networks: list[str]) -> None:
        build = any(network in self._unbuilt for network in networks)
        taps = {link["ifname"]: link for link in ip.show("link show")} if build else {}
        reload: set[str] = set()
        done = [
            network
            for network in networks
            if self._attempt(f"dhcp/{network}", partial(self._update, network, taps, reload))
        ]
        for network in self._answering(done):
            self._unbuilt.discard(network)
            self._dirty.discard(network)
            self._context.status.set_port(self._servers[network].port, True)
            if network in reload:
                # Only now: a dnsmasq that is just starting would die of the signal.
                self._context.daemons.reload(f"{_PREFIX}{network}")
                self._reloaded[network] = time.monotonic()

    def _update(self, network: str, taps: Mapping[str, ports.Link], reload: set[str]) -> None:
        dhcp = self._servers[network]
        if network in self._unbuilt:
            ports.build(dhcp, taps)
        if self._run(dhcp):
            reload.add(network)

    def _run(self, dhcp: Dhcp) -> bool:
        """Write the files and have dnsmasq running; return whether it must read them again."""
        directory = self._directory / dhcp.id
        leases = self._leases.get(dhcp.id, {}).values()
        new = render.files(dhcp, leases, directory, self._lease_seconds)
        self._refused[dhcp.id] = new.refused
        daemon = Daemon(
            name=f"{_PREFIX}{dhcp.id}",
            argv=("dnsmasq", "--keep-in-foreground", f"--conf-file={directory}/dnsmasq.conf"),
            netns=names.dhcp_namespace(dhcp.id),
            files=(f"{directory}/dnsmasq.conf",),
            unit=dhcp.key,
        )
        self._drop_stale_leases(daemon.name, directory, new.hosts)
        before = self._context.daemons.pid(daemon.name)
        files.write(directory / "dnsmasq.conf", new.config)
        texts = {"hosts": new.hosts, "options": new.options, "names": new.names}
        changed = [name for name, text in texts.items() if files.write(directory / name, text)]
        self._context.daemons.ensure(daemon)
        return bool(changed) and before == self._context.daemons.pid(daemon.name)

    def _drop_stale_leases(self, daemon: str, directory: Path, hosts: str) -> None:
        try:
            leases = (directory / "leases").read_text()
            kept = render.stale_leases(leases, (directory / "hosts").read_text(), hosts)
        except FileNotFoundError:
            return
        if kept is not None:
            # dnsmasq holds its leases in memory: only while it is stopped can one be taken away.
            self._context.daemons.stop(daemon)
            (directory / "leases").write_text(kept)

    def _answering(self, networks: list[str]) -> list[str]:
        """Wait for the dnsmasqs of networks; return those that are there, note the others as problems."""
        waiting, found = list(networks), []
        deadline = time.monotonic() + _PATIENCE
        while waiting:
            there = [network for network in waiting if self._answers(self._servers[network])]
            found += there
            waiting = [network for network in waiting if network not in there]
            if waiting and time.monotonic() > deadline:
                break
            if waiting:
                time.sleep(0.01)
        for network in waiting:
            self._context.status.set_port(self._servers[network].port, False)
            log_file = self._context.daemons.log_file(f"{_PREFIX}{network}")
            self._problems[f"dhcp/{network}"] = f"dnsmasq does not answer; see {log_file}"
        return found

    @staticmethod
    def _answers(dhcp: Dhcp) -> bool:
        versions = {6 if ":" in subnet.cidr else 4 for subnet in dhcp.subnets if render.serves(subnet)}
        namespace = names.dhcp_namespace(dhcp.id)
        return all(ports.listens(namespace, version) for version in versions)

    def _remove(self, network: str) -> None:
        self._context.daemons.stop(f"{_PREFIX}{network}")
        ports.remove(network)
        shutil.rmtree(self._directory / network, ignore_errors=True)
        self._reloaded.pop(network, None)
