"""Address arithmetic holds for all subnets, not only for the usual ones."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from deuteron.resources import addresses
from deuteron.resources.addresses import Network, Range

networks: st.SearchStrategy[Network] = st.one_of(
    st.builds(
        lambda number, length: ipaddress.ip_network((number, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(1, 32),
    ),
    st.builds(
        lambda number, length: ipaddress.ip_network((number, length), strict=False),
        st.integers(2**32, 2**128 - 1),
        st.integers(1, 128),
    ),
)


@given(networks)
def test_the_default_gateway_and_pools_share_the_subnet_between_them(network: Network) -> None:
    gateway = addresses.default_gateway(network)
    first, last = addresses.usable(network)
    parsed = None if gateway is None else addresses.parse_address(gateway)
    pools = addresses.default_pools(network, parsed)
    size = sum(high - low + 1 for low, high in pools)
    assert size == last - first + 1 - (gateway is not None)
    assert addresses.overlapping(pools) is None
    if parsed is not None:
        assert parsed in network
        assert addresses.contains(pools, parsed) is None
        assert addresses.assignable(network, parsed, router_port=True)
        assert not addresses.gateway_is_impossible(network, parsed)


@given(networks, st.data())
def test_every_address_of_a_pool_can_be_assigned(network: Network, data: st.DataObject) -> None:
    first, last = addresses.usable(network)
    number = data.draw(st.integers(first, last))
    address = addresses.from_int(network, number)
    assert int(address) == number
    assert addresses.assignable(network, address, router_port=False)


small_ranges = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair))), max_size=4
)


@given(small_ranges, st.integers(0, 70), st.sets(st.integers(0, 60)))
def test_free_addresses_are_all_that_are_not_used_each_once(
    pools: list[Range], start: int, used: set[int]
) -> None:
    if addresses.overlapping(pools):
        return
    every = {number for first, last in pools for number in range(first, last + 1)}
    found = list(addresses.free_addresses(pools, start, used))
    assert sorted(found) == sorted(every - used)
    following = addresses.following(pools, start)
    assert following == min((number for number in every if number >= start), default=None)


@given(small_ranges)
def test_overlaps_are_found(ranges: list[Range]) -> None:
    numbers = [number for first, last in ranges for number in range(first, last + 1)]
    assert (addresses.overlapping(ranges) is not None) == (len(numbers) != len(set(numbers)))


def test_eui64() -> None:
    network = addresses.parse_network("2001:db8::/64")
    assert addresses.eui64(network, "fa:16:3e:00:00:01") == "2001:db8::f816:3eff:fe00:1"
