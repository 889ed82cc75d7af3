"""Arithmetic of prefixes against sets of addresses."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from deuteron.resources import prefixes
from deuteron.resources.addresses import Network

BASE = int(ipaddress.IPv4Address("10.0.0.0"))


def _network(start: int, length: int) -> Network:
    return ipaddress.ip_network((BASE + start, length), strict=False)


networks = st.lists(st.builds(_network, st.integers(0, 255), st.integers(25, 32)), max_size=6)


def _set(given: list[Network]) -> set[int]:
    return {int(address) for one in given for address in one}


@given(networks)
def test_compact_networks_have_the_same_addresses_and_are_few(given: list[Network]) -> None:
    compact = prefixes.compact(given)
    assert _set(compact) == _set(given)
    assert compact == list(ipaddress.collapse_addresses(compact))  # type: ignore[type-var]


@given(networks, networks)
def test_what_is_left_and_what_is_common(one: list[Network], other: list[Network]) -> None:
    first, second = prefixes.ranges(one), prefixes.ranges(other)
    left = prefixes.without(first, second)
    assert _set(prefixes.networks(4, left)) == _set(one) - _set(other)
    assert prefixes.common(first, second) == bool(_set(one) & _set(other))


@given(networks, networks, st.integers(25, 32))
def test_a_free_network_is_of_the_pool_and_of_nobody_else(
    pool: list[Network], taken: list[Network], length: int
) -> None:
    found = prefixes.free(4, prefixes.ranges(pool), prefixes.ranges(taken), length)
    free = _set(pool) - _set(taken)
    if found is None:
        size = 2 ** (32 - length)
        assert not any(
            all(start + offset in free for offset in range(size)) for start in range(BASE, BASE + 512, size)
        )
    else:
        assert found.prefixlen == length
        assert _set([found]) <= free


def test_the_smallest_gap_is_used_first() -> None:
    pool = prefixes.ranges([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("192.0.2.0/24")])
    assert str(prefixes.free(4, pool, [], 26)) == "192.0.2.0/26"
    assert str(prefixes.free(4, pool, [], 16)) == "10.0.0.0/16"
