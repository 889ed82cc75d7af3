"""Who has a QoS policy: ports, networks, floating IPs, and the gateways of routers.

A port without one has that of its network, and a floating IP that of its external network.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from deuteron.resources import access, operations, qos_policy, rows
from deuteron.resources.attribute import Attr
from deuteron.resources.call import Call
from deuteron.resources.qos_errors import PolicyRemoveAuthorizationError, QosPolicyInUse
from deuteron.resources.resource import Alias, Extension, Item, Present, Resource
from deuteron.resources.types import UUID
from deuteron.store import metadata

POLICY, OF_NETWORK, OF_GATEWAY = "qos_policy_id", "qos_network_policy_id", "gateway_qos_policy_id"
TABLES = {"port": "port_qos", "network": "network_qos", "fip": "floatingip_qos", "router": "router_qos"}
"""What has policies, as errors call it -> the table that says which one."""


def _attr(name: str, *, given: bool = True, stored: bool = True, visible: bool = True) -> Mapping[str, Attr]:
    attr = Attr(
        type=UUID,
        default=None,
        post=given,
        put=given,
        nullable=True,
        stored=stored,
        visible=visible,
        filter=False,
        sort=False,
        index=stored,
    )
    return {name: attr}


def _check(call: Call, id_: str | None) -> None:
    """Raise QosPolicyNotFound unless the caller sees a policy. It is locked, as it is when it is deleted."""
    if id_ is not None:
        access.get(call, qos_policy.resource, id_, lock=True)


def _created(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    _check(call, values[POLICY])


def _updating(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    if POLICY in changes:
        _check_change(call, row[POLICY], changes[POLICY])


def _check_change(call: Call, old: str | None, new: str | None) -> None:
    """Raise unless the caller sees the new policy, and the old one: nobody shakes off what others limit."""
    if new == old:
        return
    policy = rows.find(call, qos_policy.resource, old) if old else None
    if policy and not access.sees(call, qos_policy.resource, policy):
        raise PolicyRemoveAuthorizationError(policy_id=old)
    _check(call, new)


def _created_network(call: Call, row: Item, values: Mapping[str, Any]) -> None:
    """A new network without a policy has its project's default one."""
    _check(call, values[POLICY])
    default = None if values[POLICY] else qos_policy.default_of(call, row["project_id"])
    if default:
        operations.store_extensions(call, _resource("network"), row["id"], {POLICY: default})
        row[POLICY] = default


def _from_network(network: str) -> Present:
    """Return what fills in the policy of the network that an attribute of the items names."""

    def present(call: Call, items: list[Item]) -> None:
        table = metadata.tables[TABLES["network"]]
        found: dict[str, str] = {}
        for part in rows.chunks({item[network] for item in items}):
            mine = select(table.c.id, table.c.qos_policy_id).where(table.c.id.in_(part))
            found.update((row.id, row.qos_policy_id) for row in call.tx.execute(mine))
        for item in items:
            item[OF_NETWORK] = found.get(item[network])

    return present


def of_gateway(call: Call, router: Resource, row: Item, info: Item | None) -> Item:
    """Give a router's gateway the policy that a request asks for; without a gateway there is none.

    Returns the router's row. Raises QosPolicyNotFound and PolicyRemoveAuthorizationError.
    """
    wanted = info.get(POLICY) if info and row["gw_port_id"] else None
    if info and row["gw_port_id"] and POLICY not in info:
        return row
    _check_change(call, row.get(OF_GATEWAY), wanted)
    operations.store_extensions(call, router, row["id"], {OF_GATEWAY: wanted})
    return {**row, OF_GATEWAY: wanted}


def _present_routers(call: Call, items: list[Item]) -> None:  # noqa: ARG001
    for item in items:
        if item["external_gateway_info"] and item[OF_GATEWAY]:
            item["external_gateway_info"][POLICY] = item[OF_GATEWAY]


def _deleting_policy(call: Call, row: Item) -> None:
    """A policy that something has stays."""
    for kind, name in TABLES.items():
        table = metadata.tables[name]
        column = table.c[OF_GATEWAY if kind == "router" else POLICY]
        user = call.tx.execute(select(table.c.id).where(column == row["id"]).limit(1)).first()
        if user is not None:
            raise QosPolicyInUse(policy_id=row["id"], object_type=kind, object_id=user.id)


def foreign_user(call: Call, policy: Item, projects: Collection[str]) -> str:
    """Say who of other projects than these has a policy; "" for nobody."""
    for kind, name in TABLES.items():
        table = metadata.tables[name]
        owner = metadata.tables["floatingip" if kind == "fip" else kind]
        column = table.c[OF_GATEWAY if kind == "router" else POLICY]
        foreign = (
            select(owner.c.id)
            .join(table, table.c.id == owner.c.id)
            .where(column == policy["id"])
            .where(owner.c.project_id.not_in(sorted({"", *projects})))
        )
        user = call.tx.execute(foreign.limit(1)).first()
        if user is not None:
            return f"{kind} {user.id} has the policy"
    return ""


def _resource(name: str) -> Resource:
    found: Resource = metadata.tables[name].info["resource"]
    return found


DECLARES = (
    Extension(resource="policy", name="users", deleting=_deleting_policy),
    Extension(
        resource="network", name="qos", attributes=_attr(POLICY), created=_created_network, updating=_updating
    ),
    Extension(
        resource="port",
        name="qos",
        attributes={**_attr(POLICY), **_attr(OF_NETWORK, given=False, stored=False)},
        created=_created,
        updating=_updating,
        present=_from_network("network_id"),
    ),
    Extension(
        resource="floatingip",
        name="qos",
        attributes={**_attr(POLICY), **_attr(OF_NETWORK, given=False, stored=False)},
        created=_created,
        updating=_updating,
        present=_from_network("floating_network_id"),
    ),
    Extension(
        resource="router",
        name="qos",
        attributes=_attr(OF_GATEWAY, given=False, visible=False),
        present=_present_routers,
    ),
    Alias(
        alias="qos-port-network-policy",
        name="QoS port network policy ID",
        description="A port's network's policy",
    ),
    Alias(alias="qos-fip", name="Floating IP QoS", description="Policies of floating IPs"),
    Alias(
        alias="qos-fip-network-policy",
        name="QoS floating IP network policy ID",
        description="A floating IP's network's policy",
    ),
    Alias(alias="qos-gateway-ip", name="Router gateway IP QoS", description="Policies of routers' gateways"),
)
