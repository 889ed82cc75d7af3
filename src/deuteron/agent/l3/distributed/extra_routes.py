"""Extra routes of routers by next hops on the external network, in the namespace of floating IPs.

Each router has its own, so each has a routing table. What is more exact than the external network's default
route, its own subnets and the floating IPs that are here, comes before them.
"""

from collections.abc import Iterator

from deuteron.agent.l3 import next_hops
from deuteron.agent.l3.distributed.floating import Outside
from deuteron.agent.l3.distributed.legs import Rule, View

_EXACT, _OWN = 30000, 30001
"""Priorities: the main table but for its default route, then a router's table; the whole main table later."""


def commands(outside: Outside, view: View) -> Iterator[str]:
    """Yield the commands in the namespace that make them so."""
    device = outside.device.inside
    have = {(table, to, hops) for table, those in view.routes.items() for to, hops, _ in those}
    have = {route for route in have if route[0].isdigit()}
    want = {(one.table, one.destination, one.hops) for one in outside.extra}
    kept = {(table, to) for table, to, _ in want}
    present = {rule for rule in view.rules if rule[0] in (_EXACT, _OWN)}
    rules: set[Rule] = {(_OWN, one.outer, one.table) for one in outside.extra}
    rules |= {(_EXACT, "", "main")} if rules else set()
    yield from (f"rule delete {_words(rule)}" for rule in sorted(present - rules, reverse=True))
    for table, to, hops in sorted(have):
        if (table, to) not in kept:
            yield next_hops.delete(to, hops, f"dev {device} table {table} proto static")
    for table, to, hops in sorted(want - have):
        ways = [(hop, device) for hop in hops.split(",")]
        yield next_hops.replace(to, ways, f"table {table} proto static")
    yield from (f"rule add {_words(rule)}" for rule in sorted(rules - present))


def _words(rule: Rule) -> str:
    priority, device, table = rule
    if not device:
        return f"priority {priority} lookup {table} suppress_prefixlength 0"
    return f"priority {priority} iif {device} lookup {table}"
