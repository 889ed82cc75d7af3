"""Which types of QoS rules there are, and which of them the data plane holds traffic to."""

from collections.abc import Sequence
from typing import Any

from deuteron.resources import access, qos_rules
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import NotFound
from deuteron.resources.qos_rules import BANDWIDTH, DSCP, MARKS, MIN_PACKETS, PACKETS, TYPES
from deuteron.resources.resource import Alias, Item, Resource
from deuteron.resources.types import BOOLEAN, line, shown

ENFORCED = (BANDWIDTH, DSCP, PACKETS)
"""The others are promises, which are kept as data."""


class RuleTypeNotFound(NotFound):
    """`id`."""

    message = "QoS rule type {id} could not be found."


def _listing(call: Call) -> list[Item]:  # noqa: ARG001
    return [{"id": kind, "type": kind} for kind in TYPES]


def _enforced(items: list[Item], values: Sequence[Any]) -> list[Item]:
    return [item for item in items if item["type"] in ENFORCED or True not in values]


def _all(items: list[Item], values: Sequence[Any]) -> list[Item]:  # noqa: ARG001
    return items


def _show(call: Call, kind: str, fields: frozenset[str]) -> Item:
    """Return a type with what the data plane can do with it: the business of administrators."""
    if kind not in TYPES:
        raise RuleTypeNotFound(id=shown(kind))
    access.check(call, resource, "context_is_admin", {})
    drivers = [{"name": "linuxbridge", "supported_parameters": _parameters(kind)}]
    whole = {"type": kind, "drivers": drivers if kind in ENFORCED else []}
    return {name: value for name, value in whole.items() if not fields or name in fields}


def _parameters(kind: str) -> list[Item]:
    return [_parameter(kind, name) for name in TYPES[kind]]


def _parameter(kind: str, name: str) -> Item:
    if name == "direction":
        choices: list[Any] = [
            qos_rules.EGRESS,
            qos_rules.INGRESS,
            *([qos_rules.ANY] if kind == MIN_PACKETS else []),
        ]
        return {"parameter_name": name, "parameter_type": "choices", "parameter_values": choices}
    if name == "dscp_mark":
        return {"parameter_name": name, "parameter_type": "choices", "parameter_values": list(MARKS)}
    whole = {"start": 0, "end": 2**31 - 1}
    return {"parameter_name": name, "parameter_type": "range", "parameter_values": whole}


_FLAG = Attr(type=BOOLEAN, default=UNSET, stored=False, visible=False)

resource = Resource(
    name="rule_type",
    collection="rule_types",
    path="qos/rule-types",
    not_found=RuleTypeNotFound,
    rows=_listing,
    show=_show,
    narrowing={"all_supported": _enforced, "all_rules": _all},
    creatable=False,
    updatable=False,
    deletable=False,
    attributes={
        "id": Attr(type=line(), default=UNSET, stored=False, visible=False),
        "type": Attr(type=line(), default=UNSET, stored=False),
        "all_supported": _FLAG,
        "all_rules": _FLAG,
    },
)

DECLARES = (
    resource,
    Alias(
        alias="qos-rule-type-details",
        name="Details of QoS rule types",
        description="What the data plane can do with them",
    ),
    Alias(
        alias="qos-rule-type-filter",
        name="Allow to filter the list of QoS rule types",
        description="Those that the data plane holds traffic to",
    ),
)
