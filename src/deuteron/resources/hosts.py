"""Hosts, and what is placed on them: tables only, nothing of it is a resource of Neutron's API by itself.

The server writes here what agents report and what placement decides; the plan reads it. Ids of the change log
are the primary keys, joined by "/" where there are two. What refers to a row of another resource is not tied
by a foreign key: placement takes away what lost its object, and says so in the change log.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    insert,
    select,
)

from deuteron.resources.errors import NotFound
from deuteron.store import ID_LENGTH, Json, Tx, metadata

NAME_LENGTH = 255

AGENT_TYPES = {
    "l2": "Linux bridge agent",
    "l3": "L3 agent",
    "dhcp": "DHCP agent",
    "metadata": "Metadata agent",
}
"""What Neutron calls the part of an agent that has a role."""

host = Table(
    "host",
    metadata,
    Column("name", String(NAME_LENGTH), primary_key=True),
    Column("roles", Json, nullable=False),
    Column("vtep", String(45), nullable=False),
    Column("physical_networks", Json, nullable=False),
    Column("zone", String(NAME_LENGTH), nullable=False),
    Column("version", String(64), nullable=False),
    Column("started", Float(53), nullable=False),
    Column("created", Float(53), nullable=False),
    Column("last_seen", Float(53), nullable=False),
    Column("problems", Json, nullable=False),
    Column("agents", Json, nullable=False),
    Column("uplinks", Json, nullable=False, default=list),
    Column("problems_since", Json, nullable=False, default=dict),
    Column("agent_mode", String(16), nullable=False, default="legacy"),
    Column("dvr_mac", String(17), index=True, unique=True),
)
"""Times are Unix times; `problems_since` is when each of the `problems` was told first. `agents` is what the
API set for its agents, by their type: see `AgentSettings`; `uplinks` is which next hops answer it: see
deuteron.plan.units.UplinkReport. `dvr_mac` is what stands for the gateways' MACs of distributed routers when
the host speaks for them on the underlay; it gets one when it first says that it may carry parts of them."""

dhcp_server = Table(
    "dhcp_server",
    metadata,
    Column("network_id", String(ID_LENGTH), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("host", String(NAME_LENGTH), nullable=False),
    Column("port_id", String(ID_LENGTH), nullable=False),
    UniqueConstraint("network_id", "host"),
    UniqueConstraint("port_id"),
)
"""The port belongs to the slot: it keeps its addresses when another host takes the slot over."""

ha_network = Table(
    "ha_network",
    metadata,
    Column("network_id", String(ID_LENGTH), primary_key=True),
    Column("subnet_id", String(ID_LENGTH), nullable=False),
    Column("project_id", String(NAME_LENGTH), nullable=False),
    Column("number", Integer, nullable=False),
    UniqueConstraint("project_id", "number"),
)
"""The hidden networks of elections: a project's, or with project "" the cloud's.

The next number is made when all VRIDs of one are in use.
"""

ha_port = Table(
    "ha_port",
    metadata,
    Column("network_id", String(ID_LENGTH), primary_key=True),
    Column("host", String(NAME_LENGTH), primary_key=True),
    Column("port_id", String(ID_LENGTH), nullable=False),
)
"""The port of a host on an HA network: the heartbeat of all its elections there travels by it."""

election = Table(
    "election",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("ha_network_id", String(ID_LENGTH), nullable=False),
    Column("vrid", Integer, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("advert_ms", Integer, nullable=False),
    Column("created", Float(53), nullable=False),
    Column("active", String(NAME_LENGTH)),
    Column("epoch", Integer, nullable=False),
    Column("since", Float(53)),
    Column("joined", Boolean, nullable=False),
    Column("retired", Float(53)),
    UniqueConstraint("ha_network_id", "vrid"),
)
"""`active` is the host promoted last, `epoch` counts the promotions. The first candidate begins alone; the
others have `joined` when it is active, or was not in time. One that no router needs is `retired` a while
before its VRID is free again, so that no host holds two elections with one VRID."""

election_member = Table(
    "election_member",
    metadata,
    Column("election_id", String(ID_LENGTH), primary_key=True),
    Column("host", String(NAME_LENGTH), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("since", Float(53), nullable=False),
    Column("cause", Text, nullable=False),
    Column("heard", Float(53), nullable=False),
    Column("contested", Float(53)),
    Column("reaches", Integer),
    Column("yields_to", String(NAME_LENGTH)),
)
"""What each candidate said of itself last; `since` is by its own clock, `heard` by the server's.

