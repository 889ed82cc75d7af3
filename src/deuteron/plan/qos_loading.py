"""QoS policies of the database as rows of the state, and who has them."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Select, select

from deuteron.plan import rows as s
from deuteron.plan.units import Limit
from deuteron.resources import qos_policy
from deuteron.resources.qos_rules import BANDWIDTH, DSCP, PACKETS, RULES
from deuteron.store import Tx, metadata

Ids = Collection[str] | None


def policies(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    """Yield these policies, or all of them."""
    table = qos_policy.resource.table
    bandwidth = _limits(tx, ids, BANDWIDTH, "max_kbps", "max_burst_kbps")
    packets = _limits(tx, ids, PACKETS, "max_kpps", "max_burst_kpps")
    marks = {row.policy_id: row.dscp_mark for row in _rules(tx, ids, DSCP)}
    statement: Select[Any] = select(table.c.id)
    for row in tx.execute(statement if ids is None else statement.where(table.c.id.in_(ids))):
        yield s.QosPolicy(
            id=row.id,
            bandwidth=tuple(sorted(bandwidth[row.id], key=_direction)),
            packets=tuple(sorted(packets[row.id], key=_direction)),
            dscp=marks.get(row.id),
        )


def _direction(limit: Limit) -> str:
    return limit.direction


def _limits(tx: Tx, ids: Ids, kind: str, rate: str, burst: str) -> dict[str, list[Limit]]:
    """Return the limits of a type by policy; one of 0 is none."""
    found: dict[str, list[Limit]] = defaultdict(list)
    for row in _rules(tx, ids, kind):
        if getattr(row, rate):
            one = Limit(direction=row.direction, rate=getattr(row, rate), burst=getattr(row, burst))
            found[row.policy_id].append(one)
    return found


def _rules(tx: Tx, ids: Ids, kind: str) -> list[Any]:
    table = RULES[kind].table
    statement = select(table) if ids is None else select(table).where(table.c.policy_id.in_(ids))
    return [*tx.execute(statement)]


def of(tx: Tx, kind: str, ids: Ids) -> dict[str, str]:
    """Return the policies of these ports, networks, floating IPs or routers' gateways, by their id."""
    table = metadata.tables[f"{kind}_qos"]
    policy = table.c.gateway_qos_policy_id if kind == "router" else table.c.qos_policy_id
    statement = select(table.c.id, policy.label("policy")).where(policy.is_not(None))
    if ids is not None:
        statement = statement.where(table.c.id.in_(ids))
    return {row.id: row.policy for row in tx.execute(statement)}
