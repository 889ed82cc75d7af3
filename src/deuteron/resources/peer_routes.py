"""Routes between the segments of a routed network: each subnet's hosts are told them, by its gateway.

Every subnet of a segment has a host route to each subnet of the other segments, unless one that it was given
leads there. They are stored with the others and follow when subnets come and go. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deuteron.resources.addresses import Network, parse_network
from deuteron.resources.resource import Alias

Route = dict[str, str]
"""`destination` and `nexthop`."""


def completed(
    routes: Sequence[Route], one: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> list[Route]:
    """Return host routes of a subnet with those that lead to its peers among `others` and are missing."""
    there = [parse_network(route["destination"]) for route in routes]
    missing = [peer for peer in _peers(one, others) if not any(_holds(net, peer) for net in there)]
    return [*routes, *(_route(one, peer) for peer in missing)]


def without(
    routes: Sequence[Route], one: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> list[Route]:
    """Return host routes of a subnet without those that it has because of its peers among `others`."""
    automatic = [_route(one, peer) for peer in _peers(one, others)]
    return [route for route in routes if route not in automatic]


def after(
    subnets: Sequence[Mapping[str, Any]], gone: Mapping[str, Any] | None = None
) -> Iterator[tuple[Mapping[str, Any], list[Route]]]:
    """Yield those of a network's subnets that get other host routes, with these; `gone` was one until now."""
    for one in subnets:
        routes = without(one["host_routes"], one, [gone] if gone else [])
        routes = completed(routes, one, subnets)
        if routes != one["host_routes"]:
            yield one, routes


def _peers(one: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[Network]:
    """Return the ranges of `others` that a subnet's hosts reach by its gateway."""
    if one["segment_id"] is None or one["gateway_ip"] is None:
        return []
    found = [
        parse_network(other["cidr"])
        for other in others
        if other["segment_id"] not in (None, one["segment_id"])
    ]
    version = parse_network(one["cidr"]).version
    return [net for net in found if net.version == version]


def _holds(net: Network, peer: Network) -> bool:
    return net.version == peer.version and peer.subnet_of(net)  # type: ignore[arg-type]


def _route(one: Mapping[str, Any], peer: Network) -> Route:
    return {"destination": str(peer), "nexthop": one["gateway_ip"]}


DECLARES = (
    Alias(
        alias="segments-peer-subnet-host-routes",
        name="Segments peer-subnet host routes",
        description="Subnets of segments lead to each other by host routes",
    ),
)
