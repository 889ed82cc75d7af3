"""How floating IPs are reached on the host of their instances: pure, from the units of the plan.

An external network has one namespace, with one port on the network that has a MAC address and no IP address:
it answers for floating IPs (proxy ARP) and asks in the name of one of them. A pair of devices leads from it
to the distributed part of each router that has floating IPs here, and there they are translated.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from deuteron.agent import names
from deuteron.agent.l3 import next_hops
from deuteron.agent.l3.distributed.wanted import tables
from deuteron.agent.l3.wanted import CONNECTION_SYSCTLS, Device
from deuteron.plan.units import DistributedRouter, FloatingGateway, FloatingIP

TABLE = "deuteron_floating"
SILENT = "silent"
"""The map of the addresses for which another host answers, in the namespace of floating IPs."""
ROUTER_END, FIP_END = "169.254.64.1", "169.254.64.2"
"""The addresses of all pairs: what they reach is said with the device."""
ROUTES = 16
"""The routing table of instances with a floating IP."""
PRIORITY = 40000
"""Of the rule that leads to it: after the main table, before those of the way to the central part."""
OUT = 0x10
"""The mark of packets that it is for: of instances with a floating IP, as their translation knows them.

What comes in by a pair has it, too: if the router itself has to say that it is too big, that goes back there.
"""
ROUTER_SYSCTLS = {**CONNECTION_SYSCTLS, "net/ipv4/fwmark_reflect": "1"}
SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    **{f"net/ipv6/conf/{which}/disable_ipv6": "1" for which in ("all", "default")},
    **{f"net/ipv4/conf/{which}/rp_filter": "0" for which in ("all", "default")},
    **{f"net/ipv4/conf/{which}/send_redirects": "0" for which in ("all", "default")},
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
}


@dataclass(frozen=True)
class Leg:
    """A router's part in a namespace of floating IPs."""

    router: str
    mtu: int
    floating: tuple[tuple[str, str], ...]
    """(floating IP, fixed IP), sorted."""
    inwards: tuple[str, ...] = ()
    """Those of the floating IPs whose instances send by the central part: only what comes in is served."""

    @property
    def namespace(self) -> str:
        """Of the router's distributed part."""
        return names.router_namespace(self.router)

    @property
    def inner(self) -> str:
        """The device in that namespace."""
        return names.router_to_fip(self.router)

    @property
    def outer(self) -> str:
        """The device in the namespace of floating IPs."""
        return names.fip_to_router(self.router)

    @property
    def outwards(self) -> tuple[tuple[str, str], ...]:
        """Those whose instances send this way."""
        return tuple(pair for pair in self.floating if pair[0] not in self.inwards)


class Extra(NamedTuple):
    """An extra route of one router by next hops on the external network."""

    table: str
    """Of what comes from that router."""
    destination: str
    hops: str
    """Next hops."""
    outer: str
    """The device by which it comes."""


@dataclass(frozen=True)
class Outside:
    """A namespace of floating IPs, of an external network."""

    network: str
    namespace: str
    device: Device
    routes: frozenset[tuple[str, str, str]]
    """(destination, next hop or "", device)"""
    extra: frozenset[Extra]
    legs: tuple[Leg, ...]
    silent: frozenset[str]
    """Floating IPs that are translated here, and for which another host answers."""
    rules: str

    @property
    def answered(self) -> frozenset[str]:
        """The floating IPs for which this host answers."""
        return frozenset(floating for leg in self.legs for floating, _ in leg.floating) - self.silent


def outside(
    gateway: FloatingGateway, routers: Mapping[str, DistributedRouter], floating_ips: Iterable[FloatingIP]
) -> Outside:
    """Return what a namespace of floating IPs must look like; raises ValueError when an address is none."""
    by_router: dict[str, list[tuple[str, str]]] = {}
    silent: set[str] = set()
    inwards: dict[str, list[str]] = {}
    for unit in floating_ips:
        if unit.router in routers and routers[unit.router].external == gateway.id:
            pair = str(ipaddress.IPv4Address(unit.floating_ip)), str(ipaddress.IPv4Address(unit.fixed_ip))
            by_router.setdefault(unit.router, []).append(pair)
            silent |= {pair[0]} if unit.waiting or unit.silent else set()
            inwards.setdefault(unit.router, []).extend(pair[:1] if unit.silent else ())
    legs = tuple(
        Leg(id_, gateway.mtu, tuple(sorted(pairs)), tuple(sorted(inwards[id_])))
        for id_, pairs in sorted(by_router.items())
    )
    device = names.floating_gateway_device(gateway.port)
    routes = {(str(ipaddress.IPv4Network(subnet)), "", device) for subnet in gateway.subnets}
    if gateway.nexthop:
        routes.add(("0.0.0.0/0", str(ipaddress.IPv4Address(gateway.nexthop)), device))
    routes |= {(f"{floating}/32", ROUTER_END, leg.outer) for leg in legs for floating, _ in leg.floating}
    return Outside(
        network=gateway.id,
        namespace=names.fip_namespace(gateway.id),
        device=Device(
            port=gateway.port,
            inside=device,
            tap=names.tap(gateway.port),
            bridge=names.bridge(gateway.id),
            mac=gateway.mac,
            mtu=gateway.mtu,
            addresses=(),
        ),
        routes=frozenset(routes),
        extra=frozenset(_extra([routers[leg.router] for leg in legs])),
        legs=legs,
        silent=frozenset(silent),
        rules=_filter(device, legs, silent),
    )


