"""Pictures of clouds, for what only reads them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from deuteron.insight.picture import Candidate, Election, Host, Member, Network, Picture, Router

NOW = 1_000_000.0
DIED = NOW - 34.0


def host(name: str, **more: Any) -> Host:
    return Host(**{"name": name, "alive": True, "last_seen": NOW, **more})


def dead(name: str, **more: Any) -> Host:
    return host(name, alive=False, last_seen=DIED, **more)


def redundant(name: str, *hosts: str, **more: Any) -> Router:
    """A router on hosts, active on the first one; all with the same hosts ride on one election."""
    candidates = [Candidate(host=one, election="/".join(hosts)) for one in hosts]
    return Router(
        **{"id": name, "name": name, "ha": True, "candidates": candidates, "active": hosts[0], **more}
    )


def single(name: str, on: str, **more: Any) -> Router:
    candidates = [Candidate(host=on)]
    return Router(**{"id": name, "name": name, "ha": False, "candidates": candidates, "active": on, **more})


def network(name: str, *servers: str, **more: Any) -> Network:
    return Network(id=name, name=name, servers=servers, **more)


def picture(hosts: Sequence[Host], *things: Router | Network, **more: Any) -> Picture:
    """A picture, with the elections of its routers; their first candidate is active, the others stand by."""
    routers = [one for one in things if isinstance(one, Router)]
    lists = {one.candidates[0].election: [c.host for c in one.candidates] for one in routers if one.ha}
    elections = {id_: election(id_, names) for id_, names in lists.items() if id_}
    return Picture(
        now=NOW,
        hosts={one.name: one for one in hosts},
        elections=elections,
        routers=routers,
        networks=[one for one in things if isinstance(one, Network)],
        **more,
    )


def election(id_: str, hosts: Sequence[str]) -> Election:
    members = {
        name: Member(state="standby" if number else "active", since=NOW - 60, cause="started", heard=NOW - 60)
        for number, name in enumerate(hosts)
    }
    return Election(
        id=id_, ha_network_id="h", vrid=1, candidates=hosts, active=hosts[0], since=NOW - 60, members=members
    )


def said(shown: Picture, election_id: str, host_name: str, **more: Any) -> Picture:
    """The same picture, but for what one member said."""
    one = shown.elections[election_id]
    member = msgspec.structs.replace(one.members[host_name], **more)
    changed = msgspec.structs.replace(one, members={**one.members, host_name: member})
    return msgspec.structs.replace(shown, elections={**shown.elections, election_id: changed})
