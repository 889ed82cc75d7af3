"""HA networks, their ports, and elections on them.

Elections are few: one for each ordered list of candidates. One that exists is used again if the host that is
wanted is the active one there; nobody is ever preempted, so otherwise there will be a new one.
"""

import time
import uuid
from collections.abc import Sequence

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
    }
    tx.execute(insert(election).values(values))
    tx.changed("election", id_, "create")
    return id_


def unused(tx: Tx, now: float) -> tuple[list[str], list[str]]:
    """Return the elections that no router needs any more, and those retired long enough to be forgotten."""
    used = select(router_candidate.c.election_id).where(router_candidate.c.election_id.is_not(None))
    moving = select(router_move.c.election_id).where(
        router_move.c.running.is_not(None), router_move.c.election_id.is_not(None)
    )
    idle = select(election.c.id).where(
        election.c.id.not_in(used),
        election.c.id.not_in(moving),
        election.c.retired.is_(None),
        election.c.created < now - IDLE_SECONDS,
    )
    over = select(election.c.id).where(election.c.retired < now - RETIRED_SECONDS)
    return list(tx.execute(idle).scalars()), list(tx.execute(over).scalars())


def retire(tx: Tx, now: float) -> None:
    """Take elections that no router needs away from the hosts, and later free their VRIDs."""
    idle, over = unused(tx, now)
    for id_ in idle:
        tx.execute(update(election).where(election.c.id == id_).values(retired=now))
        tx.changed("election", id_, "update")
    for id_ in over:
        tx.execute(delete(election_member).where(election_member.c.election_id == id_))
        tx.execute(delete(election).where(election.c.id == id_))
        tx.changed("election", id_, "delete")


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
