"""Keeps the firewall of this host's instances as planned."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from deuteron.agent.firewall import rules, ruleset, tables, wanted
from deuteron.agent.firewall.ruleset import NOTHING, Piece
from deuteron.agent.firewall.wanted import Makers, Source, Wanted
from deuteron.agent.system import nft
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import AddressGroup, Logged, Member, Port, SecurityGroup, Unit

_BR_NETFILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_CANNOT = "this host cannot filter what crosses a bridge: modprobe br_netfilter"

log = logging.getLogger(__name__)


class FirewallManager:
    """Port security, security groups and allowed address pairs.

    Everything goes by the names of devices, which need not be there yet: a port has its filter before its
    device is put on a bridge, and until that has left it.
    """

    kinds: tuple[type[Unit], ...] = (Port, SecurityGroup, Member, AddressGroup, Logged)
    pending = False

    def __init__(self, log_limit: str) -> None:
        """`log_limit` is that of packets that are written down, as nftables has it."""
        self._wanted = Wanted(log_limit)
        self._logged: Mapping[int, str] = {}
        """Number in marks -> the port whose packets are written down; replaced as a whole."""
        self._held: dict[Source, Piece] | None = None
        """What the tables hold, nothing if they are not there; None when that is not known."""
        self._filtered: set[str] = set()
        self._compare = False
        if not _BR_NETFILTER.exists():
            log.warning("%s; ports with port security are not plugged until then", _CANNOT)

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        self._wanted.put(unit)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        self._wanted.delete(key)

    def recheck(self) -> None:
        """Compare with the kernel at the next turn."""
        self._compare = True

    def concerns(self, device: str) -> bool:
        """Return whether a device's port is gone."""
        return device in self._wanted.closed

    def device_changed(self, device: str) -> None:
        """Note that a device may have left its bridge: `apply` looks."""

    def port_of(self, mark: int) -> str:
        """Return the port whose packets have a mark, if they are written down, or "". From any thread."""
        return self._logged.get(rules.number_of(mark), "")

    def refusal(self, port: Port) -> str:
        """Return why a port must not be put on its bridge yet; "" when it may be."""
        if not port.filtered or port.id in self._filtered:
            return ""
        return "its filter is not there"

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        if self._wanted.ports and not _BR_NETFILTER.exists():
            self._filtered.clear()
            return {port.key: _CANNOT for port in self._wanted.ports.values()}
        try:
            if self._compare and self._held and not self._is_held():
                self._held = None
            self._compare = False
            if self._held is None:
                self._remember()
            self._let_go()
            return self._write()
        except SystemCommandError as error:
            self._held = None
            return {"agent/firewall": f"the ports' filters stay as they were: {error}"}

    def _is_held(self) -> bool:
        """Return whether the tables know the devices that they should: who harmed them took those too."""
        elements = {element for piece in (self._held or {}).values() for element in piece.elements}
        return all(
            nft.numbers(*name, table=ruleset.TABLE).keys()
            == {key.strip('"') for at, key, _ in elements if at == name}
            for name in (wanted.TO, wanted.FROM, wanted.ZONES)
        )

    def _remember(self) -> None:
        """Read what must stay as it is: the zones of connections, and which devices had a filter.

        All is written anew then, in one transaction: nothing passes in between.
        """
        self._wanted.zones |= nft.numbers(*wanted.ZONES, table=ruleset.TABLE)
        self._wanted.close_unknown(nft.numbers(*wanted.TO, table=ruleset.TABLE))

    def _let_go(self) -> None:
        """Forget devices that are on no bridge any more."""
        for device in list(self._wanted.closed):
            if not Path("/sys/class/net", device, "master").exists():
                self._wanted.closed.discard(device)

    def _write(self) -> dict[str, str]:
        unlogged = self._try_to_log()
        make = self._wanted.makers()
        held = self._held or {}
        stale = {source for source in make if source in self._wanted.dirty or source[0] == "profile"}
        pieces, problems = _made(make, stale | (make.keys() ^ held.keys()))
        commands = ruleset.commands((held.get(source, NOTHING), new) for source, new in pieces.items())
        if not make:
            commands = [] if self._held == {} else [tables.EMPTY]
            pieces, held = {}, {}
        elif not held:
            commands.insert(0, tables.FRAME)
        if commands:
            nft.apply("\n".join(commands) + "\n")
        self._held = {source: new for source, new in {**held, **pieces}.items() if source in make}
        self._filtered = set(self._wanted.ports)
        numbers = self._wanted.numbers() if self._wanted.logged else {}
        self._logged = {number: profile.port for profile, number in numbers.items() if profile.port}
        self._wanted.dirty.clear()
        return problems | unlogged

    def _try_to_log(self) -> dict[str, str]:
        """See whether the kernel can log, before anything depends on it; return what will not be."""
        if self._wanted.can_log or not self._wanted.logged:
            return {}
        try:
            nft.check(rules.LOG_TRIAL)
        except SystemCommandError as error:
            words = f"packets are not written down: {error} (needs CONFIG_NFT_LOG)"
            return {unit.key: words for unit in self._wanted.logged.values()}
        self._wanted.may_log()
        return {}


def _made(make: Makers, sources: Iterable[Source]) -> tuple[dict[Source, Piece], dict[str, str]]:
    """Return these pieces, nothing for those that are not wanted, and what is wrong with some."""
    pieces: dict[Source, Piece] = {}
    problems: dict[str, str] = {}
    for source in sorted(sources):
        try:
            pieces[source] = make[source]() if source in make else NOTHING
        except ValueError as error:
            kind, id_ = source
            problems[f"{kind}/{id_}"] = f"its filter cannot be made, it stays closed: {error}"
            pieces[source] = wanted.closed(id_) if kind == "port" else NOTHING
    return pieces, problems
