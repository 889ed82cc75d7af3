"""Who uses what RBAC policies lend: projects that lose it first stop using it."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from deuteron.resources import port, qos_bindings, router, security_group
from deuteron.resources.access import EXTERNAL, SHARED
from deuteron.resources.call import Call
from deuteron.resources.resource import Item
from deuteron.store import metadata

Users = Callable[[Call, Item, set[str]], str]
"""users(call, what is lent, projects) -> who of other projects than these uses it, in words."""


def on_network(call: Call, home: Item, targets: set[str]) -> str:
    """Say that ports of other projects than these are on a network."""
    c = port.resource.table.c
    foreign = select(c.id).where(c.network_id == home["id"], ~c.device_owner.startswith("network:"))
    found = _foreign(call, foreign, c.project_id, targets)
    return f"port {found} is on the network" if found else ""


def _through_network(call: Call, home: Item, targets: set[str]) -> str:
    """Say that routers of other projects than these have a gateway on a network."""
    routers, gateways = router.resource.table, port.resource.table
    foreign = (
        select(routers.c.id)
        .join(gateways, gateways.c.device_id == routers.c.id)
        .where(gateways.c.network_id == home["id"], gateways.c.device_owner == "network:router_gateway")
    )
    found = _foreign(call, foreign, routers.c.project_id, targets)
    return f"router {found} has its gateway there" if found else ""


def _with_group(call: Call, group: Item, targets: set[str]) -> str:
    ports, has = port.resource.table.c, security_group.port_group.c
    foreign = select(ports.id).join(security_group.port_group, has.port_id == ports.id)
    foreign = foreign.where(has.security_group_id == group["id"])
    found = _foreign(call, foreign, ports.project_id, targets)
    return f"port {found} has the security group" if found else ""


def _naming(name: str, column: str, words: str) -> Users:
    """Return what says who has an object that names what is lent in a column."""

    def users(call: Call, lent: Item, targets: set[str]) -> str:
        c = metadata.tables[name].c
        foreign = select(c.id).where(c[column] == lent["id"])
        found = _foreign(call, foreign, c.project_id, targets)
        return f"{words} {found} uses it" if found else ""

    return users


def _foreign(call: Call, users: Select[Any], project: ColumnElement[str], targets: set[str]) -> str:
    found = call.tx.execute(users.where(project.not_in(sorted({"", *targets}))).limit(1)).first()
    return str(found.id) if found else ""


USERS: Mapping[tuple[str, str], Users] = {
    ("network", SHARED): on_network,
    ("network", EXTERNAL): _through_network,
    ("qos_policy", SHARED): qos_bindings.foreign_user,
    ("security_group", SHARED): _with_group,
    ("address_group", SHARED): _naming("security_group_rule", "remote_address_group_id", "rule"),
    ("address_scope", SHARED): _naming("subnetpool", "address_scope_id", "subnet pool"),
    ("subnetpool", SHARED): _naming("subnet", "subnetpool_id", "subnet"),
}
"""By the type of the object and what is granted."""
