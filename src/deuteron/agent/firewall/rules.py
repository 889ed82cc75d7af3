"""Security groups as chains of nftables. Pure.

The rules of a stateful group look at the first packet of a connection, whichever packet of it passes: what a
rule let in goes on as long as the rule, or another one for it, is there, and ends with it.
"""

import hashlib
import ipaddress
from collections.abc import Callable, Iterable
from typing import NamedTuple

from deuteron.agent.firewall import tables
from deuteron.agent.firewall.ruleset import TABLE, Name, Piece
from deuteron.agent.system import nflog
from deuteron.plan.units import AddressGroup, Member, SecurityGroup, SecurityRule

_ICMP, _ICMPV6 = 1, 58
_FAMILY = {4: "ip", 6: "ip6"}
_DROPPED = "dropped"
LOG_TRIAL = f"table inet {TABLE}_trial {{ chain logged {{ log group {nflog.GROUP}; }}; }}\n"
"""What a kernel that can log takes."""
Groups = tuple[str, ...]
"""The groups of a port, sorted: ports with the same ones share chains and marks."""


class Profile(NamedTuple):
    """What ports share chains and marks for."""

    groups: Groups
    port: str = ""
    """A port whose packets are written down has its own."""
    accepted: Groups = ()
    """Groups of which it is written down what they let through."""
    dropped: bool = False
    """Whether it is written down what none of them does."""


def of_group(group: SecurityGroup | None, id_: str) -> Piece:
    """Return a group's chains; none of it is let through if it is not known."""
    rules = group.rules if group else ()
    stateful = group is None or group.stateful
    return Piece(
        chains={
            ("inet", f"in-{id_}"): _lines(rules, "ingress", stateful),
            ("inet", f"out-{id_}"): _lines(rules, "egress", stateful),
        }
    )


def of_logged_group(group: SecurityGroup | None, id_: str, limit: str) -> Piece:
    """Return a group's chains for ports of which it is written down what it lets through.

    `limit` is that of packets that are written down, as nftables has it.
    """
    rules = group.rules if group else ()
    stateful = group is None or group.stateful
    accept = f"goto accepted-{id_}"
    return Piece(
        chains={
            ("inet", f"accepted-{id_}"): (
                f"ct state new ct status & confirmed == 0 {_log(f'ACCEPT {id_}', limit)}",
                "accept",
            ),
            ("inet", f"logged-in-{id_}"): _lines(rules, "ingress", stateful, accept),
            ("inet", f"logged-out-{id_}"): _lines(rules, "egress", stateful, accept),
        }
    )


def of_dropped(limit: str) -> Piece:
    """Return the chain for what is written down when it is dropped."""
    return Piece(chains={("inet", _DROPPED): (_log("DROP", limit), "drop")})


def _log(said: str, limit: str) -> str:
    return f'limit {limit} log prefix "{said}" group {nflog.GROUP}'


def _lines(
    rules: Iterable[SecurityRule], direction: str, stateful: bool, accept: str = "accept"
) -> tuple[str, ...]:
    return tuple(
        line for rule in rules if rule.direction == direction for line in _rule(rule, stateful, accept)
    )


def _rule(rule: SecurityRule, stateful: bool, accept: str) -> list[str]:
    end = "saddr" if rule.direction == "ingress" else "daddr"
    family = _FAMILY[rule.version]
    side = f"{'ct original ' if stateful else ''}{family} {end}"
    what = _traffic(rule, stateful)
    return [
        " ".join(
            word
            for word in (
                f"meta nfproto ipv{rule.version}",
                f"{side} {remote}" if remote else "",
                what,
                accept,
            )
            if word
        )
        for remote in _remotes(rule)
    ]


def _remotes(rule: SecurityRule) -> list[str]:
    if rule.remote_group:
        return [
            f"@{hosts_set(rule.remote_group, rule.version)[1]}",
            f"@{nets_set(rule.remote_group, rule.version)[1]}",
        ]
    if rule.remote_address_group:
        return [f"@{addresses_set(rule.remote_address_group, rule.version)[1]}"]
    if rule.remote_prefix and not rule.remote_prefix.endswith("/0"):
        return [str(ipaddress.ip_network(rule.remote_prefix, strict=False))]
    return [""]


def _traffic(rule: SecurityRule, stateful: bool) -> str:
    if rule.protocol is None:
        return ""
    protocol = f"meta l4proto {rule.protocol}"
    low, high = rule.port_min, rule.port_max
    if low is None:
        return protocol
    if rule.protocol in (_ICMP, _ICMPV6):
        return f"{protocol} {_icmp(rule.protocol, low, high, stateful)}"
    ports = str(low) if low == high or high is None else f"{low}-{high}"
    return f"{protocol} {'ct original proto-dst' if stateful else 'th dport'} {ports}"


