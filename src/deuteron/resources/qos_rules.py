"""Rules of QoS policies: /qos/policies/ID/TYPE_rules, and /qos/alias-TYPE-rules/ID by their own ids alone.

A policy has at most one rule of a type in one direction, as seen from the port: egress is what it sends.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Integer, UniqueConstraint, select

from deuteron.resources import qos_policy, rows
from deuteron.resources.attribute import UNSET, Attr, Type
from deuteron.resources.call import Call
from deuteron.resources.qos_errors import QosRuleNotFound, QoSRuleParameterConflict, QoSRulesConflict
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import DERIVED, UUID, integer, line, one_of

EGRESS, INGRESS, ANY = "egress", "ingress", "any"
MARKS = (0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56)
_RATE = integer(0, 2**31 - 1)
BANDWIDTH, PACKETS, DSCP = "bandwidth_limit", "packet_rate_limit", "dscp_marking"
MIN_BANDWIDTH, MIN_PACKETS = "minimum_bandwidth", "minimum_packet_rate"


def _mark(value: Any) -> int:
    number: int = _RATE.convert(value)
    if number not in MARKS:
        raise ValueError(f"{number} is not in {list(MARKS)}")
    return number


def _amount(default: int | None = None) -> Attr:
    if default is None:
        return Attr(type=_RATE, post=True, put=True)
    return Attr(type=_RATE, default=default, post=True, put=True)


def _direction(*others: str) -> Attr:
    return Attr(type=one_of(EGRESS, INGRESS, *others), default=EGRESS, post=True, put=True)


TYPES: Mapping[str, Mapping[str, Attr]] = {
    BANDWIDTH: {"max_kbps": _amount(), "max_burst_kbps": _amount(0), "direction": _direction()},
    DSCP: {"dscp_mark": Attr(type=Type(_mark, Integer(), _RATE.from_query), post=True, put=True)},
    MIN_BANDWIDTH: {"min_kbps": _amount(), "direction": _direction()},
    MIN_PACKETS: {"min_kpps": _amount(), "direction": _direction(ANY)},
    PACKETS: {"max_kpps": _amount(), "max_burst_kpps": _amount(0), "direction": _direction()},
}
"""Type of rule -> what it says."""


def _create(kind: str, call: Call, values: Item) -> Item:
    policy = rows.get(call, qos_policy.resource, values["policy_id"], lock=True)
    _refuse_contradiction(call, kind, values)
    row = rows.insert(call, RULES[kind], values)
    if row is None:
        raise _conflict(call, kind, values)
    rows.change(call, qos_policy.resource, policy, {})
    return row


def _update(kind: str, call: Call, row: Item, changes: Item) -> Item:
    policy = rows.get(call, qos_policy.resource, row["policy_id"], lock=True)
    wanted = {**row, **changes}
    _refuse_contradiction(call, kind, wanted)
    if any(other["id"] != row["id"] for other in _same(call, kind, wanted)):
        raise _conflict(call, kind, wanted)
    rows.change(call, qos_policy.resource, policy, {})
    return rows.change(call, RULES[kind], row, changes)


def _delete(kind: str, call: Call, row: Item) -> None:
    policy = rows.get(call, qos_policy.resource, row["policy_id"], lock=True)
    rows.remove(call, RULES[kind], row["id"])
    rows.change(call, qos_policy.resource, policy, {})


def _same(call: Call, kind: str, values: Item) -> list[Item]:
    """Return the rules of this type and direction in a policy."""
    found = _of_policy(call, kind, values["policy_id"])
    return [one for one in found if one.get("direction") == values.get("direction")]


def _conflict(call: Call, kind: str, values: Item) -> QoSRulesConflict:
    other = next((one["id"] for one in _same(call, kind, values) if one["id"] != values.get("id")), "")
    return QoSRulesConflict(new_rule_type=kind, rule_id=other, policy_id=values["policy_id"])


def _refuse_contradiction(call: Call, kind: str, values: Item) -> None:
    """Raise where a limit is below what is promised, or a promise is for both directions and for each."""
    policy_id = values["policy_id"]
    if kind in (BANDWIDTH, MIN_BANDWIDTH):
        other = MIN_BANDWIDTH if kind == BANDWIDTH else BANDWIDTH
        mine, its = ("max_kbps", "min_kbps") if kind == BANDWIDTH else ("min_kbps", "max_kbps")
        for one in _of_policy(call, other, policy_id):
            low, high = sorted((values, one), key=lambda rule: "max_kbps" in rule)
            if one["direction"] == values["direction"] and low["min_kbps"] > high["max_kbps"]:
                raise _contradiction(values, mine, other, one[its])
    if kind == MIN_PACKETS:
        for one in _of_policy(call, kind, policy_id):
            directions = {one["direction"], values["direction"]}
            if one["id"] != values.get("id") and ANY in directions and len(directions) > 1:
                raise _contradiction(values, "direction", kind, one["direction"])


def _contradiction(values: Item, name: str, other: str, value: Any) -> QoSRuleParameterConflict:
    return QoSRuleParameterConflict(
        rule_value=values[name], policy_id=values["policy_id"], existing_rule=other, existing_value=value
    )


def _of_policy(call: Call, kind: str, policy_id: str) -> list[Item]:
    return rows.where(call, RULES[kind], RULES[kind].table.c.policy_id == policy_id)


def _rule(kind: str, attributes: Mapping[str, Attr]) -> Resource:
    unique = [name for name in ("policy_id", "direction") if name == "policy_id" or name in attributes]
    return Resource(
        name=f"policy_{kind}_rule",
        collection=f"{kind}_rules",
        member=f"{kind}_rule",
        parent="policy",
        not_found=QosRuleNotFound,
        attributes=attributes,
        constraints=[UniqueConstraint(*unique)],
        create=partial(_create, kind),
        update=partial(_update, kind),
        delete=partial(_delete, kind),
    )


RULES: Mapping[str, Resource] = {kind: _rule(kind, attributes) for kind, attributes in TYPES.items()}


def _all(kind: str, call: Call) -> list[Item]:
    """Return all rules of a type, with whom their policies belong to, which rules of access ask for."""
    policies = qos_policy.resource.table
    owners = {row.id: row.project_id for row in call.tx.execute(select(policies.c.id, policies.c.project_id))}
    return [
        {**one, "project_id": owners[one["policy_id"]], "ext_parent:project_id": owners[one["policy_id"]]}
        for one in rows.where(call, RULES[kind])
    ]


def _stored(kind: str, row: Item) -> Item:
    return {name: row[name] for name in RULES[kind].stored}


def _update_alias(kind: str, call: Call, row: Item, changes: Item) -> Item:
    return {**row, **_update(kind, call, _stored(kind, row), changes)}


def _alias(kind: str, attributes: Mapping[str, Attr]) -> Resource:
    hidden = Attr(type=line(), default=UNSET, stored=False, visible=False)
    return Resource(
        name=f"alias_{kind}_rule",
        collection=f"alias_{kind}_rules",
        path=f"qos/alias-{kind.replace('_', '-')}-rules",
        not_found=QosRuleNotFound,
        rows=partial(_all, kind),
        update=partial(_update_alias, kind),
        delete=partial(_delete, kind),
        listable=False,
        creatable=False,
        attributes={
            "id": Attr(type=UUID, default=UNSET),
            "project_id": hidden,
            **{
                name: Attr(type=attr.type, default=attr.default, put=True)
                for name, attr in attributes.items()
            },
        },
    )


ALIASES = {kind: _alias(kind, attributes) for kind, attributes in TYPES.items() if kind != PACKETS}
"""Neutron has none of limits of packet rates."""


def _present(call: Call, items: list[Item]) -> None:
    """Fill in the policies' rules."""
    found: dict[str, list[Item]] = {item["id"]: [] for item in items}
    for kind, attributes in TYPES.items():
        table = RULES[kind].table
        for part in rows.chunks(found):
            for one in rows.where(call, RULES[kind], table.c.policy_id.in_(part)):
                said = {name: one[name] for name in ("id", *attributes)}
                found[one["policy_id"]].append({**said, "qos_policy_id": one["policy_id"], "type": kind})
    for item in items:
        item["rules"] = found[item["id"]]


DECLARES = (
    *RULES.values(),
    *ALIASES.values(),
    Extension(
        resource="policy",
        name="rules",
        attributes={"rules": Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)},
        present=_present,
    ),
    Alias(
        alias="qos-bw-limit-direction",
        name="Direction for QoS bandwidth limit rule",
        description="Limits of what a port receives, too",
    ),
    Alias(
        alias="qos-bw-minimum-ingress",
        name="Ingress direction for QoS minimum bandwidth rule",
        description="Kept as data",
    ),
    Alias(alias="qos-pps", name="QoS packet rate limit", description="Packets per second"),
    Alias(alias="qos-pps-minimum", name="QoS minimum packet rate rule", description="Kept as data"),
    Alias(
        alias="qos-rules-alias",
        name="Quality of Service rules alias API",
        description="Rules by their own ids alone",
    ),
    Alias(
        alias="qos-pps-minimum-rule-alias",
        name="QoS minimum packet rate rule alias",
        description="Those rules by their own ids alone",
    ),
)
