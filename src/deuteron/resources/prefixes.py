"""What is free of a pool's prefixes: pure arithmetic over sets of addresses, as sorted disjoint ranges."""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from deuteron.resources.addresses import Network, Range, parse_network


def ranges(networks: Iterable[Network]) -> list[Range]:
    """Return the addresses of these networks: ranges that neither overlap nor touch, in their order."""
    merged: list[Range] = []
    for first, last in sorted((int(one.network_address), int(one.broadcast_address)) for one in networks):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def without(whole: Sequence[Range], taken: Sequence[Range]) -> list[Range]:
    """Return what is left of a set of addresses without another; both as `ranges` gives them."""
    left = []
    for first, last in whole:
        for low, high in taken:
            if high < first or low > last:
                continue
            if low > first:
                left.append((first, low - 1))
            first = high + 1
        if first <= last:
            left.append((first, last))
    return left


def common(one: Sequence[Range], other: Sequence[Range]) -> bool:
    """Whether two sets of addresses share one."""
    return without(one, other) != list(one)


def networks(version: int, addresses: Sequence[Range]) -> list[Network]:
    """Return the fewest networks that are a set of addresses."""
    found: list[Network] = []
    for first, last in addresses:
        found += _summary(version, first, last)
    return found


def compact(given: Sequence[Network]) -> list[Network]:
    """Return the fewest networks with the same addresses; all are of one family."""
    return networks(given[0].version, ranges(given)) if given else []


def free(version: int, whole: Sequence[Range], taken: Sequence[Range], prefixlen: int) -> Network | None:
    """Return a free network of this length, from the smallest gap that holds one; None if there is none."""
    gaps = [one for one in networks(version, without(whole, taken)) if one.prefixlen <= prefixlen]
    if not gaps:
        return None
    gap = max(gaps, key=lambda one: (one.prefixlen, -int(one.network_address)))
    return parse_network(f"{gap.network_address}/{prefixlen}")


def _summary(version: int, first: int, last: int) -> Iterator[Network]:
    if version == 4:
        return ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    return ipaddress.summarize_address_range(ipaddress.IPv6Address(first), ipaddress.IPv6Address(last))
