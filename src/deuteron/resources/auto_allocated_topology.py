"""A project's first network, made on demand: with subnets from the default pools and a router.

GET /auto-allocated-topology/PROJECT makes it unless it is there; with `fields=dry-run` it says whether that
could be done.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, String, Table, delete, insert, select

from deuteron.resources import (
    access,
    network,
    operations,
    owners,
    port,
    router,
    router_interface,
    subnet,
    subnetpool,
)
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, Conflict, HTTPNotFound
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.subnetpool_errors import SubnetAllocationError
from deuteron.resources.types import line
from deuteron.store import ID_LENGTH, metadata

DRY_RUN = "dry-run"
_OWN = "None"
"""In place of a project: that of the caller. Clients send it when they are told none."""

_topology = Table(
    "auto_allocated_topology",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("network_id", String(ID_LENGTH), ForeignKey("network.id", ondelete="CASCADE"), nullable=False),
    Column("router_id", String(ID_LENGTH), ForeignKey("router.id", ondelete="SET NULL")),
)
_default = Table(
    "default_external_network",
    metadata,
    # Always 1: there is one at most.
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("network_id", String(ID_LENGTH), ForeignKey("network.id", ondelete="CASCADE"), nullable=False),
)


class AutoAllocationFailure(Conflict):
    """`reason`."""

    message = "Deployment error: {reason}."


class DefaultExternalNetworkExists(Conflict):
    """`net_id`."""

    message = "A default external network already exists: {net_id}."


def show(call: Call, id_: str, fields: frozenset[str]) -> Item:
    """Return a project's topology; make it if it is not there."""
    project_id = call.project_id if id_ == _OWN else id_
    if not access.sees(call, resource, {"project_id": project_id}):
        raise HTTPNotFound
    if DRY_RUN in fields:
        _external(call)
        _pools(call)
        return _shown("dry-run=pass", project_id)
    if fields:
        raise BadRequest(resource="auto_allocate", msg="Unrecognized field")
    found = call.tx.execute(select(_topology).where(_topology.c.project_id == project_id)).first()
    return _shown(found.network_id if found else _make(call, project_id), project_id)


def _shown(id_: str, project_id: str) -> Item:
    return {"id": id_, "project_id": project_id, "tenant_id": project_id}


def _make(call: Call, project_id: str) -> str:
    # As Deuteron itself: who may ask for the whole may not be allowed each of its parts.
    own = replace(call, who=None, project_id=project_id)
    external, pools = _external(call), _pools(call)
    home = operations.create(own, network.resource, {"name": "auto_allocated_network"})
    try:
        subnets = [_subnet(own, home["id"], pool) for pool in pools]
    except (SubnetAllocationError, BadRequest):
        raise AutoAllocationFailure(reason="Unable to provide project private network") from None
    try:
        gateway = {"name": "auto_allocated_router", "external_gateway_info": {"network_id": external}}
        uplink = operations.create(own, router.resource, gateway)
        for one in subnets:
            router_interface.add(own, uplink["id"], {"subnet_id": one["id"]})
    except BadRequest:
        raise AutoAllocationFailure(reason="Unable to provide external connectivity") from None
    made = {"project_id": project_id, "network_id": home["id"], "router_id": uplink["id"]}
    call.tx.execute(insert(_topology), made)
    return str(home["id"])


def _subnet(call: Call, network_id: str, pool: Item) -> Item:
    version = pool["ip_version"]
    values = {
        "name": f"auto_allocated_subnet_v{version}",
        "network_id": network_id,
        "ip_version": version,
        "subnetpool_id": pool["id"],
    }
    return operations.create(call, subnet.resource, values)


def _external(call: Call) -> str:
    found = call.tx.execute(select(_default.c.network_id)).scalar()
    if found is None:
        raise AutoAllocationFailure(reason="No default router:external network")
    return str(found)


def _pools(call: Call) -> list[Item]:
    found = [pool for version in (4, 6) if (pool := subnetpool.of_default(call, version))]
    if not found:
        raise AutoAllocationFailure(reason="No default subnetpools defined")
    return found


def _rows(call: Call) -> list[Item]:
    """Return what can be deleted: all projects' topologies, and the caller's though there is none."""
    found = [dict(row._mapping) for row in call.tx.execute(select(_topology))]
    own = next((one for one in found if one["project_id"] == call.project_id), None)
    own = own or {"project_id": call.project_id, "network_id": None, "router_id": None}
    others = [one for one in found if one is not own]
    return [{**one, "id": one["project_id"]} for one in [*others, own]] + [{**own, "id": _OWN}]


def remove(call: Call, row: Item) -> None:
    """Delete a project's topology, if there is one. Raises what says that it is used."""
    own = replace(call, who=None)
    if row["router_id"] is not None:
        for one in port.of_device(own, row["router_id"], tuple(owners.ROUTER_INTERFACES)):
            router_interface.remove(own, row["router_id"], {"port_id": one["id"]})
        call.tx.execute(delete(_topology).where(_topology.c.project_id == row["project_id"]))
        operations.delete(own, router.resource, row["router_id"])
    if row["network_id"] is not None:
        operations.delete(own, network.resource, row["network_id"])


def _created_network(call: Call, row: Item, values: Mapping[str, Any]) -> None:  # noqa: ARG001
    if row["is_default"] and row[network.EXTERNAL]:
        _claim(call, row["id"])


def _updating_network(call: Call, row: Item, changes: Mapping[str, Any]) -> None:
    before = row["is_default"] and row[network.EXTERNAL]
    after = changes.get("is_default", row["is_default"]) and changes.get(
        network.EXTERNAL, row[network.EXTERNAL]
    )
    if after and not before:
        _claim(call, row["id"])
    elif before and not after:
        call.tx.execute(delete(_default).where(_default.c.network_id == row["id"]))


def _claim(call: Call, network_id: str) -> None:
    other = call.tx.execute(select(_default.c.network_id)).scalar()
    if other is not None:
        raise DefaultExternalNetworkExists(net_id=other)
    call.tx.execute(insert(_default), {"number": 1, "network_id": network_id})


_HIDDEN = Attr(type=line(), default=UNSET, stored=False, visible=False)

resource = Resource(
    name="auto_allocated_topology",
    collection="auto_allocated_topologies",
    path="auto-allocated-topology",
    rows=_rows,
    show=show,
    delete=remove,
    listable=False,
    creatable=False,
    updatable=False,
    attributes={
        "id": Attr(type=line(), default=UNSET, stored=False),
        "project_id": Attr(type=line(), default=UNSET, stored=False),
        "network_id": _HIDDEN,
        "router_id": _HIDDEN,
    },
)

DECLARES = (
    resource,
    Extension(
        resource="network",
        name="default_external",
        created=_created_network,
        updating=_updating_network,
    ),
    Alias(
        alias="auto-allocated-topology",
        name="Auto Allocated Topology Services",
        description="A project's first network, made on demand",
    ),
)
