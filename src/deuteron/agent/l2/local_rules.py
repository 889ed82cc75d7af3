"""Local IPs as a table of nftables in the bridge family. Pure.

What an instance sends to a local IP is led to the port on its host, whatever MAC address it believes in. The
bridge family cannot track connections: which of them go to a local IP is kept in sets, by what is sent, and
what comes back of those bears the local IP again. Who sends to the port's own address means that one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from deuteron.agent import names
from deuteron.plan.units import LocalIP

TABLE = "deuteron_local_ip"
EMPTY = f"table bridge {TABLE}\ndelete table bridge {TABLE}\n"
"""What removes the table, whether or not it is there."""
FROM, TO = "from", "to"
_WITH_PORTS = "ip protocol { 6, 17, 132 }"
_ASKED = "ip protocol . ip saddr . th sport . th dport"
_ANSWERED = "ip protocol . ip daddr . th dport . th sport"
_PING, _PONG = "icmp type echo-request", "icmp type echo-reply"
_PINGED, _PONGED = "ip saddr . icmp id", "ip daddr . icmp id"
# Senders have been checked by then (-290), and connections are not yet known (0); answers have been judged.
_FRAME = (
    f"add table bridge {TABLE}",
    f"add map bridge {TABLE} {FROM} {{ type ifname : verdict; }}",
    f"add map bridge {TABLE} {TO} {{ type ifname : verdict; }}",
    f"add chain bridge {TABLE} sent {{ type filter hook prerouting priority -285; policy accept; }}",
    f"add chain bridge {TABLE} received {{ type filter hook postrouting priority 250; policy accept; }}",
    f"flush chain bridge {TABLE} sent",
    f"flush chain bridge {TABLE} received",
    f"flush map bridge {TABLE} {FROM}",
    f"flush map bridge {TABLE} {TO}",
    f"add rule bridge {TABLE} sent iifname vmap @{FROM}",
    f"add rule bridge {TABLE} received oifname vmap @{TO}",
)
_OURS = frozenset({"sent", "received", FROM, TO})


def chosen(found: Iterable[LocalIP]) -> list[LocalIP]:
    """Return which port of this host each address of a network leads to: the first by its id."""
    first: dict[tuple[str, str], LocalIP] = {}
    for one in sorted(found, key=lambda one: (one.port, one.id)):
        first.setdefault((one.network, one.address), one)
    return sorted(first.values(), key=lambda one: (one.network, one.address))


def known(leads: Iterable[LocalIP], port: str) -> dict[str, str]:
    """Return what is answered to a port of their network: address -> MAC address; nothing to who has it."""
    return {one.address: one.mac for one in leads if one.port != port}


def render(
    leads: Sequence[LocalIP],
    ports: Mapping[str, Collection[str]],
    chains: Collection[str],
    sets: Collection[str],
) -> str:
    """Return one transaction that makes the table so; `chains` and `sets` are what it holds.

    `leads` are some; `ports` are those of this host, by network. Connections that are known stay known.
    """
    networks = sorted({one.network for one in leads})
    wanted = {f"{way}-{network}" for network in networks for way in (FROM, TO)}
    stale = sorted(set(chains) - wanted - _OURS)
    translated = [one for one in leads if one.fixed_ip]
    lines = [*_FRAME]
    for one in translated:
        lines += _sets(one)
    for name in sorted(wanted):
        lines += [f"add chain bridge {TABLE} {name}", f"flush chain bridge {TABLE} {name}"]
    lines += [f"flush chain bridge {TABLE} {name}" for name in stale]
    lines += [f"delete chain bridge {TABLE} {name}" for name in stale]
    kept = {name for one in translated for name in (_flows(one), _echoes(one))}
    lines += [f"delete set bridge {TABLE} {name}" for name in sorted(set(sets) - kept - _OURS)]
    for network in networks:
        here = [one for one in leads if one.network == network]
        lines += [f"add rule bridge {TABLE} {FROM}-{network} {rule}" for rule in _sent(here)]
        lines += [f"add rule bridge {TABLE} {TO}-{network} {rule}" for rule in _received(here)]
        taps = sorted(names.tap(port) for port in ports.get(network, ()))
        for way in (FROM, TO) if taps else ():
            elements = ", ".join(f'"{tap}" : goto {way}-{network}' for tap in taps)
            lines.append(f"add element bridge {TABLE} {way} {{ {elements} }}")
    return "\n".join(lines) + "\n"


def _flows(one: LocalIP) -> str:
    return f"flows-{one.id}"


def _echoes(one: LocalIP) -> str:
    return f"echoes-{one.id}"


def _sets(one: LocalIP) -> list[str]:
    rest = "flags dynamic,timeout; size 262144; timeout"
    return [
        f"add set bridge {TABLE} {_flows(one)} {{ typeof {_ASKED}; {rest} 1h; }}",
        f"add set bridge {TABLE} {_echoes(one)} {{ typeof {_PINGED}; {rest} 1m; }}",
    ]


def _sent(leads: Sequence[LocalIP]) -> Iterable[str]:
    for one in leads:
        asked = f"ip daddr {one.address}"
        yield f'iifname "{names.tap(one.port)}" {asked} return'
        if not one.fixed_ip:
            yield f"{asked} ether daddr set {one.port_mac} accept"
            continue
        for other in leads:
            if other is not one and (other.port, other.fixed_ip) == (one.port, one.fixed_ip):
                yield from _forget(other, asked)
        yield f"{asked} {_WITH_PORTS} update @{_flows(one)} {{ {_ASKED} }}"
        yield f"{asked} ip protocol 17 update @{_flows(one)} {{ {_ASKED} timeout 3m }}"
        yield f"{asked} tcp flags & (fin | syn | rst) != 0 update @{_flows(one)} {{ {_ASKED} timeout 1m }}"
        yield f"{asked} {_PING} update @{_echoes(one)} {{ {_PINGED} }}"
        yield (
            f"{asked} ip protocol {{ 1, 6, 17, 132 }} ether daddr set {one.port_mac} "
            f"ip daddr set {one.fixed_ip} accept"
        )
    for one in leads:
        if one.fixed_ip:
            yield from _forget(one, f"ip daddr {one.fixed_ip}")


def _forget(one: LocalIP, asked: str) -> Iterable[str]:
    yield f"{asked} {_WITH_PORTS} delete @{_flows(one)} {{ {_ASKED} }}"
    yield f"{asked} {_PING} delete @{_echoes(one)} {{ {_PINGED} }}"


def _received(leads: Sequence[LocalIP]) -> Iterable[str]:
    for one in leads:
        if one.fixed_ip:
            answer = f"ip saddr {one.fixed_ip}"
            yield f"{answer} {_ANSWERED} @{_flows(one)} ip saddr set {one.address} accept"
            yield f"{answer} {_PONG} {_PONGED} @{_echoes(one)} ip saddr set {one.address} accept"