When several say that they are active, each tells how many hosts it `reaches`; `contested` says in which
contest. One that `yields_to` another one takes no part until it has heard that one, or that one is gone."""

incident = Table(
    "incident",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("election_id", String(ID_LENGTH), nullable=False, index=True),
    Column("hosts", Json, nullable=False),
    Column("routers", Json, nullable=False),
    Column("began", Float(53), nullable=False),
    Column("ended", Float(53)),
    Column("stays", String(NAME_LENGTH), nullable=False),
    Column("cause", Text, nullable=False),
)
"""Several `hosts` were active in an election at once; `stays` is the one that remained. `ended` is NULL while
it lasts."""

router_candidate = Table(
    "router_candidate",
    metadata,
    Column("router_id", String(ID_LENGTH), primary_key=True),
    Column("host", String(NAME_LENGTH), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("gate", String(16), nullable=False),
    Column("election_id", String(ID_LENGTH), index=True),
    Column("draining", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("applied", Integer, nullable=False),
    Column("copying", Boolean, nullable=False, default=False),
)
"""`version` goes up with each change that the host must follow, `applied` is the one that it has followed.

One that was built to take over is `copying` as long as it is told the connections that are open elsewhere.
"""

router_move = Table(
    "router_move",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("router_id", String(ID_LENGTH), nullable=False, index=True),
    Column("running", String(ID_LENGTH), unique=True),
    Column("source", String(NAME_LENGTH)),
    Column("candidates", Json, nullable=False),
    Column("previous", Json, nullable=False),
    Column("election_id", String(ID_LENGTH)),
    Column("phase", String(16), nullable=False),
    Column("phase_since", Float(53), nullable=False),
    Column("steps", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("purpose", String(300), nullable=False),
)
"""A router on its way to other candidates; `running` is its id until it has ended: one at a time.

