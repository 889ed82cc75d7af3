"""Address arithmetic: pure functions over strings and the standard library's address types."""

import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Range = tuple[int, int]
"""First and last address, both included."""

AUTO_ADDRESS_MODES = ("slaac", "dhcpv6-stateless")
"""Of ipv6_address_mode: hosts make their addresses of their MAC."""


def parse_address(text: object) -> Address:
    """Return an address. Raises ValueError with a reason."""
    if isinstance(text, str) and "%" not in text:
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            pass
    raise ValueError(f"'{str(text)[:100]!s}' is not a valid IP address")


def parse_network(text: object) -> Network:
    """Return a network; bits of the host are dropped. Raises ValueError with a reason."""
    if isinstance(text, str) and "%" not in text:
        try:
            return ipaddress.ip_network(text, strict=False)
        except ValueError:
            pass
    raise ValueError(f"'{str(text)[:100]!s}' is not a valid IP subnet")


def usable(network: Network) -> Range:
    """Return the range of a subnet that hosts may have."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if first == last or (network.version == 4 and network.prefixlen == 31):
        return first, last
    if network.version == 4:
        return first + 1, last - 1
    return first + 1, last


def default_gateway(network: Network) -> str | None:
    """Return the first address that a host may have; None where there is only one."""
    first, last = usable(network)
    return None if first == last else str(from_int(network, first))


def from_int(network: Network, number: int) -> Address:
    """Return the address of a number in this network's family."""
    return ipaddress.IPv4Address(number) if network.version == 4 else ipaddress.IPv6Address(number)


def default_pools(network: Network, gateway: Address | None) -> list[Range]:
    """Return all that hosts may have but the gateway."""
    first, last = usable(network)
    if gateway is None or gateway.version != network.version or not first <= int(gateway) <= last:
        return [(first, last)]
    parts = [(first, int(gateway) - 1), (int(gateway) + 1, last)]
    return [(low, high) for low, high in parts if low <= high]


def overlapping(ranges: Sequence[Range]) -> tuple[Range, Range] | None:
    """Return two ranges that share an address, if there are any."""
    ordered = sorted(ranges)
    for before, after in itertools.pairwise(ordered):
        if after[0] <= before[1]:
            return before, after
    return None


def contains(ranges: Iterable[Range], address: Address) -> Range | None:
    """Return the range that holds the address, if there is one."""
    number = int(address)
    return next((r for r in ranges if r[0] <= number <= r[1]), None)


def assignable(network: Network, address: Address, router_port: bool) -> bool:
    """Whether a port may have the address on this subnet."""
    if address.version != network.version or address not in network:
        return False
    if network.num_addresses <= 2:
        return True
    if network.version == 4:
        return address not in (network.network_address, network.broadcast_address)
    return router_port or address != network.network_address


def gateway_is_impossible(network: Network, gateway: Address) -> bool:
    """Whether an IPv4 gateway is the subnet's own network or broadcast address."""
    if network.version != 4 or gateway not in network or network.num_addresses <= 2:
        return False
    return gateway in (network.network_address, network.broadcast_address)


def eui64(network: Network, mac: str) -> str:
    """Return the address that a host with this MAC gives itself in a /64."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(ipaddress.IPv6Address(int(network.network_address) | int.from_bytes(interface, "big")))


def free_addresses(pools: Sequence[Range], start: int, used: set[int]) -> Iterator[int]:
    """Yield the pools' addresses that are not used: from `start` on, then those before it."""
    ordered = sorted(pools)
    for first, last in ordered:
        for number in range(max(first, start), last + 1):
            if number not in used:
                yield number
    for first, last in ordered:
        for number in range(first, min(last + 1, start)):
            if number not in used:
                yield number


def following(pools: Sequence[Range], number: int) -> int | None:
    """Return the pools' first address that is not below `number`."""
    for first, last in sorted(pools):
        if number <= last:
            return max(first, number)
    return None
