"""Neutron's agents: one for each host and role. What they carry is in `scheduling`.

Deuteron has one agent a host; to the API each role of it is an agent of Neutron's, with an id made of the
host's name and the type. All is derived from the tables in `hosts`.
"""

import datetime
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Column, delete, select, update

from deuteron.resources import port, rows
from deuteron.resources.attribute import UNSET, Attr
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, NotFound
from deuteron.resources.hosts import (
    AGENT_TYPES,
    agent_settings,
    dhcp_server,
    drain,
    ha_port,
    host,
    router_candidate,
    wish,
)
from deuteron.resources.resource import Alias, Extension, Item, Resource
from deuteron.resources.types import BOOLEAN, DERIVED, text

_NAMESPACE = uuid.UUID("5f6c1d7e-7a0b-4a53-9d55-2b1f7a4c9e10")
_TOPICS = {"l2": "N/A", "l3": "l3_agent", "dhcp": "dhcp_agent", "metadata": "N/A"}


class AgentNotFound(NotFound):
    """`id`."""

    message = "Agent {id} could not be found."


class AgentIsAlive(Conflict):
    """`id`, `host`."""

    message = "Agent {id} on host {host} is alive: stop it before it is deleted."


def agent_id(host_name: str, role: str) -> str:
    """Return the id of the agent of a host that has a role."""
    return str(uuid.uuid5(_NAMESPACE, f"{host_name}/{AGENT_TYPES[role]}"))


def is_alive(row: Any, agent_down_time: float) -> bool:
    """Whether a host was heard in time."""
    return bool(time.time() - row.last_seen <= agent_down_time)


def listing(call: Call) -> list[Item]:
    """Return all agents."""
    return [
        item for row in call.tx.execute(select(host).order_by(host.c.name)) for item in _of_host(call, row)
    ]


def _of_host(call: Call, row: Any) -> Iterator[Item]:
    alive = is_alive(row, call.settings.agent_down_time)
    for role in (role for role in AGENT_TYPES if role in row.roles):
        settings = agent_settings(row, AGENT_TYPES[role])
        yield {
            "id": agent_id(row.name, role),
            "agent_type": AGENT_TYPES[role],
            "binary": "deuteron-agent",
            "topic": _TOPICS[role],
            "host": row.name,
            "availability_zone": row.zone if role in ("l3", "dhcp") else None,
            "admin_state_up": settings.admin_state_up,
            "description": settings.description,
            "alive": alive,
            "created_at": _time(row.created),
            "started_at": _time(row.started),
            "heartbeat_timestamp": _time(row.last_seen),
            "configurations": _configuration(row, role),
            "resource_versions": {},
            "resources_synced": None,
        }


def _configuration(row: Any, role: str) -> dict[str, Any]:
    if role == "l2":
        return {
            "tunneling_ip": row.vtep,
            "tunnel_types": ["vxlan"],
            "physical_networks": row.physical_networks,
            "problems": row.problems,
        }
    return {"agent_mode": row.agent_mode} if role == "l3" else {}


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def change(call: Call, row: Item, changes: Item) -> Item:
    """Change what an administrator says of an agent: what one carries that is down goes to others."""
    found = call.tx.execute(select(host).where(host.c.name == row["host"])).one()
    before = agent_settings(found, row["agent_type"])
    after = msgspec.to_builtins(msgspec.structs.replace(before, **changes))
    values = {"agents": {**found.agents, row["agent_type"]: after}}
    call.tx.execute(update(host).where(host.c.name == row["host"]).values(values))
    call.tx.changed("host", row["host"], "update")
    return {**row, **changes}


def remove(call: Call, row: Item) -> None:
    """Delete a dead agent: its host goes with all its agents, and what it carried is placed elsewhere."""
    if row["alive"]:
        raise AgentIsAlive(id=row["id"], host=row["host"])
    name = row["host"]
    for member in call.tx.execute(select(ha_port).where(ha_port.c.host == name)).all():
        found = rows.find(call, port.resource, member.port_id, lock=True)
        if found is not None:
            port.remove(call, found)
    call.tx.execute(delete(ha_port).where(ha_port.c.host == name))
    call.tx.execute(delete(wish).where(wish.c.host == name))
    call.tx.execute(delete(drain).where(drain.c.host == name))
    call.tx.execute(delete(host).where(host.c.name == name))
    call.tx.changed("host", name, "delete")


