"""Whether what a host carries could be relied on: pure, and each answer says why, and since when."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from deuteron.insight.picture import Candidate, Host, Member, Network, Picture, Router

Level = Literal["OK", "DEGRADED", "BROKEN"]
LEVELS: tuple[Level, ...] = ("OK", "DEGRADED", "BROKEN")


class Trouble(msgspec.Struct, frozen=True):
    """What is wrong, in words, and since when if that is known."""

    text: str
    since: float | None = None


class Health(msgspec.Struct, frozen=True):
    """How something is: OK, DEGRADED (it works, but the next failure would hurt) or BROKEN."""

    level: Level
    why: Sequence[Trouble] = ()
    standby: Sequence[str] = ()
    """Of a redundant router: the hosts that could take over now. Of a network: its servers that answer."""


def of_host(host: Host) -> Trouble | None:
    """Return why nothing on a host can be relied on; None if it is well."""
    if host.alive:
        return None
    return Trouble(f"{host.name} is silent", host.last_seen)


def problem(host: Host, key: str) -> Trouble:
    """Return a problem that a host's agent tells of."""
    return Trouble(f"{host.name}: {host.problems[key]}", host.problems_since.get(key))


def of_router(picture: Picture, router: Router) -> Health:
    """Return how a router is."""
    if not router.up:
        return Health("OK", (Trouble("administratively down"),))
    found = _central(picture, router)
    if not router.unrouted:
        return found
    where = ", ".join(_mode(picture, name) for name in router.unrouted)
    why = (*(found.why if found.level != "OK" else ()), Trouble(f"instances are not routed on {where}"))
    return Health(max(found.level, "DEGRADED", key=LEVELS.index), why, found.standby)


def _mode(picture: Picture, name: str) -> str:
    """Return a host, and why it carries no distributed part."""
    host = picture.hosts.get(name)
    if host is None:
        return f"{name} (it has no agent)"
    return f"{name} (agent_mode {host.agent_mode})" if "l3" in host.roles else f"{name} (without the role l3)"


def _central(picture: Picture, router: Router) -> Health:
    """Return how the central part of a router is."""
    if not router.central and not router.candidates:
        return Health("OK")
    if not router.candidates:
        return Health("BROKEN", (Trouble("no host carries it", router.short_since),))
    active = next((one for one in router.candidates if one.host == router.active), None)
    if active is None:
        return Health("BROKEN", (Trouble("it is active nowhere"),))
    level, why = _active(picture, router, active)
    if not router.ha:
        return Health(level, why)
    standby = standbys(picture, router)
    others = [one for one in router.candidates if one is not active]
    why += [found for one in others if (found := unfit(picture, router, one))]
    twice = [text for one in {one.election for one in router.candidates} if (text := _twice(picture, one))]
    if twice:
        return Health("BROKEN", (*(Trouble(text) for text in twice), *why), standby)
    if 1 + len(standby) >= wanted(picture, router):
        return Health(level, why if level != "OK" else (), standby)
    if not why:
        why = [Trouble(_too_few(picture, router), router.short_since)]
    return Health(max(level, "DEGRADED", key=LEVELS.index), why, standby)


def _active(picture: Picture, router: Router, active: Candidate) -> tuple[Level, list[Trouble]]:
    """Return how the host is on which a router is active."""
    found = troubled(picture, router, active)
    if found is None:
        return "OK", []
    host = picture.hosts.get(active.host)
    if host is not None and host.alive:
        return "DEGRADED", [found]
    hearing = [one for one in standbys(picture, router) if one != active.host]
    if hearing:
        text = f"{found.text}, but {hearing[0]} still hears that it is active"
        return "DEGRADED", [Trouble(text, found.since)]
    return "BROKEN", [Trouble(f"{found.text}, and nobody has taken over", found.since)]


def standbys(picture: Picture, router: Router) -> list[str]:
    """Return the hosts that could take over a router now, in order."""
    if not router.ha:
        return []
    others = [one for one in router.candidates if one.host != router.active]
    return [one.host for one in others if unfit(picture, router, one) is None]


