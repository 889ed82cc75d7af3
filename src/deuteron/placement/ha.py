"""HA networks, the ports by which heartbeats travel, and elections.

Elections are few: one for each ordered list of candidates on an HA network. One that exists is used again if
the host that is wanted is the active one there; nobody is ever preempted, so otherwise there will be a new
one. An HA network is the cloud's, or a project's: see `_scope`. It is made with the first election on it, and
goes when no election needs it any more.
"""

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import and_, delete, insert, or_, select, update

from deuteron.resources import network, operations, owners, port, router, rows, subnet
from deuteron.resources.call import Call
from deuteron.resources.hosts import (
    NAME_LENGTH,
    election,
    election_member,
    ha_network,
    ha_port,
    host,
    router_candidate,
    router_move,
)
from deuteron.store import Tx

VRIDS = range(1, 255)
IDLE_SECONDS = 10.0
RETIRED_SECONDS = 60.0
UNUSED_SECONDS = 5.0
"""An HA network is kept so long after its last election has ended, for the hosts to end it first."""


def election_for(call: Call, router_id: str, candidates: Sequence[str]) -> str:
    """Return the id of an election for a router: the first of the candidates is or will be active in it."""
    tx, project_id = call.tx, _scope(call, router_id)
    mine = select(ha_network).where(ha_network.c.project_id == project_id)
    networks = tx.execute(mine.order_by(ha_network.c.number).with_for_update()).all()
    taken: dict[str, set[int]] = {row.network_id: set() for row in networks}
    there = select(election).where(election.c.ha_network_id.in_(taken)).order_by(election.c.created)
    for row in tx.execute(there):
        fits = row.candidates == list(candidates) and row.active in (None, candidates[0])
        if fits and row.retired is None:
            return str(row.id)
        taken[row.ha_network_id].add(row.vrid)
    network_id, vrid = free_vrid(taken)
    if network_id is None:
        network_id = _create_network(call, project_id, max((row.number for row in networks), default=0) + 1)
    for name in candidates:
        _heartbeat_on(call, network_id, name)
    return _create(call, network_id, vrid, candidates)


def _scope(call: Call, router_id: str) -> str:
    """Return the project on whose HA network a router's elections are; "" is the cloud's.

    A router that is in an election already stays where it is, whatever the setting says now.
    """
    riding = (
        select(ha_network.c.project_id)
        .join(election, election.c.ha_network_id == ha_network.c.network_id)
        .join(router_candidate, router_candidate.c.election_id == election.c.id)
        .where(router_candidate.c.router_id == router_id)
    )
    found = call.tx.execute(riding.limit(1)).scalar()
    if found is not None:
        return str(found)
    if call.settings.ha_network_scope == "cloud":
        return ""
    return str(rows.get(call, router.resource, router_id)["project_id"])


def free_vrid(taken: Mapping[str, Collection[int]]) -> tuple[str | None, int]:
    """Return the first HA network that has a free VRID, and its lowest one; (None, 1) if all are in use."""
    for network_id, vrids in taken.items():
        for vrid in VRIDS:
            if vrid not in vrids:
                return network_id, vrid
    return None, VRIDS[0]


def _create(call: Call, network_id: str, vrid: int, candidates: Sequence[str]) -> str:
    id_ = str(uuid.uuid4())
    values = {
        "id": id_,
        "ha_network_id": network_id,
        "vrid": vrid,
        "candidates": list(candidates),
        "advert_ms": call.settings.ha_vrrp_advert_ms,
        "created": time.time(),
        "epoch": 0,
        "joined": len(candidates) == 1,
    }
    call.tx.execute(insert(election).values(values))
    call.tx.changed("election", id_, "create")
    return id_


class Chores(msgspec.Struct, frozen=True):
    """What is to be done about elections and HA networks, by their ids; hosts are (HA network, host)."""

    late: Sequence[str]
    """The first candidate was not active in time: let the others join."""
    idle: Sequence[str]
    """No router needs them any more."""
    over: Sequence[str]
    """Retired for so long that they can be forgotten."""
    networks: Sequence[str]
    """HA networks that no election needs any more."""
    missing: Sequence[tuple[str, str]]
    """Hosts that a heartbeat needs a port for."""
    unused: Sequence[tuple[str, str]]
    """Hosts that have a port by which no heartbeat travels any more."""

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in self.__struct_fields__)


def chores(tx: Tx, now: float) -> Chores:
    """Return what is to be done about elections and HA networks."""
    used = select(router_candidate.c.election_id).where(router_candidate.c.election_id.is_not(None))
    standing = select(election.c.id).where(election.c.retired.is_(None))
    old = standing.where(election.c.created < now - IDLE_SECONDS)
    idle = old.where(election.c.id.not_in(used), election.c.id.not_in(_of_moves(tx, now)))
    over = select(election.c.id).where(election.c.retired < now - RETIRED_SECONDS)
    wanted, kept, present = _heartbeats(tx)
    return Chores(
        late=list(tx.execute(old.where(election.c.joined.is_(False))).scalars()),
        idle=list(tx.execute(idle).scalars()),
        over=list(tx.execute(over).scalars()),
        networks=list(tx.execute(_unused_networks(now)).scalars()),
        missing=sorted(wanted - {at for at, there in present.items() if there}),
        unused=sorted(present.keys() - kept),
    )


