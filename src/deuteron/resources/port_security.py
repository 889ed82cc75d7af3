"""Which security groups a port has, and what port security asks of it."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, select

from deuteron.resources import access, rows
from deuteron.resources.attribute import UNSET
from deuteron.resources.call import Call
from deuteron.resources.l2_errors import AddressPairAndPortSecurityRequired, AllowedAddressPairExhausted
from deuteron.resources.resource import Item
from deuteron.resources.security_group import default_of, port_group
from deuteron.resources.security_group import resource as security_group
from deuteron.resources.security_group_errors import (
    PortSecurityAndIPRequiredForSecurityGroups,
    PortSecurityPortHasSecurityGroup,
    SecurityGroupConflict,
    SecurityGroupNotFound,
)
from deuteron.store import metadata


def is_trusted(device_owner: str) -> bool:
    """Whether a port is the cloud's own: it may say anything, and has no groups."""
    return device_owner.startswith("network:")


def of_new(call: Call, values: Mapping[str, Any], network_default: bool) -> tuple[bool, list[str]]:
    """Return whether port security is on for a new port, and its groups: the default one if none are said.

    `network_default`: whether it is on where the request does not say so.
    """
    given, groups = values["port_security_enabled"], values["security_groups"]
    if is_trusted(values["device_owner"]):
        return False, []
    security = network_default if given is UNSET else given
    check_pairs(call, values["allowed_address_pairs"], security)
    if not security:
        if groups is not UNSET and groups:
            raise PortSecurityAndIPRequiredForSecurityGroups
        return False, []
    if groups is not UNSET:
        return True, checked(call, groups, values["project_id"])
    return True, [default_of(call, values["project_id"])] if values["project_id"] else []


def after(call: Call, row: Item, changes: Item) -> list[str] | None:
    """Check a change of a port; return its new groups, None if they stay. Takes them out of the changes."""
    wanted = changes.pop("security_groups", None)
    new = {**row, **changes}
    if is_trusted(new["device_owner"]):
        return None
    check_pairs(call, new["allowed_address_pairs"], new["port_security_enabled"])
    if not new["port_security_enabled"]:
        if wanted:
            raise PortSecurityAndIPRequiredForSecurityGroups
        if wanted is None and of_ports(call, [row["id"]]):
            raise PortSecurityPortHasSecurityGroup
    return None if wanted is None else checked(call, wanted, new["project_id"])


def check_pairs(call: Call, pairs: Sequence[Mapping[str, str]], security: bool) -> None:
    """Refuse too many allowed address pairs, and any without port security."""
    if len(pairs) > call.settings.max_allowed_address_pair:
        raise AllowedAddressPairExhausted(quota=call.settings.max_allowed_address_pair)
    if pairs and not security:
        raise AddressPairAndPortSecurityRequired


def checked(call: Call, ids: Sequence[str], project_id: str) -> list[str]:
    """Return groups that a port of a project may have. Raises SecurityGroupNotFound or -Conflict."""
    groups = [_group(call, id_) for id_ in dict.fromkeys(ids)]
    lent = [group for group in groups if group["project_id"] != project_id]
    unseen = [group["id"] for group in lent if not access.sees(call, security_group, group)]
    if unseen:
        raise SecurityGroupNotFound(id=", ".join(unseen))
    if len({group["stateful"] for group in groups}) > 1:
        raise SecurityGroupConflict(
            reason="Cannot apply both stateful and stateless security groups on the same port "
            "at the same time"
        )
    return [group["id"] for group in groups]


def _group(call: Call, id_: str) -> Item:
    return call.tx.once(security_group.name, id_, lambda: rows.get(call, security_group, id_))


def store(call: Call, port_id: str, groups: Sequence[str], *, new: bool = False) -> None:
    """Give a port these groups; what it had is taken away unless it is `new`."""
    if not new:
        call.tx.execute(delete(port_group).where(port_group.c.port_id == port_id))
    if groups:
        rows_ = [{"port_id": port_id, "security_group_id": id_} for id_ in groups]
        call.tx.execute(port_group.insert(), rows_)


def of_ports(call: Call, port_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the groups of these ports, of those that have any; at most as many as fit one statement."""
    found: dict[str, list[str]] = {}
    statement = _of_one() if len(port_ids) == 1 else _of_many()
    parameter = port_ids[0] if len(port_ids) == 1 else port_ids
    for row in call.tx.execute(statement, {"ports": parameter}):
        found.setdefault(row.port_id, []).append(row.security_group_id)
    return {port: sorted(groups) for port, groups in found.items()}


@cache
def _of_one() -> Select[Any]:
    return select(port_group).where(port_group.c.port_id == bindparam("ports"))


@cache
def _of_many() -> Select[Any]:
    return select(port_group).where(port_group.c.port_id.in_(bindparam("ports", expanding=True)))


def with_groups(call: Call, texts: list[str]) -> ColumnElement[bool]:  # noqa: ARG001
    """The filter of ports that have any of these groups."""
    having = select(port_group.c.port_id).where(port_group.c.security_group_id.in_(texts))
    return metadata.tables["port"].c.id.in_(having)