def _extra(routers: Iterable[DistributedRouter]) -> Iterable[Extra]:
    with_routes = {router.id: router for router in routers if router.outer_routes}
    for id_, number in tables(with_routes).items():
        for to, hops in next_hops.by_destination(with_routes[id_].outer_routes).items():
            yield Extra(str(number), to, hops, names.fip_to_router(id_))


def _filter(device: str, legs: Sequence[Leg], silent: Set[str]) -> str:
    """Return what replaces the tables of the namespace: what is not translated is not let out.

    It asks in the name of an address for which it answers, if there is one: who is asked remembers that. In
    that of one whose instance sends by another host it never asks.
    """
    floating = sorted(address for leg in legs for address, _ in leg.floating)
    known = f"ip saddr != {{ {', '.join(floating)} }} " if floating else ""
    outwards = sorted((address in silent, address) for leg in legs for address, _ in leg.outwards)
    asks = "".join(
        f'    oifname "{device}" arp operation request arp saddr ip set {name}\n' for _, name in outwards[:1]
    )
    mute = ", ".join(f"{address} : drop" for address in sorted(silent))
    elements = f"\n    elements = {{ {mute} }}" if mute else ""
    return f"""\
table ip {TABLE}
delete table ip {TABLE}
table arp {TABLE}
delete table arp {TABLE}
table ip {TABLE} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{device}" oifname "{device}" drop
    iifname "fpr-*" {known}drop
  }}
}}
table arp {TABLE} {{
  map {SILENT} {{
    type ipv4_addr : verdict{elements}
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{device}" arp operation request arp daddr ip vmap @{SILENT}
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
{asks}  }}
}}
"""


NOTHING = f"table inet {TABLE}\ndelete table inet {TABLE}\n"
"""What removes the translation of a leg, whether or not it is there."""


UNTRACKED = f"""\
{NOTHING}table inet {TABLE} {{
  chain untracked {{
    type filter hook prerouting priority raw; policy accept;
    notrack
  }}
}}
"""
"""What a translation begins with. Its hooks are there some time before its rules are: what was tracked in
between would be known as not translated, for ever."""


def translation(leg: Leg) -> str:
    """Return what replaces the translation of a leg in its router.

    Only what is translated is tracked, and led this way. So nothing is known of an instance's connections
    when it gets a floating IP: they are translated from their next packet on, and go their other way from the
    next one on when it has lost it. Of those that send by the central part only what comes in is translated.
    """
    ours = ", ".join(sorted({fixed for _, fixed in leg.outwards}))
    leads = f"    ip saddr {{ {ours} }} meta mark set {OUT:#x} return\n" if ours else ""
    to_fixed = ", ".join(f"{floating} : {fixed}" for floating, fixed in leg.floating)
    first: dict[str, str] = {}
    for floating, fixed in leg.floating:
        first.setdefault(fixed, floating)
    to_floating = ", ".join(f"{fixed} : {floating}" for fixed, floating in sorted(first.items()))
    return f"""\
{NOTHING}table inet {TABLE} {{
  map floating_to_fixed {{
    type ipv4_addr : ipv4_addr
    elements = {{ {to_fixed} }}
  }}
  map fixed_to_floating {{
    type ipv4_addr : ipv4_addr
    elements = {{ {to_floating} }}
  }}
  chain untracked {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{leg.inner}" meta mark set {OUT:#x} return
{leads}    notrack
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname "{leg.inner}" dnat ip to ip daddr map @floating_to_fixed
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{leg.inner}" snat ip to ip saddr map @fixed_to_floating
  }}
}}
"""