def _of_moves(tx: Tx, now: float) -> set[str]:
    """Return the elections that routers go to just now, and those that they leave.

    As long as a host has not followed it may still ride on the one that is left (after a failed move: on the
    one that was gone to), and would take over there when another host has ended it. Who has not
    IDLE_SECONDS after the move is dead, or was replaced.
    """
    following = select(router_candidate.c.router_id).where(
        router_candidate.c.applied < router_candidate.c.version
    )
    late = and_(router_move.c.router_id.in_(following), router_move.c.phase_since >= now - IDLE_SECONDS)
    under_way = or_(router_move.c.running.is_not(None), late)
    found: set[str] = set()
    for row in tx.execute(select(router_move).where(under_way)):
        left = {id_ for _, _, id_ in row.previous.values()}
        found |= {id_ for id_ in (row.election_id, *left) if id_ is not None}
    return found


def _heartbeats(tx: Tx) -> tuple[set[tuple[str, str]], set[tuple[str, str]], dict[tuple[str, str], bool]]:
    """Return where heartbeats need ports, where they may have some, and where they have (and it exists)."""
    hosts = set(tx.execute(select(host.c.name)).scalars())
    wanted, kept = set(), set()
    for row in tx.execute(select(election.c.ha_network_id, election.c.candidates, election.c.retired)):
        places = {(row.ha_network_id, name) for name in row.candidates}
        kept |= places
        if row.retired is None:
            wanted |= {place for place in places if place[1] in hosts}
    table = port.resource.table
    joined = select(ha_port.c.network_id, ha_port.c.host, table.c.id).outerjoin(
        table, table.c.id == ha_port.c.port_id
    )
    return wanted, kept, {(row.network_id, row.host): row.id is not None for row in tx.execute(joined)}


def _unused_networks(now: float) -> Any:
    """Select the HA networks whose elections ended, and on which there are no ports but the heartbeats'."""
    ports = port.resource.table
    recent = or_(election.c.retired.is_(None), election.c.retired >= now - UNUSED_SECONDS)
    needed = select(election.c.ha_network_id).where(recent)
    others = select(ports.c.network_id).where(
        ports.c.network_id.in_(select(ha_network.c.network_id)), ports.c.device_owner != owners.HEARTBEAT
    )
    return select(ha_network.c.network_id).where(
        ha_network.c.network_id.not_in(needed), ha_network.c.network_id.not_in(others)
    )


def do_chores(call: Call, now: float) -> None:
    """Do what is to be done about elections and HA networks."""
    tx, found = call.tx, chores(call.tx, now)
    for ids, values in ((found.late, {"joined": True}), (found.idle, {"retired": now})):
        for id_ in ids:
            tx.execute(update(election).where(election.c.id == id_).values(values))
            tx.changed("election", id_, "update")
    for id_ in found.over:
        _forget(tx, id_)
    for network_id, name in found.unused:
        _remove_heartbeat(call, network_id, name)
    for network_id, name in found.missing:
        _heartbeat_on(call, network_id, name)
    for network_id in found.networks:
        _remove_network(call, network_id)


def _forget(tx: Tx, election_id: str) -> None:
    tx.execute(delete(election_member).where(election_member.c.election_id == election_id))
    tx.execute(delete(election).where(election.c.id == election_id))
    tx.changed("election", election_id, "delete")


def _create_network(call: Call, project_id: str, number: int) -> str:
    """Create an HA network. Who loses against another controller that does so tries again, and finds it."""
    name = f"HA network tenant {project_id}".rstrip()[:NAME_LENGTH]
    made = operations.create(call, network.resource, {"name": name, "project_id": "", network.TYPE: "vxlan"})
    inside = operations.create(
        call,
        subnet.resource,
        {
            "name": f"HA subnet tenant {project_id}".rstrip()[:NAME_LENGTH],
            "project_id": "",
            "network_id": made["id"],
            "ip_version": 4,
            "cidr": call.settings.l3_ha_net_cidr,
            "gateway_ip": None,
            "enable_dhcp": False,
        },
    )
    values = {
        "network_id": made["id"],
        "subnet_id": inside["id"],
        "project_id": project_id,
        "number": number,
    }
    call.tx.execute(insert(ha_network).values(values))
    return str(made["id"])


def _remove_network(call: Call, network_id: str) -> None:
    """Remove an HA network with all that is left on it: ended elections and their heartbeats' ports."""
    tx = call.tx
    for id_ in (
        tx.execute(select(election.c.id).where(election.c.ha_network_id == network_id)).scalars().all()
    ):
        _forget(tx, id_)
    for name in tx.execute(select(ha_port.c.host).where(ha_port.c.network_id == network_id)).scalars().all():
        _remove_heartbeat(call, network_id, name)
    tx.execute(delete(ha_network).where(ha_network.c.network_id == network_id))
    if rows.find(call, network.resource, network_id, lock=True):
        operations.delete(call, network.resource, network_id)


def _heartbeat_on(call: Call, network_id: str, name: str) -> None:
    """Make sure that a host has its port on an HA network."""
    mine = (ha_port.c.network_id == network_id, ha_port.c.host == name)
    found = call.tx.execute(select(ha_port).where(*mine)).first()
    if found is not None:
        if rows.find(call, port.resource, found.port_id):
            return
        call.tx.execute(delete(ha_port).where(*mine))
    body = {
        "name": f"HA heartbeat {name}"[:NAME_LENGTH],
        "project_id": "",
        "network_id": network_id,
        "device_owner": owners.HEARTBEAT,
        "device_id": f"ha-{name}"[:NAME_LENGTH],
        port.HOST: name,
    }
    made = port.add(call, body)
    call.tx.execute(insert(ha_port).values(network_id=network_id, host=name, port_id=made["id"]))


def _remove_heartbeat(call: Call, network_id: str, name: str) -> None:
    mine = (ha_port.c.network_id == network_id, ha_port.c.host == name)
    port_id = call.tx.execute(select(ha_port.c.port_id).where(*mine)).scalar_one()
    call.tx.execute(delete(ha_port).where(*mine))
    rows.remove(call, port.resource, port_id)
