"""HA networks, their ports, and elections on them.

Elections are few: one for each ordered list of candidates. One that exists is used again if the host that is
wanted is the active one there; nobody is ever preempted, so otherwise there will be a new one.
"""

import time
import uuid
from collections.abc import Sequence

import msgspec
from sqlalchemy import delete, func, insert, select, update

from deuteron.resources import network, operations, owners, port, rows, subnet
from deuteron.resources.call import Call
from deuteron.resources.hosts import (
    election,
    election_member,
    ha_network,
    ha_port,
    router_candidate,
    router_move,
)
from deuteron.store import Tx

VRIDS = range(1, 255)
IDLE_SECONDS = 10.0
RETIRED_SECONDS = 60.0


def election_for(call: Call, candidates: Sequence[str]) -> str:
    """Return the id of an election with these candidates that has, or will have, the first one active."""
    tx = call.tx
    for row in tx.execute(select(election).where(election.c.retired.is_(None)).order_by(election.c.created)):
        if row.candidates == list(candidates) and row.active in (None, candidates[0]):
            return str(row.id)
    network_id, vrid = _free_vrid(call)
    for name in candidates:
        _port_on(call, network_id, name)
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
    tx.execute(insert(election).values(values))
    tx.changed("election", id_, "create")
    return id_


class Chores(msgspec.Struct, frozen=True):
    """What is to be done about elections, by their ids; `ports` are (HA network, host) without a port."""

    late: Sequence[str]
    """The first candidate was not active in time: let the others join."""
    idle: Sequence[str]
    """No router needs them any more."""
    over: Sequence[str]
    """Retired for so long that they can be forgotten."""
    ports: Sequence[tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.late or self.idle or self.over or self.ports)


def chores(tx: Tx, now: float) -> Chores:
    """Return what is to be done about elections."""
    used = select(router_candidate.c.election_id).where(router_candidate.c.election_id.is_not(None))
    moving = select(router_move.c.election_id).where(
        router_move.c.running.is_not(None), router_move.c.election_id.is_not(None)
    )
    standing = select(election.c.id).where(election.c.retired.is_(None))
    old = standing.where(election.c.created < now - IDLE_SECONDS)
    idle = old.where(election.c.id.not_in(used), election.c.id.not_in(moving))
    over = select(election.c.id).where(election.c.retired < now - RETIRED_SECONDS)
    there = select(port.resource.table.c.id)
    lost = select(ha_port.c.network_id, ha_port.c.host).where(ha_port.c.port_id.not_in(there))
    return Chores(
        late=list(tx.execute(old.where(election.c.joined.is_(False))).scalars()),
        idle=list(tx.execute(idle).scalars()),
        over=list(tx.execute(over).scalars()),
        ports=[(row.network_id, row.host) for row in tx.execute(lost)],
    )


def do_chores(call: Call, now: float) -> None:
    """Do what is to be done about elections."""
    tx, found = call.tx, chores(call.tx, now)
    for ids, values in ((found.late, {"joined": True}), (found.idle, {"retired": now})):
        for id_ in ids:
            tx.execute(update(election).where(election.c.id == id_).values(values))
            tx.changed("election", id_, "update")
    for id_ in found.over:
        tx.execute(delete(election_member).where(election_member.c.election_id == id_))
        tx.execute(delete(election).where(election.c.id == id_))
        tx.changed("election", id_, "delete")
    for network_id, name in found.ports:
        _port_on(call, network_id, name)


def _free_vrid(call: Call) -> tuple[str, int]:
    """Return an HA network and its lowest free VRID; make another HA network when all are in use."""
    for row in call.tx.execute(select(ha_network).order_by(ha_network.c.number)):
        here = select(election.c.vrid).where(election.c.ha_network_id == row.network_id)
        taken = set(call.tx.execute(here).scalars())
        free = next((vrid for vrid in VRIDS if vrid not in taken), None)
        if free is not None:
            return row.network_id, free
    return _create_network(call), VRIDS[0]


def _create_network(call: Call) -> str:
    body = {"name": "HA network tenant ", "project_id": "", network.TYPE: "vxlan"}
    made = operations.create(call, network.resource, body)
    inside = operations.create(
        call,
        subnet.resource,
        {
            "name": "HA subnet tenant ",
            "project_id": "",
            "network_id": made["id"],
            "ip_version": 4,
            "cidr": call.settings.l3_ha_net_cidr,
            "gateway_ip": None,
            "enable_dhcp": False,
        },
    )
    last = call.tx.execute(select(func.max(ha_network.c.number))).scalar()
    values = {"network_id": made["id"], "subnet_id": inside["id"], "number": (last or 0) + 1}
    call.tx.execute(insert(ha_network).values(values))
    return str(made["id"])


def _port_on(call: Call, network_id: str, name: str) -> None:
    """Make sure that a host has its port on an HA network."""
    mine = (ha_port.c.network_id == network_id, ha_port.c.host == name)
    found = call.tx.execute(select(ha_port).where(*mine)).first()
    if found is not None:
        if rows.find(call, port.resource, found.port_id):
            return
        call.tx.execute(delete(ha_port).where(*mine))
    body = {
        "name": "HA port tenant ",
        "project_id": "",
        "network_id": network_id,
        "device_owner": owners.HA_PORT,
        "device_id": f"ha-{name}",
        port.HOST: name,
    }
    made = port.add(call, body)
    call.tx.execute(insert(ha_port).values(network_id=network_id, host=name, port_id=made["id"]))
