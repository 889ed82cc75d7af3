"""Routes between the segments of a routed network."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deuteron.resources import peer_routes
from deuteron.resources.addresses import parse_network
from deuteron.resources.peer_routes import Route


def subnet(number: int, segment: str | None, **more: Any) -> dict[str, Any]:
    own = {"cidr": f"10.0.{number}.0/24", "gateway_ip": f"10.0.{number}.1", "host_routes": []}
    return {"id": f"s{number}", "segment_id": segment, **own, **more}


_given = st.lists(
    st.builds(
        lambda to, hop: {"destination": to, "nexthop": f"10.0.0.{hop}"},
        st.sampled_from(["0.0.0.0/0", "10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/25", "192.0.2.0/24"]),
        st.integers(1, 3),
    ),
    unique_by=lambda route: route["destination"],
)
_segments = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5)


def settled(subnets: list[dict[str, Any]], gone: dict[str, Any] | None = None) -> None:
    for one, routes in peer_routes.after(subnets, gone):
        subnets[subnets.index(dict(one))]["host_routes"] = routes


@given(_segments, _given)
def test_every_peer_is_reached_and_nothing_that_was_given_is_lost(
    segments: list[str], routes: list[Route]
) -> None:
    subnets = [subnet(number, segment) for number, segment in enumerate(segments)]
    subnets[0]["host_routes"] = routes
    settled(subnets)
    for one in subnets:
        there = [parse_network(route["destination"]) for route in one["host_routes"]]
        for other in subnets:
            holding = [net for net in there if parse_network(other["cidr"]).subnet_of(net)]  # type: ignore
            if other["segment_id"] != one["segment_id"]:
                assert holding
    assert subnets[0]["host_routes"][: len(routes)] == routes
    assert list(peer_routes.after(subnets)) == [], "once is enough"


@given(_segments)
def test_who_comes_and_goes_leaves_nothing(segments: list[str]) -> None:
    subnets = [subnet(number, segment) for number, segment in enumerate(segments)]
    settled(subnets)
    before = [dict(one) for one in subnets]
    late = subnet(9, "late")
    settled([*subnets, late])
    assert len(late["host_routes"]) == len(subnets)
    settled(subnets, gone=late)
    assert subnets == before


def test_what_is_no_peer() -> None:
    six = {"cidr": "2001:db8::/64", "gateway_ip": "2001:db8::1", "host_routes": []}
    mine, silent = subnet(1, "a"), subnet(2, "b", gateway_ip=None)
    subnets = [mine, silent, subnet(3, "a"), {**subnet(4, "c"), **six}]
    settled(subnets)
    assert mine["host_routes"] == [{"destination": "10.0.2.0/24", "nexthop": "10.0.1.1"}]
    assert (silent["host_routes"], subnets[3]["host_routes"]) == ([], [])
    unbound = [subnet(1, None), subnet(2, None)]
    assert list(peer_routes.after(unbound)) == []
