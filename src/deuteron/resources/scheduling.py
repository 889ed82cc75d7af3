"""Which agents serve a network or carry a router, and how an administrator says so by hand.

What is asked for becomes a wish, which placement follows at once; from then on the agents are shown as if it
had been done. An agent that is added to a network, or to a redundant router, comes on top of those that are
there, and counts: others are looked for only when there are fewer than configured. A router that is not
redundant has one place. What is taken from an agent does not come back there until it is added again.
"""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from deuteron.resources import (
    agent,
    attachments,
    network,
    operations,
    router,
    rows,
    subnet,
    subnet_segment,
)
from deuteron.resources.call import Call
from deuteron.resources.errors import Conflict, HTTPBadRequest
from deuteron.resources.hosts import (
    AGENT_TYPES,
    CENTRAL_MODES,
    SNAT_MODES,
    Wishes,
    dhcp_server,
    drain,
    election,
    forget_wishes,
    host,
    router_candidate,
    wish,
    wish_for,
    wishes_of,
)
from deuteron.resources.query import Query
from deuteron.resources.resource import Alias, Child, Extension, Item, Resource
from deuteron.resources.types import shown
from deuteron.store import Tx


class InvalidDHCPAgent(agent.AgentNotFound):
    """`id`, `reason`."""

    message = "Agent {id} cannot serve the network: {reason}."


class NetworkHostedByDHCPAgent(Conflict):
    """`network_id`, `agent_id`."""

    message = "Network {network_id} is served by DHCP agent {agent_id} already."


class NetworkNotHostedByDhcpAgent(Conflict):
    """`network_id`, `agent_id`."""

    message = "Network {network_id} is not served by DHCP agent {agent_id}."


class InvalidL3Agent(agent.AgentNotFound):
    """`id`, `reason`."""

    message = "Agent {id} cannot carry the router: {reason}."


class RouterHostedByL3Agent(Conflict):
    """`router_id`, `agent_id`."""

    message = "Router {router_id} is carried by L3 agent {agent_id} already."


class RouterNotHostedByL3Agent(Conflict):
    """`router_id`, `agent_id`."""

    message = "Router {router_id} is not carried by L3 agent {agent_id}."


def dhcp_agents(call: Call, network_id: str) -> list[Item]:
    """Return the DHCP agents that serve a network."""
    rows.get(call, network.resource, network_id)
    return _on(call, "dhcp", _hosts(call.tx, "dhcp", network_id))


def l3_agents(call: Call, router_id: str) -> list[Item]:
    """Return the L3 agents that carry a router, those of a redundant one with `ha_state`."""
    redundant = rows.get(call, router.resource, router_id)["ha"]
    found = {row.host: row for row in call.tx.execute(_candidates(router_id))}
    agents = _on(call, "l3", _hosts(call.tx, "l3", router_id))
    for item in agents:
        item["ha_state"] = _ha_state(item, found.get(item["host"])) if redundant else None
    return agents


def _candidates(router_id: str) -> Select[Any]:
    return (
        select(router_candidate.c.host, election.c.active)
        .outerjoin(election, election.c.id == router_candidate.c.election_id)
        .where(router_candidate.c.router_id == router_id)
    )


def _ha_state(item: Item, row: Any) -> str:
    if not item["alive"]:
        return "unknown"
    return "active" if row is not None and row.active == row.host else "standby"


def _on(call: Call, role: str, names: Iterable[str]) -> list[Item]:
    """Return the agents with a role on these hosts, as they are shown."""
    wanted, type_ = set(names), AGENT_TYPES[role]
    return [one for one in agent.listing(call) if one["host"] in wanted and one["agent_type"] == type_]


def _hosts(tx: Tx, role: str, object_id: str) -> set[str]:
    """Return the hosts that carry something, or are about to."""
    wishes = wishes_of(tx, role, [object_id]).get(object_id, Wishes())
    column, place = _PLACED[role]
    return (set(tx.execute(select(place).where(column == object_id)).scalars()) | wishes.on) - wishes.off


def _carried(tx: Tx, role: str, name: str) -> set[str]:
    """Return what a host carries, or is about to."""
    column, place = _PLACED[role]
    found = set(tx.execute(select(column).where(place == name)).scalars())
    wished = select(wish.c.object_id, wish.c.wanted).where(wish.c.role == role, wish.c.host == name)
    for row in tx.execute(wished):
        (found.add if row.wanted else found.discard)(row.object_id)
    return found


_PLACED: dict[str, tuple[ColumnElement[str], ColumnElement[str]]] = {
    "dhcp": (dhcp_server.c.network_id, dhcp_server.c.host),
    "l3": (router_candidate.c.router_id, router_candidate.c.host),
}


def dhcp_networks(call: Call, id_: str) -> list[Item]:
    """Return the networks that a DHCP agent serves."""
    return _shown(call, network.resource, _carried(call.tx, "dhcp", _agent(call, id_, "dhcp").name))


def l3_routers(call: Call, id_: str) -> list[Item]:
    """Return the routers that an L3 agent carries."""
    return _shown(call, router.resource, _carried(call.tx, "l3", _agent(call, id_, "l3").name))


def _shown(call: Call, resource: Resource, ids: Iterable[str]) -> list[Item]:
    """Return objects as lists of their own show them."""
    queries = (Query(filters={"id": list(part)}) for part in rows.chunks(sorted(ids)))
    return [one for query in queries for one in operations.listing(call, resource, query)]


def _agent(call: Call, id_: str, role: str) -> Any:
    """Return the host of an agent that has a role. Raises AgentNotFound."""
    for row in call.tx.execute(select(host)):
        if role in row.roles and agent.agent_id(row.name, role) == id_:
            return row
    raise agent.AgentNotFound(id=shown(id_))


