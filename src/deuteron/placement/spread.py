"""Which routers to move so that hosts are the active one for equally many: a pure decision.

Hosts are nodes, a router that could go from one to another is an edge. As long as there is a way along such
edges from a host to one that has at least two routers less, sending one router along each of its edges makes
the spread better; when there is none, no other assignment is better.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec


class Place(msgspec.Struct, frozen=True):
    """Where a router is active, and where it could be."""

    active: str
    candidates: Sequence[str] = ()
    """Hosts that carry it: they are preferred."""
    others: Sequence[str] = ()


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A router is to be active on another host."""

    router: str
    source: str
    target: str
    reason: str


class _Step(msgspec.Struct, frozen=True):
    router: str
    source: str
    target: str


def moves(places: Mapping[str, Place], hosts: Sequence[str], most: int | None = None) -> list[Move]:
    """Return the moves, at most so many, that spread active routers equally over hosts; none is in vain."""
    where = {id_: place.active for id_, place in places.items()}
    order: list[str] = []
    for path in _improvements(places, where, hosts):
        before = dict(where)
        where.update({step.router: step.target for step in path})
        changed = [id_ for id_ in where if where[id_] != places[id_].active]
        if most is not None and len(changed) > most:
            where = before
            break
        # The end of a way first: it makes room.
        order += [step.router for step in reversed(path) if step.router not in order]
    counts = Counter(place.active for place in places.values())
    told = []
    for id_ in order:
        source, target = places[id_].active, where[id_]
        if source != target:
            reason = f"{source} is the active one of {counts[source]}, {target} of {counts[target]}"
            told.append(Move(router=id_, source=source, target=target, reason=reason))
            counts[source] -= 1
            counts[target] += 1
    return told


def next_move(places: Mapping[str, Place], hosts: Sequence[str], most: int | None = None) -> Move | None:
    """Return the first of the moves that spread active routers equally; None if they are spread.

    It is also None if the next improvement needs more than `most` moves.
    """
    where = {id_: place.active for id_, place in places.items()}
    path = next(_improvements(places, where, hosts), None)
    if path is None or (most is not None and len(path) > most):
        return None
    last, counts = path[-1], Counter(where.values())
    reason = (
        f"{last.source} is the active one of {counts[last.source]}, {last.target} of {counts[last.target]}"
    )
    if len(path) > 1:
        reason += f"; this makes room for one of the {counts[path[0].source]} of {path[0].source}"
    return Move(router=last.router, source=last.source, target=last.target, reason=reason)


def _improvements(
    places: Mapping[str, Place], where: dict[str, str], hosts: Sequence[str]
) -> Iterator[list[_Step]]:
    """Yield ways that make the spread better, as long as there are any; the caller changes `where`."""
    while True:
        path = _path(places, where, hosts, wide=False) or _path(places, where, hosts, wide=True)
        if not path:
            return
        yield path


def _path(
    places: Mapping[str, Place], where: Mapping[str, str], hosts: Sequence[str], *, wide: bool
) -> list[_Step]:
    """Return the shortest way from a full host to one with two less; if `wide`, over any able host."""
    counts = Counter(where.values())
    edges: dict[str, dict[str, str]] = {name: {} for name in hosts}
    for id_ in sorted(where):
        place, here = places[id_], where[id_]
        if here not in edges:
            continue
        for target in (*place.candidates, *(place.others if wide else ())):
            if target in edges and target != here:
                edges[here].setdefault(target, id_)
    for begin in sorted(edges, key=lambda name: (-counts[name], name)):
        path = _search(begin, edges, counts)
        if path:
            return path
    return []


def _search(begin: str, edges: Mapping[str, Mapping[str, str]], counts: Counter[str]) -> list[_Step]:
    came: dict[str, _Step] = {}
    queue = deque([begin])
    while queue:
        here = queue.popleft()
        if counts[here] <= counts[begin] - 2:
            path = []
            while here != begin:
                path.append(came[here])
                here = came[here].source
            return path[::-1]
        for target in sorted(edges[here], key=lambda name: (counts[name], name)):
            if target not in came and target != begin:
                came[target] = _Step(edges[here][target], here, target)
                queue.append(target)
    return []
