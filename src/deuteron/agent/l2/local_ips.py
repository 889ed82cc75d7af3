"""Keeps local IPs as planned: addresses by which instances reach a port of their own host."""

from collections import defaultdict

from deuteron.agent import names
from deuteron.agent.l2 import local_rules
from deuteron.agent.system import arp, ip, nft
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import LocalIP, Port, Unit

Known = dict[str, str]
"""Address -> the MAC address that is answered."""


class LocalIPs:
    """Who asks for a local IP is answered at its device, and what it sends there led to the port."""

    kinds: tuple[type[Unit], ...] = (LocalIP, Port)
    pending = False

    def __init__(self) -> None:
        """Know of nothing yet."""
        self._local_ips: dict[str, LocalIP] = {}
        self._ports: dict[str, str] = {}  # port -> network
        self._answered: dict[str, Known | None] = {}  # device -> what is answered there, None: not known
        self._led = False
        self._compare = True

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        if isinstance(unit, LocalIP):
            self._local_ips[unit.id] = unit
            self._led = False
        elif isinstance(unit, Port) and self._ports.get(unit.id) != unit.network:
            self._ports[unit.id] = unit.network
            self._led = self._led and not self._local_ips

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, id_ = key.partition("/")
        if kind == "port" and self._ports.pop(id_, None) is not None:
            self._led = self._led and not self._local_ips
        elif kind == "localip" and self._local_ips.pop(id_, None) is not None:
            self._led = False

    def recheck(self) -> None:
        """Compare with the kernel at the next turn."""
        self._compare = True

    def concerns(self, device: str) -> bool:
        """Return whether it is a device on which something is answered."""
        return device in self._answered

    def device_changed(self, device: str) -> None:
        """Note that a device came, or is another one now."""
        self._answered[device] = None

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        leads = local_rules.chosen(self._local_ips.values())
        try:
            if self._compare or not self._led:
                return self._make(leads)
            return self._answer(leads)
        except SystemCommandError as error:
            self._compare = True
            return {"agent/local-ips": f"local IPs stay as they were: {error}"}

    def _make(self, leads: list[LocalIP]) -> dict[str, str]:
        """Make the table and the answers so; return what failed.

        There is a table as long as anything may be answered: without one, no device is looked at.
        """
        held = nft.contents("bridge", local_rules.TABLE)
        if self._compare and held[0]:
            self._answered = dict.fromkeys(arp.devices() | self._answered.keys())
        self._compare = False
        if leads:
            self._lead(leads, *held)
        problems = self._answer(leads)
        if not leads and held[0] and not problems:
            nft.apply(local_rules.EMPTY)
        self._led = bool(leads) or not problems
        return problems

    def _lead(self, leads: list[LocalIP], chains: set[str], sets: set[str]) -> None:
        networks = {one.network for one in leads}
        ports: dict[str, list[str]] = defaultdict(list)
        for port, network in self._ports.items():
            if network in networks:
                ports[network].append(port)
        nft.apply(local_rules.render(leads, ports, chains, sets))

    def _answer(self, leads: list[LocalIP]) -> dict[str, str]:
        """Have devices answer what they should; return what failed."""
        by_network: dict[str, list[LocalIP]] = defaultdict(list)
        for one in leads:
            by_network[one.network].append(one)
        wanted = {
            names.tap(port): local_rules.known(by_network[network], port)
            for port, network in self._ports.items()
            if network in by_network
        }
        problems: dict[str, str] = {}
        for device in sorted(wanted.keys() | self._answered.keys()):
            known = wanted.get(device, {})
            if device in self._answered and self._answered[device] == known:
                continue
            self._answered[device] = None
            try:
                if ip.exists(device):
                    arp.answer(device, known)
                self._answered[device] = known
            except SystemCommandError as error:
                problems[f"agent/local-ips-{device}"] = f"nothing is answered for local IPs there: {error}"
        self._answered = {
            device: known for device, known in self._answered.items() if device in wanted or known is None
        }
        return problems