def add_network(call: Call, id_: str, body: Any) -> None:
    """Have a DHCP agent serve a network."""
    row = rows.get(call, network.resource, _named(body, "network_id"), lock=True)
    needed = {row["provider:physical_network"]} - {None}
    name = _able(call, id_, "dhcp", needed, InvalidDHCPAgent)
    if why := subnet_segment.unserved(call, row, subnet.of_network(call, row["id"]), name):
        raise InvalidDHCPAgent(id=id_, reason=why)
    if name in _hosts(call.tx, "dhcp", row["id"]):
        raise NetworkHostedByDHCPAgent(network_id=row["id"], agent_id=id_)
    wish_for(call.tx, "dhcp", row["id"], name, wanted=True)


def remove_network(call: Call, id_: str, network_id: str) -> None:
    """Take a network from a DHCP agent."""
    name = _agent(call, id_, "dhcp").name
    row = rows.get(call, network.resource, network_id, lock=True)
    if name not in _hosts(call.tx, "dhcp", row["id"]):
        raise NetworkNotHostedByDhcpAgent(network_id=row["id"], agent_id=id_)
    wish_for(call.tx, "dhcp", row["id"], name, wanted=False)


def add_router(call: Call, id_: str, body: Any) -> None:
    """Have an L3 agent carry a router; one that is not redundant must be taken from its agent first."""
    row = rows.get(call, router.resource, _named(body, "router_id"), lock=True)
    needed = attachments.of_routers(call.tx, [row["id"]]).get(row["id"], frozenset())
    modes = SNAT_MODES if row["distributed"] else CENTRAL_MODES
    name = _able(call, id_, "l3", needed, InvalidL3Agent, modes)
    wishes = wishes_of(call.tx, "l3", [row["id"]]).get(row["id"], Wishes())
    hosts = _hosts(call.tx, "l3", row["id"])
    if name in wishes.on or (name in hosts and (row["ha"] or not wishes.off)):
        return
    if not row["ha"]:
        if hosts and not wishes.off:
            raise RouterHostedByL3Agent(router_id=row["id"], agent_id=agent.agent_id(min(hosts), "l3"))
        forget_wishes(call.tx, "l3", row["id"])
    wish_for(call.tx, "l3", row["id"], name, wanted=True)


def remove_router(call: Call, id_: str, router_id: str) -> None:
    """Take a router from an L3 agent."""
    name = _agent(call, id_, "l3").name
    row = rows.get(call, router.resource, router_id, lock=True)
    if name not in _hosts(call.tx, "l3", row["id"]):
        raise RouterNotHostedByL3Agent(router_id=row["id"], agent_id=id_)
    wish_for(call.tx, "l3", row["id"], name, wanted=False)


def _named(body: Any, key: str) -> str:
    given = body.get(key) if isinstance(body, dict) else None
    if not isinstance(given, str) or "\0" in given or len(body) > 1:
        raise HTTPBadRequest(msg=f"the body must be {{'{key}': ID}}")
    return given


def _able(
    call: Call,
    id_: str,
    role: str,
    needed: Collection[str],
    error: type[agent.AgentNotFound],
    modes: Collection[str] | None = None,
) -> str:
    """Return the host of an agent that can carry what needs attachments; raise `error` if it cannot."""
    known = next((one for one in agent.listing(call) if one["id"] == id_), None)
    if known is None:
        raise agent.AgentNotFound(id=shown(id_))
    if known["agent_type"] != AGENT_TYPES[role]:
        raise error(id=id_, reason=f"it is no {AGENT_TYPES[role]}")
    if not known["admin_state_up"]:
        raise error(id=id_, reason="it is administratively down")
    if not known["alive"]:
        raise error(id=id_, reason="it is not alive")
    row = _agent(call, id_, role)
    if call.tx.execute(select(drain).where(drain.c.host == row.name)).first() is not None:
        raise error(id=id_, reason=f"{row.name} is to be empty")
    if modes is not None and row.agent_mode not in modes:
        raise error(id=id_, reason=f"agent_mode of {row.name} is {row.agent_mode}")
    there = attachments.of_host(row.physical_networks, attachments.several(call.tx))
    if missing := sorted(set(needed) - there):
        raise error(id=id_, reason=f"{row.name} is not attached to {', '.join(missing)}")
    return str(row.name)


def _deleting_network(call: Call, row: Item) -> None:
    forget_wishes(call.tx, "dhcp", row["id"])


def _deleting_router(call: Call, row: Item) -> None:
    forget_wishes(call.tx, "l3", row["id"])


DECLARES = (
    Extension(
        resource="agent",
        name="scheduling",
        children={
            "dhcp-networks": Child(
                collection="networks", listing=dhcp_networks, add=add_network, remove=remove_network
            ),
            "l3-routers": Child(
                collection="routers", listing=l3_routers, add=add_router, remove=remove_router
            ),
        },
    ),
    Extension(
        resource="network",
        name="scheduling",
        deleting=_deleting_network,
        children={"dhcp-agents": Child(collection="agents", listing=dhcp_agents)},
    ),
    Extension(
        resource="router",
        name="scheduling",
        deleting=_deleting_router,
        children={"l3-agents": Child(collection="agents", listing=l3_agents)},
    ),
    Alias(
        alias="dhcp_agent_scheduler", name="DHCP Agent Scheduler", description="Who serves DHCP for a network"
    ),
    Alias(alias="l3_agent_scheduler", name="L3 Agent Scheduler", description="Who carries a router"),
)