`candidates` are the hosts that it goes to, the first one to be active; `previous` is what to go back to, host
-> [position, gate, election]. `purpose` is what it is a part of: "drain/HOST", "rebalance/ID", or "". Phases:
see deuteron.placement.moves.
"""

router_history = Table(
    "router_history",
    metadata,
    Column("router_id", String(ID_LENGTH), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
    Column("from_host", String(NAME_LENGTH)),
    Column("to_host", String(NAME_LENGTH), nullable=False),
    Column("cause", Text, nullable=False),
    Column("gap_ms", Float(53)),
)
"""Each time that another host became the active one of a router, and why; `gap_ms` is how long nobody was, as
far as it is known."""

wish = Table(
    "wish",
    metadata,
    Column("role", String(16), primary_key=True),
    Column("object_id", String(ID_LENGTH), primary_key=True),
    Column("host", String(NAME_LENGTH), primary_key=True),
    Column("wanted", Boolean, nullable=False),
)
"""What an administrator placed by hand: a network ("dhcp") or router ("l3") is to be on a host, or not to."""

drain = Table(
    "drain",
    metadata,
    Column("host", String(NAME_LENGTH), primary_key=True),
    Column("requested", Float(53), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Float(53), nullable=False),
)
"""Hosts that are to be empty until somebody says otherwise. `state` is what was told of it last, and `since`
when: "draining", "drained", or "stuck"."""

shortfall = Table(
    "shortfall",
    metadata,
    Column("role", String(16), primary_key=True),
    Column("object_id", String(NAME_LENGTH), primary_key=True),
    Column("since", Float(53), nullable=False),
    Column("text", Text, nullable=False),
)
"""Hosts ("host") that are dead; routers ("l3") and networks ("dhcp") that lost one and are on fewer living
hosts than they should be. `since` is when the dead host was heard last."""

rebalance = Table(
    "rebalance",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("running", Boolean, nullable=False),
    Column("requested", Float(53), nullable=False),
    Column("moves_left", Integer),
    Column("ended", Float(53)),
    Column("outcome", Text, nullable=False),
)
"""A request to spread the active routers equally; `moves_left` is NULL where there is no limit."""

event = Table(
    "event",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Float(53), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject_kind", String(32), nullable=False),
    Column("subject_id", String(NAME_LENGTH), nullable=False),
    Column("subject_name", String(NAME_LENGTH), nullable=False),
    Column("host", String(NAME_LENGTH)),
    Column("text", Text, nullable=False),
    Column("data", Json, nullable=False),
    sqlite_autoincrement=True,
)
"""What happened, in words and as data: see deuteron.placement.events."""

instance_metadata = Table(
    "instance_metadata",
    metadata,
    Column("device_id", String(255), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("user_data", Text),
    Column("public_keys", Json, nullable=False),
    Column("metadata", Json, nullable=False),
)


DVR_MODES = frozenset({"dvr", "dvr_snat", "dvr_no_external"})
"""Agent modes of hosts that carry distributed parts of routers."""
CENTRAL_MODES = frozenset({"legacy", "dvr_snat"})
"""Agent modes of hosts that carry central parts of routers."""
SNAT_MODES = frozenset({"dvr_snat"})
"""Agent modes of hosts that carry central parts of routers that have distributed parts."""


class HostNotFound(NotFound):
    """`host`, `known`."""

    message = "There is no host {host} (there are: {known})."


class AgentSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the API may set of an agent."""

    admin_state_up: bool = True
    description: str | None = None


def agent_settings(row: Any, agent_type: str) -> AgentSettings:
    """Return what was set of an agent of a host's row."""
    return msgspec.convert(row.agents.get(agent_type, {}), AgentSettings)


def candidate_changed(tx: Tx, router_id: str, host_name: str) -> None:
    """Say that a router's candidate changed."""
    tx.changed("router_candidate", f"{router_id}/{host_name}", "update")


def dhcp_server_changed(tx: Tx, network_id: str, slot: int) -> None:
    """Say that the DHCP server in a slot changed."""
    tx.changed("dhcp_server", f"{network_id}/{slot}", "update")


class Wishes(msgspec.Struct, frozen=True):
    """On which hosts something was placed by hand, and from which it was taken."""

    on: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()


def wishes_of(tx: Tx, role: str, ids: Collection[str] | None) -> dict[str, Wishes]:
    """Return the wishes about networks ("dhcp") or routers ("l3") that have any; about all if None."""
    statement = select(wish).where(wish.c.role == role)
    found: dict[str, dict[bool, set[str]]] = defaultdict(lambda: {True: set(), False: set()})
    for row in tx.execute(statement if ids is None else statement.where(wish.c.object_id.in_(ids))):
        found[row.object_id][row.wanted].add(row.host)
    return {id_: Wishes(frozenset(one[True]), frozenset(one[False])) for id_, one in found.items()}


def wish_for(tx: Tx, role: str, object_id: str, host_name: str, *, wanted: bool) -> None:
    """Note a wish, in place of a former one about the same host."""
    mine = {"role": role, "object_id": object_id, "host": host_name}
    tx.execute(delete(wish).filter_by(**mine))
    tx.execute(insert(wish).values(**mine, wanted=wanted))
    tx.changed("wish", f"{role}/{object_id}", "update")


def forget_wishes(tx: Tx, role: str, object_id: str, **which: Any) -> None:
    """Forget wishes about an object: all, or those with this `host` or `wanted`."""
    tx.execute(delete(wish).filter_by(role=role, object_id=object_id, **which))
    tx.changed("wish", f"{role}/{object_id}", "delete")
