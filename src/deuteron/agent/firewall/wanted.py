"""What the firewall of a host should be, made of the plan's units, piece by piece. Pure."""

from collections.abc import Callable, Iterable
from functools import partial

from deuteron.agent import names
from deuteron.agent.firewall import identity, rules, tables
from deuteron.agent.firewall.rules import Groups, Profile
from deuteron.agent.firewall.ruleset import Piece
from deuteron.plan.units import AddressGroup, Logged, Member, Port, SecurityGroup, Unit

Source = tuple[str, str]
"""What a piece is made of: (kind, id)."""
Makers = dict[Source, Callable[[], Piece]]

ZONES, FROM, TO, _IDENTITIES = (
    ("inet", "zones"),
    ("bridge", "from"),
    ("bridge", "to"),
    ("bridge", "identities"),
)
_FIRST_ZONE, _LAST_ZONE = 0x1000, 0xFFFE


class Wanted:
    """The units, and which pieces are to be made anew because of them."""

    def __init__(self, log_limit: str) -> None:
        self.ports: dict[str, Port] = {}
        """Those that are filtered."""
        self.open: set[str] = set()
        """Devices of ports that are not filtered."""
        self.closed: set[str] = set()
        """Devices of ports that are gone: not yet pulled out, they are to be mute."""
        self.zones: dict[str, int] = {}
        """Bridge -> its zone of connections."""
        self.dirty: set[Source] = set()
        self.logged: dict[str, Logged] = {}
        """What is written down of ports, filtered or not."""
        self.can_log = False
        """Until it is known that the kernel can, ports are as without logs."""
        self._log_limit = log_limit
        self._groups: dict[str, SecurityGroup] = {}
        self._members: dict[str, Member] = {}
        self._of_group: dict[str, dict[str, Member]] = {}
        self._address_groups: dict[str, AddressGroup] = {}

    def put(self, unit: Unit) -> None:
        """Take a new or changed unit."""
        match unit:
            case Port():
                self.closed.discard(names.tap(unit.id))
                self.open.discard(names.tap(unit.id))
                self.ports.pop(unit.id, None)
                if unit.filtered:
                    self.ports[unit.id] = unit
                else:
                    self.open.add(names.tap(unit.id))
                self.dirty.add(("port", unit.id))
            case SecurityGroup():
                self._groups[unit.id] = unit
                self._group_changed(unit.id)
            case Logged():
                self.logged[unit.id] = unit
                self.dirty.add(("port", unit.id))
            case Member():
                self._forget_member(unit.id)
                self._members[unit.id] = unit
                for group in unit.groups:
                    self._of_group.setdefault(group, {})[unit.id] = unit
                    self.dirty.add(("members", group))
            case AddressGroup():
                self._address_groups[unit.id] = unit
                self.dirty.add(("addresses", unit.id))

    def delete(self, key: str) -> None:
        """Forget a unit."""
        kind, _, id_ = key.partition("/")
        if kind == "port":
            self.open.discard(names.tap(id_))
        if kind == "port" and self.ports.pop(id_, None) is not None:
            self.closed.add(names.tap(id_))
            self.dirty.add(("port", id_))
        elif kind == "securitygroup" and self._groups.pop(id_, None) is not None:
            self._group_changed(id_)
        elif kind == "logged" and self.logged.pop(id_, None) is not None:
            self.dirty.add(("port", id_))
        elif kind == "member":
            self._forget_member(id_)
        elif kind == "addressgroup" and self._address_groups.pop(id_, None) is not None:
            self.dirty.add(("addresses", id_))

    def _group_changed(self, id_: str) -> None:
        self.dirty |= {("group", id_), ("logged", id_)}

    def _forget_member(self, id_: str) -> None:
        member = self._members.pop(id_, None)
        for group in member.groups if member else ():
            self._of_group[group].pop(id_, None)
            if not self._of_group[group]:
                del self._of_group[group]
            self.dirty.add(("members", group))

    def close_unknown(self, devices: Iterable[str]) -> None:
        """Close those devices, filtered so far, that the plan does not know any more."""
        self.closed |= set(devices) - {names.tap(id_) for id_ in self.ports} - self.open

    def may_log(self) -> None:
        """Note that the kernel can log."""
        self.can_log = True
        self.dirty |= {("port", id_) for id_ in self.logged}

    def makers(self) -> Makers:
        """Return how to make each piece that the ports need. Gives zones to bridges that have none."""
        made: Makers = {}
        numbers = self.numbers()
        for id_, port in self.ports.items():
            made["port", id_] = partial(_port, port, numbers[self._profile(port)])
        for device in self.closed:
            made["closed", device] = partial(_closed, device)
        for profile, number in numbers.items():
            stateful = self._stateful(profile.groups)
            made["profile", f"{number:x}"] = partial(rules.of_profile, profile, number, stateful)
        self._add_groups(made, {group for profile in numbers for group in profile.groups})
        for id_ in {group for profile in numbers for group in profile.accepted}:
            made["logged", id_] = partial(rules.of_logged_group, self._groups.get(id_), id_, self._log_limit)
        if any(profile.dropped for profile in numbers):
            made["dropped", ""] = partial(rules.of_dropped, self._log_limit)
        for network in sorted({port.network for port in self.ports.values()}):
            made["zone", network] = partial(_zone, network, self._zone_of(names.bridge(network)))
        return made

    def numbers(self) -> dict[Profile, int]:
        """Return the numbers of what ports share chains for."""
        return rules.numbered({self._profile(port) for port in self.ports.values()})

    def _profile(self, port: Port) -> Profile:
        groups = tuple(sorted(set(port.security_groups)))
        logged = self.logged.get(port.id) if self.can_log else None
        if logged is None:
            return Profile(groups)
        accepting = [log.group for log in logged.logs if log.event != "DROP"]
        accepted = tuple(group for group in groups if group in accepting or "" in accepting)
        return Profile(groups, port.id, accepted, any(log.event != "ACCEPT" for log in logged.logs))

    def _add_groups(self, made: Makers, ids: Iterable[str]) -> None:
        for id_ in ids:
            group = self._groups.get(id_)
            made["group", id_] = partial(rules.of_group, group, id_)
            for rule in group.rules if group else ():
                if remote := rule.remote_group:
                    members = self._of_group.get(remote, {}).values()
                    made["members", remote] = partial(rules.of_members, remote, members)
                if remote := rule.remote_address_group:
                    known = self._address_groups.get(remote)
                    made["addresses", remote] = partial(rules.of_addresses, remote, known)

    def _stateful(self, groups: Groups) -> bool:
        known = [self._groups[id_].stateful for id_ in groups if id_ in self._groups]
        return any(known) or not known

    def _zone_of(self, bridge: str) -> int:
        """Return the bridge's zone. One that was given back is not given to another one soon."""
        if bridge not in self.zones:
            taken = set(self.zones.values())
            zone = max(taken, default=_FIRST_ZONE - 1) + 1
            if zone > _LAST_ZONE:
                zone = next(free for free in range(_FIRST_ZONE, _LAST_ZONE + 1) if free not in taken)
            self.zones[bridge] = zone
        return self.zones[bridge]


def closed(id_: str) -> Piece:
    """Return the piece of a port that nothing may pass: what makes its own is not understood."""
    return _closed(names.tap(id_))


def _port(port: Port, number: int) -> Piece:
    tap = f'"{names.tap(port.id)}"'
    return Piece(
        chains=identity.chains(port),
        elements=frozenset(
            {
                (_IDENTITIES, tap, f"goto {identity.chain(port.id)[1]}"),
                (FROM, tap, f"{rules.mark_from(number):#x}"),
                (TO, tap, f"{rules.mark_to(number):#x}"),
            }
        ),
    )


def _closed(device: str) -> Piece:
    tap = f'"{device}"'
    return Piece(elements=frozenset({(_IDENTITIES, tap, "drop"), (TO, tap, f"{tables.CLOSED:#x}")}))


def _zone(network: str, zone: int) -> Piece:
    return Piece(elements=frozenset({(ZONES, f'"{names.bridge(network)}"', str(zone))}))
