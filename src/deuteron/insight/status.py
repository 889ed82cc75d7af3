"""The state of the whole: hosts, elections, where routers are active, what is wrong. Times are Unix times."""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from sqlalchemy import func, select

from deuteron.insight import health
from deuteron.insight.health import Health, Level, Trouble
from deuteron.insight.picture import (
    Election,
    Host,
    Incident,
    Member,
    Network,
    Picture,
    Router,
    Uplink,
    look,
)
from deuteron.resources.call import Call
from deuteron.resources.hosts import incident

_NAMED = 3


class HostStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A host, and what it carries."""

    name: str
    alive: bool
    since: float
    """When it was last heard if it is not alive, else when its agent started."""
    roles: list[str]
    zone: str
    vtep: str
    physical_networks: list[str]
    last_seen_seconds: float
    started: float
    version: str
    drain: str
    """"draining", "drained" or "stuck"; "" when nobody asked for it."""
    disabled: list[str]
    """Roles whose agent is administratively down."""
    dhcp_networks: int
    routers: int
    active_routers: int
    instance_ports: int
    problems: dict[str, str]
    """What its agent says is wrong: the kind and id of a thing -> words."""
    uplinks: list[Uplink]
    """Which next hops of routers' gateways answer it."""


class RouterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A router: where it is active, and who could take over."""

    id: str
    name: str
    ha: bool
    distributed: bool
    active: str | None
    since: float | None
    candidates: list[str]
    built: list[str]
    standby: list[str]
    """The hosts that could take over now."""
    moving: bool
    moving_to: str | None
    level: Level
    why: list[Trouble]


class NetworkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A network's DHCP, or that of one segment of a network that is routed outside the cloud."""

    id: str
    name: str
    segment: str
    servers: list[str]
    answering: list[str]
    level: Level
    why: list[Trouble]


class ElectionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An election: all routers with the same candidates ride on one."""

    id: str
    ha_network_id: str
    vrid: int
    candidates: list[str]
    active: str | None
    epoch: int
    since: float | None
    members: dict[str, Member]


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong, with all that it is wrong with."""

    level: Level
    kind: Literal["host", "router", "network"]
    names: list[str]
    ids: list[str]
    text: str
    since: float | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the whole."""

    now: float
    level: Level
    hosts: list[HostStatus]
    elections: list[ElectionStatus]
    routers: list[RouterStatus]
    networks: list[NetworkStatus]
    wrong: list[Wrong]
    """The worst first."""
    problems: list[str]
    """The same as lines of text."""
    incidents: list[Incident]
    """When several hosts were active for one router at once, the newest first."""
    incidents_counted: int


def of_all(call: Call) -> Status:
    """Return the state of the whole."""
    counted = call.tx.execute(select(func.count()).select_from(incident)).scalar_one()
    return of_picture(look(call), counted)


def of_picture(picture: Picture, incidents: int = 0) -> Status:
    """Return the state of the whole as a picture shows it; so many incidents there were in all."""
    routers = {one.id: health.of_router(picture, one) for one in picture.routers}
    networks = [(one, health.of_network(picture, one)) for one in picture.networks]
    found = _wrong(picture, routers, networks)
    return Status(
        now=picture.now,
        level=max((one.level for one in found), key=health.LEVELS.index, default="OK"),
        hosts=_hosts(picture),
        elections=[_election(one) for one in picture.elections.values()],
        routers=[_router(one, routers[one.id]) for one in picture.routers],
        networks=[_network(one, how) for one, how in networks],
        wrong=found,
        problems=[_line(one, picture.now) for one in found],
        incidents=list(picture.incidents),
        incidents_counted=incidents,
    )


def _hosts(picture: Picture) -> list[HostStatus]:
    carried = Counter(c.host for router in picture.routers for c in router.candidates)
    active = Counter(router.active for router in picture.routers)
    served = Counter(name for network in picture.networks for name in network.servers)
    return [
        HostStatus(
            name=one.name,
            alive=one.alive,
            since=one.started if one.alive else one.last_seen,
            roles=sorted(one.roles),
            zone=one.zone,
            vtep=one.vtep,
            physical_networks=sorted(one.physical_networks),
            last_seen_seconds=round(picture.now - one.last_seen, 3),
            started=one.started,
            version=one.version,
            drain=one.drain,
            disabled=sorted(one.disabled),
            dhcp_networks=served[one.name],
            routers=carried[one.name],
            active_routers=active[one.name],
            instance_ports=picture.instance_ports.get(one.name, 0),
            problems=dict(one.problems),
            uplinks=list(one.uplinks),
        )
        for one in picture.hosts.values()
    ]


def _election(one: Election) -> ElectionStatus:
    return ElectionStatus(
        id=one.id,
        ha_network_id=one.ha_network_id,
        vrid=one.vrid,
        candidates=list(one.candidates),
        active=one.active,
        epoch=one.epoch,
        since=one.since,
        members=dict(one.members),
    )


def _router(one: Router, found: Health) -> RouterStatus:
    return RouterStatus(
        id=one.id,
        name=one.name,
        ha=one.ha,
        distributed=one.distributed,
        active=one.active,
        since=one.since,
        candidates=[candidate.host for candidate in one.candidates],
        built=[candidate.host for candidate in one.candidates if candidate.built],
        standby=list(found.standby),
        moving=one.moving_to is not None,
        moving_to=one.moving_to,
        level=found.level,
        why=list(found.why),
    )


def _network(one: Network, found: Health) -> NetworkStatus:
    return NetworkStatus(
        id=one.id,
        name=one.name,
        segment=one.segment,
        servers=list(one.servers),
        answering=list(found.standby),
        level=found.level,
        why=list(found.why),
    )


def _wrong(
    picture: Picture, routers: Mapping[str, Health], networks: Sequence[tuple[Network, Health]]
) -> list[Wrong]:
    """Return what is wrong, in words, the worst first."""
    unwell = [how for how in (*routers.values(), *(how for _, how in networks)) if how.level != "OK"]
    told = {trouble.text for how in unwell for trouble in how.why}
    found = [one for host in picture.hosts.values() for one in _wrong_host(host, told)]
    found += [*_uplinks(picture), *_incidents(picture)]
    found += _together("router", ((one, routers[one.id]) for one in picture.routers))
    found += _together("network", networks)
    return sorted(found, key=lambda one: (-health.LEVELS.index(one.level), one.kind, one.names))


def _wrong_host(host: Host, told: Container[str]) -> Iterable[Wrong]:
    """Yield what is wrong with a host, but for problems that are `told` of what has them."""
    silent = health.of_host(host)
    if silent and host.drain != "drained":
        yield _of_host(host, "silent", silent.since)
    if host.drain == "stuck":
        yield _of_host(host, f"the drain is stuck, see: deuteron drain {host.name}", host.drain_since)
    for key, text in sorted(host.problems.items()):
        if health.problem(host, key).text in told:
            continue
        yield _of_host(host, f"{key}: {text}", host.problems_since.get(key))


def _uplinks(picture: Picture) -> Iterable[Wrong]:
    """Yield the next hops that do not answer, each with the hosts that asked."""
    silent: dict[str, dict[str, float]] = defaultdict(dict)
    for host in picture.hosts.values():
        for uplink in host.uplinks if host.alive else ():
            if not uplink.ok:
                silent[uplink.address][host.name] = uplink.since
    for address, hosts in silent.items():
        yield Wrong(
            level="DEGRADED",
            kind="host",
            names=sorted(hosts),
            ids=sorted(hosts),
            text=f"the next hop {address} does not answer",
            since=min(hosts.values()),
        )


def _incidents(picture: Picture) -> Iterable[Wrong]:
    """Yield the incidents that last."""
    names = {one.id: one.label for one in picture.routers}
    for one in picture.incidents:
        if one.ended is None:
            routers = [names.get(id_, id_) for id_ in one.routers]
            text = f"{' and '.join(one.hosts)} are active at once: {one.cause}"
            yield Wrong(
                level="BROKEN",
                kind="router",
                names=routers,
                ids=list(one.routers),
                text=text,
                since=one.began,
            )


def _of_host(host: Host, text: str, since: float | None) -> Wrong:
    return Wrong(level="DEGRADED", kind="host", names=[host.name], ids=[host.name], text=text, since=since)


def _together(
    kind: Literal["router", "network"], found: Iterable[tuple[Router | Network, Health]]
) -> list[Wrong]:
    """Return one entry for all that is wrong for the same reasons."""
    same: dict[tuple[Level, Sequence[Trouble]], list[Router | Network]] = defaultdict(list)
    for one, how in found:
        if how.level != "OK":
            same[how.level, tuple(how.why)].append(one)
    return [
        Wrong(
            level=level,
            kind=kind,
            names=[one.label for one in those],
            ids=[one.id for one in those],
            text="; ".join(trouble.text for trouble in why),
            since=min((trouble.since for trouble in why if trouble.since is not None), default=None),
        )
        for (level, why), those in same.items()
    ]


def _line(one: Wrong, now: float) -> str:
    names = ", ".join(one.names[:_NAMED])
    if len(one.names) > _NAMED:
        names += f" and {len(one.names) - _NAMED} more"
    who = names if one.kind == "host" else f"{one.kind}{'s' if len(one.names) > 1 else ''} {names}"
    age = "" if one.since is None else f", for {now - one.since:.0f} s"
    return f"{who}: {one.text}{age}"
