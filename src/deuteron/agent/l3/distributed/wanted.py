"""What a distributed part must look like in the kernel: pure, from the units of the plan."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from deuteron.agent import names
from deuteron.agent.l3 import advertisements, next_hops, rules
from deuteron.agent.l3.wanted import Device, device
from deuteron.plan.units import DistributedRouter, Neighbour, RouterPort

MARK = "deuteron-distributed"
"""What tells the namespace of a distributed part from that of a central one, which may have had its name."""
_MAIN = 254
_TABLES = 1 << 31
"""Tables of interfaces have numbers from here on."""
PRIORITY = 50000
"""Of the rules that lead to them: after the main table, which has no default route."""

Version = Literal[4, 6]


class Route(NamedTuple):
    """A route that is not a subnet's own."""

    table: int
    destination: str
    hops: str
    """Next hops."""
    device: str
    """"" when the next hop decides it."""


class Rule(NamedTuple):
    """What comes in by a device is routed by a table."""

    version: Version
    device: str
    table: int


Neighbours = dict[tuple[str, str], str]
"""(device, address) -> MAC address."""


@dataclass(frozen=True)
class Part:
    """A distributed part of a router."""

    id: str
    namespace: str
    mac: str
    """This host's DVR MAC."""
    is_open: bool
    devices: tuple[Device, ...]
    networks: tuple[str, ...]
    """Of the devices, in their order."""
    routes: frozenset[Route]
    rules: frozenset[Rule]
    nft: str
    radvd: str


def part(router: DistributedRouter) -> Part:
    """Return what the kernel must hold for a distributed part; raises ValueError when an address is none."""
    routes, found = _defaults(router)
    for to, hops in next_hops.by_destination(router.routes).items():
        routes.add(Route(_MAIN, to, hops, ""))
    return Part(
        id=router.id,
        namespace=names.router_namespace(router.id),
        mac=router.mac,
        is_open=router.open,
        devices=tuple(_device(port) for port in router.interfaces),
        networks=tuple(port.network for port in router.interfaces),
        routes=frozenset(routes),
        rules=frozenset(found),
        nft=rules.quiet(router.interfaces),
        radvd=advertisements.render(router.interfaces),
    )


def _device(port: RouterPort) -> Device:
    return device(port, names.internal_device(port.id), names.distributed_tap(port.id))


def _defaults(router: DistributedRouter) -> tuple[set[Route], set[Rule]]:
    """Return what leads all else that comes in by an interface to the central part."""
    numbers = tables(port.id for port in router.interfaces)
    routes, found = set(), set()
    for port, address in router.central:
        if port not in numbers:
            raise ValueError(f"there is no interface {port}, so nothing of it goes to {address}")
        nexthop = ipaddress.ip_address(address)
        version: Version = 6 if nexthop.version == 6 else 4
        everything = "::/0" if version == 6 else "0.0.0.0/0"
        inside = names.internal_device(port)
        routes.add(Route(numbers[port], everything, str(nexthop), inside))
        found.add(Rule(version, inside, numbers[port]))
    return routes, found


def tables(ids: Iterable[str]) -> dict[str, int]:
    """Return a routing table for each id, the same one whichever others there are; raises ValueError."""
    found = {id_: _TABLES | int(id_[:8], 16) for id_ in ids}
    if len(set(found.values())) < len(found):
        raise ValueError(f"two of {', '.join(sorted(found))} have the same beginning")
    return found


def neighbours(router: DistributedRouter, known: Mapping[str, Mapping[str, Neighbour]]) -> Neighbours:
    """Return what the router needs not ask for; `known` is network -> id -> neighbour."""
    found: Neighbours = {}
    for port in router.interfaces:
        inside = names.internal_device(port.id)
        for neighbour in known.get(port.network, {}).values():
            if neighbour.id != port.id and neighbour.mac != port.mac:
                for address in neighbour.addresses:
                    found[inside, str(ipaddress.ip_address(address))] = neighbour.mac
    return found
