"""The whole at one moment, as plain data: what pages that only read are made of. Times are Unix times."""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from deuteron.placement import dhcp, moves
from deuteron.resources import attachments, network, owners, port, router
from deuteron.resources.agent import is_alive
from deuteron.resources.call import Call
from deuteron.resources.distribution import Rung
from deuteron.resources.hosts import (
    AGENT_TYPES,
    CENTRAL_MODES,
    DVR_MODES,
    SNAT_MODES,
    agent_settings,
    drain,
    election,
    election_member,
    host,
    incident,
    router_candidate,
    router_history,
    router_move,
    shortfall,
)
from deuteron.store import Tx

MAX_INCIDENTS = 20
"""Of those that have been, the newest."""


class Uplink(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a next hop of routers' gateways answers a host."""

    network: str
    address: str
    ok: bool
    since: float


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host."""

    name: str
    alive: bool
    last_seen: float
    roles: frozenset[str] = frozenset({"dhcp", "l2", "l3", "metadata"})
    zone: str = "nova"
    agent_mode: str = "legacy"
    vtep: str = ""
    physical_networks: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    """Those of networks of several that it is on, as routers need them."""
    started: float = 0.0
    version: str = ""
    problems: Mapping[str, str] = {}
    problems_since: Mapping[str, float] = {}
    disabled: frozenset[str] = frozenset()
    """Roles that an administrator took from it."""
    drain: str = ""
    """"draining", "drained" or "stuck"; "" when nobody asked for it."""
    drain_since: float | None = None
    uplinks: Sequence[Uplink] = ()


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate said of itself last; `since` is by its own clock, `heard` by the server's."""

    state: str
    since: float
    cause: str
    heard: float
    yields_to: str | None = None
    """Another one stays active although it may not be heard here."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Several hosts were active in an election at once, or are while it has no end."""

    id: str
    hosts: Sequence[str]
    routers: Sequence[str]
    began: float
    ended: float | None
    stays: str
    cause: str


class Election(msgspec.Struct, frozen=True, kw_only=True):
    """Who of an ordered list of hosts is active."""

    id: str
    ha_network_id: str
    vrid: int
    candidates: Sequence[str]
    active: str | None
    epoch: int = 0
    since: float | None = None
    advert_ms: int = 20
    members: Mapping[str, Member] = {}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A host that carries a twin of a router."""

    host: str
    election: str | None = None
    built: bool = True
    """Whether its agent has done what was asked of it last."""


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """A router and its candidates."""

    id: str
    name: str
    ha: bool
    up: bool = True
    candidates: Sequence[Candidate] = ()
    active: str | None = None
    since: float | None = None
    """When it became active there."""
    moving_to: str | None = None
    attached: frozenset[str] = frozenset()
    """To what its hosts must be attached: physical networks, and segments."""
    external: str | None = None
    """The network of its gateway."""
    short_since: float | None = None
    """Since when it has been on fewer hosts than it should be."""
    distributed: bool = False
    central: bool = True
    """Whether it has a central part: a distributed one without a gateway has none."""
    unrouted: Sequence[str] = ()
    """Hosts with instances on its networks that cannot carry the distributed part that they need."""

    @property
    def label(self) -> str:
        """What it is called."""
        return self.name or self.id

    @property
    def modes(self) -> frozenset[str]:
        """Agent modes of the hosts that may carry its central part."""
        return SNAT_MODES if self.distributed else CENTRAL_MODES


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A network that is served by DHCP, or one segment of a network that is routed outside the cloud."""

    id: str
    name: str
    segment: str = ""
    servers: Sequence[str] = ()
    elsewhere: frozenset[str] = frozenset()
    """Hosts that do not reach it."""
    short_since: float | None = None

    @property
    def label(self) -> str:
        """What it is called."""
        name = self.name or self.id
        return f"{name} ({self.segment})" if self.segment else name


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The whole."""

    now: float
    hosts: Mapping[str, Host]
    elections: Mapping[str, Election] = {}
    routers: Sequence[Router] = ()
    networks: Sequence[Network] = ()
    incidents: Sequence[Incident] = ()
    """The newest first."""
    instance_ports: Mapping[str, int] = {}
    """How many ports of instances are bound to a host."""
    down_after: float = 10.0
    """Seconds of silence after which a host is dead."""
    routers_on: int = 3
    """Candidates that a redundant router should have; 0 for all hosts."""
    networks_on: int = 2
    """DHCP servers that a network should have."""

    def able_to_serve(self, network: Network) -> list[Host]:
        """Return the hosts that may serve a network by DHCP, alive or not."""
        return [one for one in self.able("dhcp") if one.name not in network.elsewhere]

    def able(
        self, role: str, attached: Collection[str] = (), modes: Collection[str] | None = None
    ) -> list[Host]:
        """Return the hosts that may carry something, alive or not, but for those an administrator empties."""
        return [
            one
            for one in self.hosts.values()
            if role in one.roles
            and role not in one.disabled
            and not one.drain
            and (one.physical_networks | one.segments).issuperset(attached)
            and (modes is None or one.agent_mode in modes)
        ]


def look(call: Call) -> Picture:
    """Return the whole as it is now."""
    tx, settings = call.tx, call.settings
    elections, hosts = _elections(tx), _hosts(call)
    return Picture(
        now=time.time(),
        hosts=hosts,
        elections=elections,
        routers=_routers(tx, elections, _unrouted(tx)),
        networks=_networks(tx, {name: one.physical_networks for name, one in hosts.items()}),
        incidents=_incidents(tx),
        instance_ports=_instance_ports(tx),
        down_after=settings.agent_down_time,
        routers_on=settings.max_l3_agents_per_router,
        networks_on=settings.dhcp_agents_per_network,
    )


def _hosts(call: Call) -> dict[str, Host]:
    drains = {row.host: row for row in call.tx.execute(select(drain))}
    several = attachments.several(call.tx)
    return {
        row.name: Host(
            name=row.name,
            alive=is_alive(row, call.settings.agent_down_time),
            last_seen=row.last_seen,
            roles=frozenset(row.roles),
            zone=row.zone,
            agent_mode=row.agent_mode,
            vtep=row.vtep,
            physical_networks=frozenset(row.physical_networks),
            segments=attachments.of_host(row.physical_networks, several) - {*row.physical_networks},
            started=row.started,
            version=row.version,
            problems=row.problems,
            problems_since=row.problems_since,
            disabled=frozenset(
                role for role, kind in AGENT_TYPES.items() if not agent_settings(row, kind).admin_state_up
            ),
            drain=drains[row.name].state if row.name in drains else "",
            drain_since=drains[row.name].since if row.name in drains else None,
            uplinks=msgspec.convert(row.uplinks, list[Uplink]),
        )
        for row in call.tx.execute(select(host).order_by(host.c.name))
    }


def _elections(tx: Tx) -> dict[str, Election]:
    members: dict[str, dict[str, Member]] = defaultdict(dict)
    for row in tx.execute(select(election_member)):
        members[row.election_id][row.host] = Member(
            state=row.state, since=row.since, cause=row.cause, heard=row.heard, yields_to=row.yields_to
        )
    standing = select(election).where(election.c.retired.is_(None))
    return {
        row.id: Election(
            id=row.id,
            ha_network_id=row.ha_network_id,
            vrid=row.vrid,
            candidates=row.candidates,
            active=row.active,
            epoch=row.epoch,
            since=row.since,
            advert_ms=row.advert_ms,
            members=members[row.id],
        )
        for row in tx.execute(standing.order_by(election.c.created))
    }


def _routers(
    tx: Tx, elections: Mapping[str, Election], unrouted: Mapping[str, Sequence[str]]
) -> list[Router]:
    candidates: dict[str, list[Any]] = defaultdict(list)
    for row in tx.execute(select(router_candidate).order_by(router_candidate.c.position)):
        candidates[row.router_id].append(row)
    active = {one.id: one.active for one in elections.values()}
    running = select(router_move.c.router_id, router_move.c.candidates).where(
        router_move.c.running.is_not(None)
    )
    moving = {row.router_id: row.candidates[0] for row in tx.execute(running)}
    since, short = _active_since(tx), _short(tx, "l3")
    attached, external = attachments.of_routers(tx, None), _external(tx)
    c = router.resource.table.c
    found = []
    columns = (c.id, c.name, c.ha, c.admin_state_up, c.distributed, c.rung, c.gw_port_id)
    for row in tx.execute(select(*columns).order_by(c.name, c.id)):
        mine = candidates[row.id]
        where = moves.active_of(mine, active)
        found.append(
            Router(
                id=row.id,
                name=row.name,
                ha=row.ha,
                up=row.admin_state_up,
                candidates=[_candidate(one) for one in mine],
                active=where,
                since=since.get((row.id, where)),
                moving_to=moving.get(row.id),
                attached=attached.get(row.id, frozenset()),
                external=external.get(row.id),
                short_since=short.get(row.id),
                distributed=row.distributed,
                central=not row.distributed or row.rung < Rung.DISTRIBUTED or row.gw_port_id is not None,
                unrouted=unrouted.get(row.id, ()),
            )
        )
    return found


def _unrouted(tx: Tx) -> dict[str, list[str]]:
    """Return hosts with instances on networks of distributed routers, which they cannot carry, by router."""
    able = {
        row.name
        for row in tx.execute(select(host.c.name, host.c.roles, host.c.agent_mode))
        if "l3" in row.roles and row.agent_mode in DVR_MODES
    }
    inside, instance, r = port.resource.table.alias(), port.resource.table.alias(), router.resource.table.c
    joined = (
        select(inside.c.device_id, instance.c.binding_host_id)
        .distinct()
        .join(instance, instance.c.network_id == inside.c.network_id)
        .join(router.resource.table, r.id == inside.c.device_id)
        .where(inside.c.device_owner == owners.ROUTER_DISTRIBUTED_INTERFACE, r.rung == Rung.DISTRIBUTED)
        .where(instance.c.binding_host_id != "", instance.c.device_owner.not_like("network:%"))
    )
    found: dict[str, list[str]] = defaultdict(list)
    for row in tx.execute(joined.order_by(instance.c.binding_host_id)):
        if row.binding_host_id not in able:
            found[row.device_id].append(row.binding_host_id)
    return found


def _external(tx: Tx) -> dict[str, str]:
    """Return the network of each router's gateway."""
    c = port.resource.table.c
    gateways = select(c.device_id, c.network_id).where(c.device_owner == owners.ROUTER_GATEWAY)
    return {row.device_id: row.network_id for row in tx.execute(gateways)}


def _candidate(row: Any) -> Candidate:
    return Candidate(host=row.host, election=row.election_id, built=row.applied >= row.version)


def _active_since(tx: Tx) -> dict[tuple[str, str | None], float]:
    """Return since when each router has been active where its history says that it is."""
    h = router_history.c
    last = select(h.router_id, func.max(h.epoch).label("epoch")).group_by(h.router_id).subquery()
    joined = select(h.router_id, h.to_host, h.at).join(
        last, (last.c.router_id == h.router_id) & (last.c.epoch == h.epoch)
    )
    return {(row.router_id, row.to_host): row.at for row in tx.execute(joined)}


def _short(tx: Tx, role: str) -> dict[str, float]:
    mine = select(shortfall.c.object_id, shortfall.c.since).where(shortfall.c.role == role)
    return {row.object_id: row.since for row in tx.execute(mine)}


def _networks(tx: Tx, reach: Mapping[str, frozenset[str]]) -> list[Network]:
    short, facts = _short(tx, "dhcp"), dhcp.facts_of(tx, None)
    c = network.resource.table.c
    return [
        Network(
            id=row.id,
            name=row.name,
            segment=area.name,
            servers=[one.host for _, one in sorted(dhcp.of_area(facts[row.id], area).items())],
            elsewhere=dhcp.elsewhere(facts[row.id], area, reach),
            short_since=short.get(row.id),
        )
        for row in tx.execute(select(c.id, c.name).order_by(c.name, c.id))
        for area in facts[row.id].areas
    ]


def _incidents(tx: Tx) -> list[Incident]:
    newest = select(incident).order_by(incident.c.began.desc()).limit(MAX_INCIDENTS)
    return [
        Incident(
            id=row.id,
            hosts=row.hosts,
            routers=row.routers,
            began=row.began,
            ended=row.ended,
            stays=row.stays,
            cause=row.cause,
        )
        for row in tx.execute(newest)
    ]


def _instance_ports(tx: Tx) -> dict[str, int]:
    c = port.resource.table.c
    counted = (
        select(c.binding_host_id, func.count().label("ports"))
        .where(c.binding_host_id != "", c.device_owner.not_like("network:%"))
        .group_by(c.binding_host_id)
    )
    return {row.binding_host_id: row.ports for row in tx.execute(counted)}
