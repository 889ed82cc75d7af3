"""Where the heartbeat of a router travels, and what it shares its fate with. Times are Unix times."""

from typing import Any

import msgspec
from sqlalchemy import func, select

from deuteron.insight.picture import Election, Host, Picture, Router, look
from deuteron.plan.compute import priority
from deuteron.resources import network, port, router, rows
from deuteron.resources.call import Call
from deuteron.resources.hosts import ha_network, ha_port, router_candidate
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.types import shown
from deuteron.store import Tx

MISSED = 3
"""Adverts that are missing when a standby takes over."""
SHARED_FATE = (
    "it travels in a VXLAN on the same underlay as the tenants' traffic: what cuts the one cuts the other. "
    "It does not depend on the external and the management network."
)
SECOND_PATH = (
    "each host also reports to the server over the management network, by which a host that is dead is told "
    "from one whose heartbeat is cut. No failover waits for that."
)


class Speaker(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate, and where its heartbeat comes from."""

    host: str
    vtep: str
    """Its address on the underlay."""
    address: str
    """Its address on the HA network, "" if it has none yet."""
    mac: str
    priority: int
    state: str
    """What it said of itself last: "active", "standby", "fault", "" for nothing."""
    since: float | None
    cause: str
    alive: bool
    last_seen_seconds: float | None
    """How long ago it reported to the server."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The heartbeat that decides on which host a redundant router is active."""

    ha_network_id: str
    project_id: str
    """Whose HA network it is; "" is the cloud's."""
    vni: int | None
    mtu: int
    namespace: str
    """On each candidate."""
    device: str
    """In that namespace."""
    election_id: str
    vrid: int
    advert_ms: int
    takeover_ms: float
    """How long after the last advert the first standby is active."""
    riding: int
    """Routers that ride on this election."""
    speakers: list[Speaker]
    shared_fate: str = SHARED_FATE
    second_path: str = SECOND_PATH


class HeartbeatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a router is active, and its heartbeat; a router that is not redundant has none."""

    id: str
    name: str
    active: str | None
    since: float | None
    now: float
    heartbeat: Heartbeat | None


def of_router(call: Call, router_id: str) -> HeartbeatAnswer:
    """Return where the heartbeat of a router travels. Raises RouterNotFound."""
    row = rows.get(call, router.resource, shown(router_id))
    picture = look(call)
    one = next(found for found in picture.routers if found.id == row["id"])
    standing = _election(picture, one)
    return HeartbeatAnswer(
        id=one.id,
        name=one.name,
        active=one.active,
        since=one.since,
        now=picture.now,
        heartbeat=None if standing is None else _heartbeat(call.tx, picture, standing),
    )


def _election(picture: Picture, one: Router) -> Election | None:
    """Return the election that a router rides on; while it moves, that of the host that is active."""
    ordered = sorted(one.candidates, key=lambda candidate: candidate.host != one.active)
    found = (picture.elections.get(candidate.election or "") for candidate in ordered)
    return next((each for each in found if each), None)


def _heartbeat(tx: Tx, picture: Picture, standing: Election) -> Heartbeat:
    id_ = standing.ha_network_id
    c = network.resource.table.c
    net = tx.execute(select(c.mtu, c.provider_segmentation_id).where(c.id == id_)).one()
    project = select(ha_network.c.project_id).where(ha_network.c.network_id == id_)
    riding = select(func.count(router_candidate.c.router_id.distinct())).where(
        router_candidate.c.election_id == standing.id
    )
    skew = (256 - _priority(standing, min(1, len(standing.candidates) - 1))) / 256
    return Heartbeat(
        ha_network_id=id_,
        project_id=tx.execute(project).scalar_one(),
        vni=net.provider_segmentation_id,
        mtu=net.mtu,
        namespace=f"qha-{id_}",
        device=f"ha-{id_[:11]}",
        election_id=standing.id,
        vrid=standing.vrid,
        advert_ms=standing.advert_ms,
        takeover_ms=round((MISSED + skew) * standing.advert_ms, 1),
        riding=tx.execute(riding).scalar_one(),
        speakers=_speakers(tx, picture, standing),
    )


def _priority(standing: Election, position: int) -> int:
    return priority(position, len(standing.candidates))


def _speakers(tx: Tx, picture: Picture, standing: Election) -> list[Speaker]:
    ports = {row.host: row for row in _ports(tx, standing.ha_network_id)}
    found = []
    for position, name in enumerate(standing.candidates):
        known: Host | None = picture.hosts.get(name)
        said, mine = standing.members.get(name), ports.get(name)
        found.append(
            Speaker(
                host=name,
                vtep=known.vtep if known else "",
                address=mine.ip_address if mine else "",
                mac=mine.mac_address if mine else "",
                priority=_priority(standing, position),
                state=said.state if said else "",
                since=said.since if said else None,
                cause=said.cause if said else "",
                alive=known is not None and known.alive,
                last_seen_seconds=round(picture.now - known.last_seen, 3) if known else None,
            )
        )
    return found


def _ports(tx: Tx, network_id: str) -> list[Any]:
    ports = port.resource.table
    joined = (
        select(ha_port.c.host, ports.c.mac_address, fixed_ip.c.ip_address)
        .join(ports, ports.c.id == ha_port.c.port_id)
        .join(fixed_ip, fixed_ip.c.port_id == ports.c.id)
    )
    return list(tx.execute(joined.where(ha_port.c.network_id == network_id)))