def unfit(picture: Picture, router: Router, candidate: Candidate) -> Trouble | None:
    """Return why a standby would not take a router over; None if it would."""
    found = troubled(picture, router, candidate)
    if found is not None:
        return found
    host = picture.hosts[candidate.host]
    if host.drain:
        return Trouble(f"{host.name} is {host.drain}", host.drain_since)
    if "l3" in host.disabled:
        return Trouble(f"the L3 agent of {host.name} is disabled")
    said = _member(picture, candidate)
    if said is None:
        return Trouble(f"{host.name} has not joined the election yet")
    if said.yields_to:
        return Trouble(f"{host.name} does not hear {said.yields_to}: the heartbeat's path is cut", said.since)
    return _without_uplink(picture, router, host)


def _without_uplink(picture: Picture, router: Router, host: Host) -> Trouble | None:
    """Return that a next hop of a router does not answer a host, if it answers the active one."""
    active = picture.hosts.get(router.active or "")
    answered = {uplink.address for uplink in (active.uplinks if active else ()) if uplink.ok}
    for uplink in host.uplinks:
        if uplink.network == router.external and not uplink.ok and uplink.address in answered:
            return Trouble(f"{host.name}: the next hop {uplink.address} does not answer it", uplink.since)
    return None


def troubled(picture: Picture, router: Router, candidate: Candidate) -> Trouble | None:
    """Return what is wrong with a candidate; None if nothing is."""
    host = picture.hosts.get(candidate.host)
    if host is None:
        return Trouble(f"{candidate.host} is not known any more")
    if not host.alive:
        return of_host(host)
    for key in (f"router/{router.id}", f"election/{candidate.election}"):
        if key in host.problems:
            return problem(host, key)
    said = _member(picture, candidate)
    if said is not None and said.state == "fault":
        return Trouble(f"{host.name}: {said.cause or 'fault'}", said.since)
    if not candidate.built:
        return Trouble(f"{host.name} has not applied the last change yet")
    return None


def _member(picture: Picture, candidate: Candidate) -> Member | None:
    found = picture.elections.get(candidate.election or "")
    return found.members.get(candidate.host) if found else None


def wanted(picture: Picture, router: Router) -> int:
    """Return on how many hosts a redundant router should be, as far as there are hosts; two at least."""
    able = len(picture.able("l3", router.attached, router.modes))
    return max(2, min(picture.routers_on or able, able))


def _too_few(picture: Picture, router: Router) -> str:
    able = picture.able("l3", router.attached, router.modes)
    if len(able) < 2:
        return "there is no second host that can carry it"
    return f"{len(router.candidates)} of {wanted(picture, router)} hosts carry it"


def _twice(picture: Picture, election_id: str | None) -> str | None:
    """Return that an election has two active members, if so."""
    found = picture.elections.get(election_id or "")
    if found is None:
        return None
    both = claims(found.members, {name: one.last_seen for name, one in picture.hosts.items()})
    return f"active on {' and on '.join(both)} at once" if len(both) > 1 else None


def claims(members: Mapping[str, Member], seen: Mapping[str, float]) -> list[str]:
    """Return the hosts that say that they are active, and were heard after the last one of them began to.

    One that is not heard any more has most likely died, which is no incident.
    """
    active = [name for name, said in members.items() if said.state == "active"]
    last = max((members[name].heard for name in active), default=0.0)
    return sorted(name for name in active if seen.get(name, 0.0) >= last)


def of_network(picture: Picture, network: Network) -> Health:
    """Return how the DHCP of a network is."""
    able = len(picture.able_to_serve(network))
    wanted = min(picture.networks_on, max(2, able))
    why = [found for name in network.servers if (found := unserved(picture, network, name))]
    well = [name for name in network.servers if unserved(picture, network, name) is None]
    if not well:
        return Health("BROKEN", why or (Trouble("no host serves it", network.short_since),))
    if len(well) >= wanted:
        return Health("OK", (), well)
    if not why:
        why = [Trouble(f"{len(well)} of {wanted} DHCP servers", network.short_since)]
    return Health("DEGRADED", why, well)


def unserved(picture: Picture, network: Network, name: str) -> Trouble | None:
    """Return why a DHCP server of a network does not answer; None if it does."""
    host = picture.hosts.get(name)
    if host is None:
        return Trouble(f"{name} is not known any more")
    if not host.alive:
        return of_host(host)
    key = f"dhcp/{network.id}"
    return Trouble(f"{name}: {host.problems[key]}") if key in host.problems else None
