"""What lost a host and is on fewer living ones than it should be: told when it begins, and when it is over.

Rows of `shortfall` remember what was told. They are derived from nothing else than hosts that are dead: a new
router that is not built yet, or a cloud that has too few hosts, is no loss.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select

from deuteron.placement import dhcp, events, moves, routers
from deuteron.placement.cloud import Cloud
from deuteron.resources.hosts import shortfall
from deuteron.settings import ServerSettings
from deuteron.store import Tx

HOST = "host"
"""The role of rows about hosts that are dead."""


class Standing(msgspec.Struct, frozen=True):
    """On which hosts something is, and on how many it should be as far as the cloud has so many."""

    wanted: int
    living: Sequence[str]
    dead: Sequence[str] = ()
    settled: bool = True
    """Whether nothing is under way, and all living hosts have built it."""
    since: float = 0.0
    """When the first of the dead ones was heard last."""

    @property
    def lost(self) -> bool:
        """Whether hosts are missing because they died."""
        return len(self.living) < self.wanted and bool(self.dead)

    @property
    def whole(self) -> bool:
        """Whether no host is missing."""
        return len(self.living) >= self.wanted and self.settled


class News(msgspec.Struct, frozen=True):
    """Something lost redundancy, or has it again; a standing of None is that of something that is gone."""

    role: str
    id: str
    standing: Standing | None


def of_router(facts: routers.Facts, cloud: Cloud, most: int) -> Standing:
    """Return how a router stands."""
    if not facts.central and not facts.candidates:
        return _standing(0, (), cloud)
    attached, off = facts.attached, facts.wishes.off
    possible = cloud.in_use(routers.ROLE, facts.candidates, attached, off, facts.modes)
    wanted = max(1, min(routers.desired(facts, cloud, most), possible))
    standing = _standing(wanted, facts.candidates, cloud)
    settled = not facts.moving and facts.built.issuperset(standing.living)
    return msgspec.structs.replace(standing, settled=settled)


def of_network(facts: dhcp.Facts, cloud: Cloud, most: int) -> Standing:
    """Return how the DHCP of a network stands: that of its worst area, as others do not make up for it."""
    found = [_of_area(facts, area, cloud, most) for area in facts.areas]
    return min(found, key=lambda one: (not one.lost, one.whole))


def _of_area(facts: dhcp.Facts, area: dhcp.Area, cloud: Cloud, most: int) -> Standing:
    hosts = [server.host for server in dhcp.of_area(facts, area).values()]
    away = dhcp.elsewhere(facts, area, cloud.reach)
    possible = cloud.in_use(dhcp.ROLE, hosts, off=facts.wishes.off | away)
    least = 1 if len(facts.areas) == 1 else 0  # nobody waits for a segment without hosts to be served
    return _standing(max(least, min(most, possible)), hosts, cloud)


def _standing(wanted: int, hosts: Collection[str], cloud: Cloud) -> Standing:
    living = [name for name in hosts if name in cloud.hosts and name not in cloud.silent]
    dead = [name for name in hosts if name not in living]
    if living:  # what was taken out of use on purpose is no loss
        dead = [name for name in dead if name not in cloud.draining]
    since = min((cloud.hosts[name].last_seen for name in dead if name in cloud.hosts), default=0.0)
    return Standing(wanted, living, dead, since=since)


def news(
    tx: Tx,
    cloud: Cloud,
    settings: ServerSettings,
    networks: Collection[str] | None,
    router_ids: Collection[str] | None,
) -> list[News]:
    """Return what is to be told of these networks and routers, of all if None, and of all that is short."""
    short: dict[str, set[str]] = {dhcp.ROLE: set(), routers.ROLE: set(), HOST: set()}
    for row in tx.execute(select(shortfall.c.role, shortfall.c.object_id)):
        short[row.role].add(row.object_id)
    ids = None if networks is None else {*networks, *short[dhcp.ROLE]}
    found: dict[str, dict[str, Standing]] = {dhcp.ROLE: {}, routers.ROLE: {}}
    for id_, facts in (dhcp.facts_of(tx, ids) if ids != set() else {}).items():
        if facts.areas:
            found[dhcp.ROLE][id_] = of_network(facts, cloud, settings.dhcp_agents_per_network)
    ids = None if router_ids is None else {*router_ids, *short[routers.ROLE]}
    for id_, one in (routers.facts_of(tx, ids) if ids != set() else {}).items():
        if one.exists:
            found[routers.ROLE][id_] = of_router(one, cloud, settings.max_l3_agents_per_router)
    told = []
    for role, standings in found.items():
        told += [News(role, id_, None) for id_ in sorted(short[role] - standings.keys())]
        for id_, standing in sorted(standings.items()):
            if standing.whole if id_ in short[role] else standing.lost:
                told.append(News(role, id_, standing))
    return told


def tell(tx: Tx, told: Sequence[News], now: float) -> None:
    """Write news down, unless it is known meanwhile."""
    for one in told:
        row = tx.execute(select(shortfall).where(*_mine(one.role, one.id))).first()
        if one.standing is None:
            tx.execute(delete(shortfall).where(*_mine(one.role, one.id)))
        elif one.standing.lost and row is None:
            _lost(tx, one, one.standing, now)
        elif one.standing.whole and row is not None:
            _restored(tx, one, one.standing, now - row.since)


def _mine(role: str, id_: str) -> tuple[Any, Any]:
    return (shortfall.c.role == role, shortfall.c.object_id == id_)


def _lost(tx: Tx, one: News, standing: Standing, now: float) -> None:
    what = f"on {len(standing.living)} of {standing.wanted} hosts: {_names(standing.dead)} dead"
    values = {"role": one.role, "object_id": one.id, "since": standing.since or now, "text": what}
    tx.execute(insert(shortfall).values(values))
    data = {"wanted": standing.wanted, "living": list(standing.living), "dead": list(standing.dead)}
    events.note(tx, "redundancy_lost", _subject(tx, one), f"{_what(one.role)} {what}", data=data)


def _restored(tx: Tx, one: News, standing: Standing, seconds: float) -> None:
    tx.execute(delete(shortfall).where(*_mine(one.role, one.id)))
    hosts = ", ".join(sorted(standing.living))
    text = f"redundancy restored in {seconds:.0f} s: {_what(one.role)} on {hosts}"
    data = {"seconds": round(seconds, 3), "wanted": standing.wanted, "living": list(standing.living)}
    events.note(tx, "redundancy_restored", _subject(tx, one), text, data=data)


def _subject(tx: Tx, one: News) -> events.Subject:
    return (events.of_router if one.role == routers.ROLE else events.of_network)(tx, one.id)


def _what(role: str) -> str:
    return "router" if role == routers.ROLE else "DHCP"


def _names(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


def deaths(tx: Tx, cloud: Cloud) -> bool:
    """Whether a host died, or came back, that this was not told of."""
    told = set(tx.execute(select(shortfall.c.object_id).where(shortfall.c.role == HOST)).scalars())
    return bool(cloud.silent - told or told & cloud.alive or told - cloud.hosts.keys())


def tell_deaths(tx: Tx, cloud: Cloud, now: float) -> None:
    """Write down which hosts died, and which came back."""
    told: Mapping[str, float] = {
        row.object_id: row.since for row in tx.execute(select(shortfall).where(shortfall.c.role == HOST))
    }
    for name in sorted(cloud.silent - told.keys()):
        since = cloud.hosts[name].last_seen
        text = f"{name} is dead: not heard for {now - since:.0f} s"
        tx.execute(insert(shortfall).values(role=HOST, object_id=name, since=since, text=text))
        events.note(tx, "host_dead", events.of_host(name), text, host=name, data={"last_seen": since})
    for name in sorted(told.keys() - cloud.silent):
        if name in cloud.alive:
            seconds = now - told[name]
            text, data = f"{name} is back after {seconds:.0f} s", {"seconds": round(seconds, 3)}
            events.note(tx, "host_back", events.of_host(name), text, host=name, data=data)
            moves.announce_again(tx, name, told[name])
        if name in cloud.alive or name not in cloud.hosts:
            tx.execute(delete(shortfall).where(*_mine(HOST, name)))