def _zones(call: Call) -> list[Item]:
    """Return the availability zones that hosts are in, for networks (DHCP) and for routers (L3)."""
    found = {}
    for row in call.tx.execute(select(host)):
        for role, kind in (("dhcp", "network"), ("l3", "router")):
            if role in row.roles:
                item = {"id": f"{kind}/{row.zone}", "name": row.zone, "resource": kind, "state": "available"}
                found[item["id"]] = item
    return [found[id_] for id_ in sorted(found)]


def _present_network_zones(call: Call, items: list[Item]) -> None:
    _fill_zones(call, items, dhcp_server.c.network_id, dhcp_server.c.host)


def _present_router_zones(call: Call, items: list[Item]) -> None:
    _fill_zones(call, items, router_candidate.c.router_id, router_candidate.c.host)


def _fill_zones(call: Call, items: list[Item], key: Column[str], place: Column[str]) -> None:
    joined = select(key.label("id"), host.c.zone).join(host, host.c.name == place)
    zones: dict[str, set[str]] = {}
    for part in rows.chunks(item["id"] for item in items):
        for row in call.tx.execute(joined.where(key.in_(part))):
            zones.setdefault(row.id, set()).add(row.zone)
    for item in items:
        item["availability_zones"] = sorted(zones.get(item["id"], ()))


_SHOWN = Attr(type=DERIVED, default=UNSET, stored=False, filter=False, sort=False)
_ZONES = {"availability_zones": _SHOWN}


def _of_type(items: list[Item], wanted: Sequence[Any]) -> list[Item]:
    """Clients write "DHCP Agent" and "DHCP agent": both are meant."""
    types = {str(one).lower() for one in wanted}
    return [item for item in items if item["agent_type"].lower() in types]


resource = Resource(
    name="agent",
    collection="agents",
    not_found=AgentNotFound,
    rows=listing,
    creatable=False,
    attributes={
        "id": Attr(type=text(36), default=UNSET, stored=False),
        "agent_type": Attr(type=text(64), default=UNSET, stored=False),
        "binary": Attr(type=text(64), default=UNSET, stored=False),
        "topic": Attr(type=text(64), default=UNSET, stored=False),
        "host": Attr(type=text(255), default=UNSET, stored=False),
        "availability_zone": Attr(type=text(255), default=UNSET, stored=False),
        "admin_state_up": Attr(type=BOOLEAN, default=UNSET, stored=False, put=True),
        "description": Attr(type=text(255), default=UNSET, stored=False, put=True, nullable=True),
        "alive": Attr(type=BOOLEAN, default=UNSET, stored=False),
        "created_at": Attr(type=text(32), default=UNSET, stored=False),
        "started_at": Attr(type=text(32), default=UNSET, stored=False),
        "heartbeat_timestamp": Attr(type=text(32), default=UNSET, stored=False),
        "configurations": _SHOWN,
        "resource_versions": _SHOWN,
        "resources_synced": _SHOWN,
    },
    update=change,
    delete=remove,
    narrowing={"agent_type": _of_type},
)

zones = Resource(
    name="availability_zone",
    collection="availability_zones",
    rows=_zones,
    creatable=False,
    updatable=False,
    deletable=False,
    attributes={
        "id": Attr(type=text(300), default=UNSET, stored=False, visible=False),
        "name": Attr(type=text(255), default=UNSET, stored=False),
        "resource": Attr(type=text(16), default=UNSET, stored=False),
        "state": Attr(type=text(16), default=UNSET, stored=False),
    },
)

DECLARES = (
    resource,
    zones,
    Extension(
        resource="network",
        name="agents",
        attributes=_ZONES,
        present=_present_network_zones,
    ),
    Extension(
        resource="router",
        name="agents",
        attributes=_ZONES,
        present=_present_router_zones,
    ),
    Alias(alias="agent", name="agent", description="The agents, and whether they are alive"),
    Alias(alias="agent_sort_key", name="Agents Sort Key", description="Agents can be sorted"),
    Alias(alias="availability_zone", name="Availability Zone", description="Zones that hosts are in"),
    Alias(
        alias="availability_zone_filter",
        name="Availability Zone Filter Extension",
        description="Zones by name, kind and state",
    ),
)