def _icmp(protocol: int, type_: int, code: int | None, stateful: bool) -> str:
    if not stateful:
        name = "icmp" if protocol == _ICMP else "icmpv6"
        return f"{name} type {type_}" + ("" if code is None else f" {name} code {code}")
    # Connection tracking keeps the type and the code of a question where others have their port.
    if code is None:
        return f"ct original proto-dst & 0xff00 == {type_ << 8:#06x}"
    return f"ct original proto-dst {type_ << 8 | code:#06x}"


def numbered(profiles: Iterable[Profile]) -> dict[Profile, int]:
    """Return a number for each profile, the same one as in another run of the agent."""
    found: dict[Profile, int] = {}
    taken = {0}
    for profile in sorted(profiles):
        words = " ".join((*profile.groups, profile.port)) if profile.port else " ".join(profile.groups)
        number = int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") & 0x7FFFFF
        while number in taken:
            number = (number + 1) & 0x7FFFFF
        taken.add(number)
        found[profile] = number
    return found


def mark_from(number: int) -> int:
    """Return the mark of packets from ports with these groups."""
    return tables.MARK | number << 1


def mark_to(number: int) -> int:
    """Return the mark of packets to them."""
    return mark_from(number) | 1


def number_of(mark: int) -> int:
    """Return the number of the profile that a mark is of."""
    return (mark & ~tables.MASK) >> 1


def of_profile(profile: Profile, number: int, stateful: bool) -> Piece:
    """Return the chains for ports with these groups: what they send, what they receive."""
    sent, received = ("inet", f"sent-p{number:x}"), ("inet", f"received-p{number:x}")
    out, into = ("inet", f"out-p{number:x}"), ("inet", f"in-p{number:x}")
    drop = f"goto {_DROPPED}" if profile.dropped else "drop"
    named = [f"logged-WAY-{one}" if one in profile.accepted else f"WAY-{one}" for one in profile.groups]
    state = (f"ct state invalid {drop}", "ct state related accept") if stateful else ()
    answers = (f"ct direction reply goto {into[1]}",) if stateful else ()
    questions = (f"ct direction reply goto {out[1]}",) if stateful else ()
    return Piece(
        chains={
            out: (*(f"jump {one.replace('WAY', 'out', 1)}" for one in named), drop),
            into: (*(f"jump {one.replace('WAY', 'in', 1)}" for one in named), drop),
            sent: ("jump from_any", *state, *answers, f"goto {out[1]}"),
            received: ("jump to_any", *state, *questions, f"goto {into[1]}"),
        },
        elements=frozenset(
            {
                (("inet", "senders"), f"{mark_from(number):#x}", f"goto {sent[1]}"),
                (("inet", "receivers"), f"{mark_to(number):#x}", f"goto {received[1]}"),
            }
        ),
    )


def hosts_set(group: str, version: int) -> Name:
    """Return the name of the set of single addresses of a group's ports."""
    return ("inet", f"h{version}-{group}")


def nets_set(group: str, version: int) -> Name:
    """Return the name of the set of prefixes that a group's ports may have besides."""
    return ("inet", f"n{version}-{group}")


def addresses_set(group: str, version: int) -> Name:
    """Return the name of the set of an address group's prefixes."""
    return ("inet", f"a{version}-{group}")


def of_members(group: str, members: Iterable[Member]) -> Piece:
    """Return the sets of what a remote group's ports have. Raises ValueError when an address is none."""
    single: set[str] = set()
    wide: set[str] = set()
    for member in members:
        for address in member.addresses:
            (wide if "/" in address else single).add(address)
    sets: dict[Name, str] = {}
    elements: set[tuple[Name, str, str]] = set()
    for version in (4, 6):
        sets[hosts_set(group, version)] = f"type ipv{version}_addr;"
        sets[nets_set(group, version)] = f"type ipv{version}_addr; flags interval;"
    for address in single:
        elements.add((hosts_set(group, 6 if ":" in address else 4), address, ""))
    elements |= _intervals(wide, lambda version: nets_set(group, version))
    return Piece(sets=sets, elements=frozenset(elements))


def of_addresses(id_: str, group: AddressGroup | None) -> Piece:
    """Return the sets of an address group. Raises ValueError when a prefix is none."""
    sets = {addresses_set(id_, version): f"type ipv{version}_addr; flags interval;" for version in (4, 6)}
    prefixes = set(group.addresses) if group else set()
    elements = _intervals(prefixes, lambda version: addresses_set(id_, version))
    return Piece(sets=sets, elements=frozenset(elements))


def _intervals(prefixes: Iterable[str], name: Callable[[int], Name]) -> set[tuple[Name, str, str]]:
    """Return the elements of interval sets, none of which overlap."""
    networks = [ipaddress.ip_network(prefix, strict=False) for prefix in prefixes]
    four = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))
    six = ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))
    return {(name(4), str(network), "") for network in four} | {
        (name(6), str(network), "") for network in six
    }
