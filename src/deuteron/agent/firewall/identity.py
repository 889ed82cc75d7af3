"""Who a port's machine may say that it is: MAC and IP addresses, ARP, neighbour discovery, DHCP. Pure."""

import ipaddress
from collections.abc import Mapping, Sequence

from deuteron.agent import names
from deuteron.agent.firewall.ruleset import Name
from deuteron.plan.units import Port

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Known = Mapping[str, tuple[Sequence[ipaddress.IPv4Network], Sequence[ipaddress.IPv6Network]]]
"""MAC address -> what may be said with it; no two overlap."""

_UNNUMBERED = "{ 131, 133, 135, 143 }"
"""What IPv6 says before it has an address: about listeners, for routers, for neighbours."""


def chains(port: Port) -> dict[Name, tuple[str, ...]]:
    """Return the chains that all frames of a port go through. Raises ValueError when an address is none."""
    known = _known(port)
    return {
        chain(port.id): (
            f"ether saddr != {_set(sorted(known))} drop",
            *_arp(port, known),
            *_ipv4(port, known),
            *_ipv6(port, known),
            _arrival(port),
            "drop",
        ),
        _claims(port.id): (*(_claim(one) for _, six in known.values() for one in six), "drop"),
    }


def chain(port: str) -> Name:
    """Return the name of a port's chain."""
    return ("bridge", f"id-{names.tap(port)}")


def _claims(port: str) -> Name:
    return ("bridge", f"na-{names.tap(port)}")


def _known(port: Port) -> Known:
    pairs = [(port.mac, address) for address in port.addresses]
    pairs += [(mac or port.mac, address) for mac, address in port.pairs]
    pairs += [(mac, link_local(mac)) for mac in {port.mac, *(mac for mac, _ in pairs)}]
    four: dict[str, list[ipaddress.IPv4Network]] = {port.mac: []}
    six: dict[str, list[ipaddress.IPv6Network]] = {port.mac: []}
    for mac, address in pairs:
        network = ipaddress.ip_network(address, strict=False)
        if isinstance(network, ipaddress.IPv4Network):
            four.setdefault(mac, []).append(network)
        else:
            six.setdefault(mac, []).append(network)
    return {
        mac: (
            list(ipaddress.collapse_addresses(four.get(mac, ()))),
            list(ipaddress.collapse_addresses(six.get(mac, ()))),
        )
        for mac in sorted(six.keys() | four.keys())
    }


def link_local(mac: str) -> str:
    """Return the IPv6 address that a machine makes of its MAC address (EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _arp(port: Port, known: Known) -> list[str]:
    rules = [
        f"ether saddr {mac} arp saddr ether {mac} arp saddr ip {_networks(four)} accept"
        for mac, (four, _) in known.items()
        if four
    ]
    # Whoever is about to use an address may ask whether another has it.
    rules.append(f"arp operation request arp saddr ether {port.mac} arp saddr ip 0.0.0.0 accept")
    return [*rules, "ether type arp drop"]


def _ipv4(port: Port, known: Known) -> list[str]:
    rules = [
        f"ether saddr {port.mac} ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
        "ether type ip udp sport 67 udp dport 68 drop",
    ]
    rules += [
        f"ether saddr {mac} ip saddr {_networks(four)} accept" for mac, (four, _) in known.items() if four
    ]
    return [*rules, "ether type ip drop"]


def _ipv6(port: Port, known: Known) -> list[str]:
    rules = [
        "icmpv6 type { nd-router-advert, nd-redirect } drop",
        "ether type ip6 udp sport 547 udp dport 546 drop",
        f"icmpv6 type nd-neighbor-advert jump {_claims(port.id)[1]}",
        f"ip6 saddr :: icmpv6 type {_UNNUMBERED} accept",
    ]
    return rules + [
        f"ether saddr {mac} ip6 saddr {_networks(six)} accept" for mac, (_, six) in known.items() if six
    ]


def _arrival(port: Port) -> str:
    """Return a rule for what a hypervisor sends for a machine that has just come to it: reverse ARP.

    Nobody answers it; bridges and tunnels learn from it where the machine is. nft has no name for its fields.
    """
    sender = int(port.mac.replace(":", ""), 16)
    return f"ether saddr {port.mac} ether type 0x8035 @nh,48,16 3 @nh,64,48 {sender:#x} accept"


def _claim(network: ipaddress.IPv6Network) -> str:
    """Return a rule for neighbour advertisements about an address; nft 1.0.6 has no name for it."""
    length = network.prefixlen
    if length == 0:
        return "return"
    return f"@th,64,{length} {int(network.network_address) >> (128 - length):#x} return"


def _networks(networks: Sequence[Network]) -> str:
    return _set([_shortest(network) for network in networks])


def _shortest(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _set(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{{ {', '.join(words)} }}"
