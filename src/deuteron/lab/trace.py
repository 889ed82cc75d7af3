"""The way of a packet through a lab, as its devices saw it: nothing is inferred from what should be there."""

import ipaddress
import secrets
import socket
import time
from collections.abc import Sequence
from itertools import groupby

import msgspec

from deuteron.lab import capture
from deuteron.lab.capture import Capture, Sighting, Space
from deuteron.lab.echo import PORT
from deuteron.lab.frames import Packet, Tunnel
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError, NetworkName

ATTEMPTS = 20
STEADY = 3
"""So many datagrams in a row are to be answered: by the first, bridges and neighbours learn."""
ANSWER_SECONDS = 0.25
AFTER_SECONDS = 0.05


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A stay in one namespace: in by some devices, out by others."""

    host: str
    space: str
    """"" is the host itself, with its bridges."""
    entered: tuple[str, ...]
    left: tuple[str, ...]
    packet: Packet
    """As it was seen last there."""
    tunnels: tuple[Tunnel, ...] = ()
    """In which it left."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What one packet did from its sender to where it was seen last."""

    visits: tuple[Visit, ...] = ()
    aside: tuple[Visit, ...] = ()
    """Where copies of it came in that went no further."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it passed, in order."""
        return tuple(host for host, _ in groupby(self.visits, key=lambda visit: visit.host))


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A host of the lab, and what was there."""

    host: str
    networks: tuple[NetworkName, ...]
    instances: tuple[str, ...]
    namespaces: tuple[str, ...]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The way of a datagram, and of its answer."""

    source: str
    """The instance or host that sent it."""
    target: str
    answered: bool
    there: Way
    back: Way
    places: tuple[Place, ...]


def trace(lab: Lab, source: str, target: str) -> Trace:
    """Send datagrams to port 7 of an address until they are answered steadily; return the last one's way.

    Raises LabError when there is no such source or the target is no address.
    """
    address = _address(target)
    found = capture.spaces(lab)
    home = _home(found, source)
    listening = Capture(found)
    try:
        with capture.entered(home):
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            sender = socket.socket(family, socket.SOCK_DGRAM)
        with sender:
            answered, seen = _probe(listening, sender, str(address))
    finally:
        listening.close()
    back = [one for one in seen if one.packet.source_port == PORT]
    arrived = (back[0].host, back[0].space) if back else None
    return Trace(
        source=source,
        target=target,
        answered=answered,
        there=way([one for one in seen if one.packet.destination_port == PORT], arrived),
        back=way(back, (home.host, home.name) if answered else None),
        places=_places(lab, found),
    )


def _address(target: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(target)
    except ValueError:
        raise LabError(f"{target!r} is no IP address") from None


def _home(found: Sequence[Space], source: str) -> Space:
    for space in found:
        if source == (space.name if space.is_instance else space.host):  # a host's own is its first
            return space
    raise LabError(f"there is no host or instance {source!r} in this lab that is on")


def _probe(listening: Capture, sender: socket.socket, address: str) -> tuple[bool, list[Sighting]]:
    """Return whether the last datagram was answered, and where it and its answer were seen."""
    sender.settimeout(ANSWER_SECONDS)
    steady, seen = 0, []
    for _ in range(ATTEMPTS):
        mark = secrets.token_bytes(16)
        steady = steady + 1 if _ask(sender, address, mark) else 0
        time.sleep(AFTER_SECONDS)
        seen = listening.sightings(mark)
        if steady == STEADY:
            break
    return steady > 0, seen


def _ask(sender: socket.socket, address: str, mark: bytes) -> bool:
    deadline = time.monotonic() + ANSWER_SECONDS
    try:
        sender.sendto(mark, (address, PORT))
        while time.monotonic() < deadline:
            if sender.recv(2048) == mark:
                return True
    except TimeoutError:
        return False
    except OSError:  # no route, or nobody answers for the address: as good as no answer
        time.sleep(max(0.0, deadline - time.monotonic()))
    return False


def way(sightings: Sequence[Sighting], end: tuple[str, str] | None) -> Way:
    """Put together what was seen of one packet, given in order of time.

    `end` is the host and namespace where it arrived, None when nobody knows: then where it was seen last.
    """
    stays: dict[tuple[str, str], list[list[Sighting]]] = {}
    for one in sightings:
        there = stays.setdefault((one.host, one.space), [[]])
        if there[-1] and there[-1][-1].is_leaving and not one.is_leaving:
            there.append([])  # it is back
        there[-1].append(one)
    ordered = sorted((stay for found in stays.values() for stay in found), key=lambda stay: stay[0].at)
    visits = [_visit(stay) for stay in ordered]
    if end is None and visits:
        end = visits[-1].host, visits[-1].space
    on = [visit for visit in visits if visit.left or (visit.host, visit.space) == end]
    return Way(visits=tuple(on), aside=tuple(visit for visit in visits if visit not in on))


def _visit(stay: Sequence[Sighting]) -> Visit:
    leaving = [one for one in stay if one.is_leaving]
    tunnels = dict.fromkeys(one.tunnel for one in leaving if one.tunnel)
    return Visit(
        host=stay[0].host,
        space=stay[0].space,
        entered=tuple(dict.fromkeys(one.device for one in stay if not one.is_leaving)),
        left=tuple(dict.fromkeys(one.device for one in leaving)),
        packet=stay[-1].packet,
        tunnels=tuple(tunnels),
    )


def _places(lab: Lab, found: Sequence[Space]) -> tuple[Place, ...]:
    topology = lab.record().topology
    return tuple(
        Place(
            host=host,
            networks=topology.hosts[host].networks,
            instances=tuple(s.name for s in found if s.host == host and s.is_instance),
            namespaces=tuple(s.name for s in found if s.host == host and s.name and not s.is_instance),
        )
        for host in dict.fromkeys(space.host for space in found)
    )


def describe(traced: Trace) -> str:
    """Return both ways in words, a line for each stay."""
    said = "answered" if traced.answered else "NOT ANSWERED"
    lines = [f"{traced.source} to {traced.target}: {said}"]
    for name, found in (("there", traced.there), ("back", traced.back)):
        if found.visits:
            lines += ["", f"{name}, by {' > '.join(found.hosts)}", *table(steps(found))]
        if found.aside:
            lines.append(f"  copies ended on {', '.join(dict.fromkeys(v.host for v in found.aside))}")
    return "\n".join(lines)


def steps(found: Way, shown: str = "") -> list[tuple[str, str, str, str]]:
    """Return a row for each stay: host, namespace, devices, and the addresses where they are other ones.

    `shown` are addresses that were told before.
    """
    rows = []
    for visit in found.visits:
        said = [] if visit.packet.addresses == shown else [visit.packet.addresses]
        shown = visit.packet.addresses
        said += [f"in VXLAN {t.vni} from {t.source} to {t.destination}" for t in visit.tunnels]
        devices = " > ".join((*visit.entered, *visit.left))
        rows.append((visit.host, title(visit.space), devices, ", ".join(said)))
    return rows


def title(space: str) -> str:
    """Return what a namespace is called where there is little room; the host's own is that of its bridges."""
    kind, _, rest = space.partition("-")
    return f"{kind}-{rest[:8]}" if len(rest) == 36 else space or "host"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, their columns below each other."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows, 1):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append(f"{number:>3}  {'  '.join(cells)}".rstrip())
    return lines
