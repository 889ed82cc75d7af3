"""Limits of packet rates, and marks, as chains of nftables in the bridge family. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deuteron.agent import names
from deuteron.plan.units import Limit, Qos

TABLE = "deuteron_qos"
FROM, TO = "from", "to"
_SHARE = 0.8
"""Of a second's packets: what may be saved up where nothing is said of it."""
_MOST = 2**32 - 1

EMPTY = f"table bridge {TABLE}\ndelete table bridge {TABLE}"
"""What removes the table, whether or not it is there."""
# After who a sender is was checked (-290): what is not its own must not be counted. What is received is
# counted where its port is known and nothing else would drop it.
FRAME = f"""\
{EMPTY}
table bridge {TABLE} {{
  map {FROM} {{
    type ifname : verdict
  }}
  map {TO} {{
    type ifname : verdict
  }}
  chain sent {{
    type filter hook prerouting priority -280; policy accept;
    iifname vmap @{FROM}
  }}
  chain received {{
    type filter hook postrouting priority 200; policy accept;
    oifname vmap @{TO}
  }}
}}"""


@dataclass(frozen=True)
class Rules:
    """What is done with what a port sends, and with what it receives."""

    sent: tuple[str, ...] = ()
    received: tuple[str, ...] = ()


NONE = Rules()


def rules(unit: Qos) -> Rules:
    """Return the rules for a port."""
    sent = [_limit(one) for one in unit.packets if one.direction == "egress"]
    received = [_limit(one) for one in unit.packets if one.direction == "ingress"]
    if unit.dscp is not None:
        sent += [f"ip dscp set {unit.dscp}", f"ip6 dscp set {unit.dscp}"]
    return Rules(tuple(sent), tuple(received))


def _limit(limit: Limit) -> str:
    rate = limit.rate * 1000
    burst = limit.burst * 1000 or int(rate * _SHARE)
    return f"limit rate over {rate}/second burst {min(burst, _MOST)} packets drop"


def commands(changes: Iterable[tuple[str, Rules, Rules]]) -> list[str]:
    """Return the commands that turn the first rules of each port (id) into the second."""
    found: list[str] = []
    for port, old, new in changes:
        found += _chain(FROM, names.tap(port), old.sent, new.sent)
        found += _chain(TO, names.tap(port), old.received, new.received)
    return found


def _chain(map_: str, tap: str, old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    name = f"bridge {TABLE} {map_}-{tap}"
    lines = [f"add rule {name} {line}" for line in new]
    if old == new:
        return []
    if not old:
        return [f"add chain {name}", *lines, _element("add", map_, f'"{tap}" : goto {map_}-{tap}')]
    if new:
        return [f"flush chain {name}", *lines]
    return [_element("delete", map_, f'"{tap}"'), f"flush chain {name}", f"delete chain {name}"]


def _element(verb: str, map_: str, element: str) -> str:
    return f"{verb} element bridge {TABLE} {map_} {{ {element} }}"


def devices(of: Mapping[str, Rules], map_: str) -> set[str]:
    """Return the devices that a map holds when these ports have these rules."""
    return {names.tap(port) for port, has in of.items() if (has.sent if map_ == FROM else has.received)}
