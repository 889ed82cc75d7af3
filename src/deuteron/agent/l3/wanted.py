"""What a router's twin must look like in the kernel: pure, from the units of the plan."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from deuteron.agent import names
from deuteron.agent.l3 import advertisements, gateways, next_hops, rules, services
from deuteron.agent.l3.gateways import Outside, Ways
from deuteron.agent.l3.services import Services
from deuteron.agent.l3.switch import records
from deuteron.plan.units import FloatingIP, Router, RouterPort

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    **{f"net/ipv6/conf/{which}/accept_ra": "0" for which in ("all", "default")},
    # All twins have the same addresses: none may ask whether another has them, or give them up.
    **{f"net/ipv6/conf/{which}/accept_dad": "0" for which in ("all", "default")},
    **{f"net/ipv6/conf/{which}/dad_transmits": "0" for which in ("all", "default")},
    **{f"net/ipv4/conf/{which}/rp_filter": "0" for which in ("all", "default")},
    **{f"net/ipv4/conf/{which}/send_redirects": "0" for which in ("all", "default")},
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
}
CONNECTION_SYSCTLS = {
    # Sessions go on in a twin that has not seen their beginning, also without their entries.
    "net/netfilter/nf_conntrack_tcp_be_liberal": "1",
    "net/netfilter/nf_conntrack_tcp_loose": "1",
    # Entries tell their changes also when they were made before anybody listened.
    "net/netfilter/nf_conntrack_events": "1",
}

_ASK_AGAIN_MS, _QUESTIONS = 200, 15


def asking(device: str, families: Sequence[str] = ("ipv4", "ipv6")) -> dict[str, str]:
    """Return the settings by which a device asks for a MAC address again before packets that wait are lost.

    By the kernel's defaults that is after a second, and longer than its queue lasts; it gives up after 3 s.
    """
    values = {"retrans_time_ms": str(_ASK_AGAIN_MS), "mcast_solicit": str(_QUESTIONS)}
    return {
        f"net/{family}/neigh/{device}/{name}": value for family in families for name, value in values.items()
    }


@dataclass(frozen=True)
class Device:
    """A port of the router: a veth pair, one end in the namespace and one on the network's bridge."""

    port: str
    inside: str
    tap: str
    bridge: str
    mac: str
    mtu: int
    addresses: tuple[str, ...]
    """With prefix lengths, those of floating IPs too."""
    metric: int = 0
    """Of the routes to its subnets."""


_BEHIND = 512
"""The metric of an interface beside which there is a port for distributed parts, and of gateways beside the
first: that one is used."""


@dataclass(frozen=True)
class Route:
    """A route that is not a subnet's own."""

    destination: str
    hops: tuple[tuple[str, str], ...]
    """(next hop, device), among which connections are spread; the device is "" where the next hop decides it,
    and set where that may lie outside the device's subnets."""

    @property
    def key(self) -> tuple[str, str]:
        """The destination and the next hops, as the kernel shows them."""
        return self.destination, next_hops.joined(hop for hop, _ in self.hops)


@dataclass(frozen=True)
class Kernel:
    """What the kernel and radvd must hold."""

    devices: tuple[Device, ...]
    routes: tuple[Route, ...]
    rules: str
    radvd: str
    services: Services
    ways: Ways


@dataclass(frozen=True)
class Twin:
    """All of it."""

    kernel: Kernel
    record: records.Router
    """What the switch must know."""

    @property
    def id(self) -> str:
        """The router's id."""
        return self.record.id

    @property
    def number(self) -> int:
        """The device group of its ports."""
        return self.record.number

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.record.netns


def namespace(router: Router) -> str:
    """Return the name of the namespace of a router's central part."""
    return (names.snat_namespace if router.distributed else names.router_namespace)(router.id)


def twin(router: Router, floating_ips: Sequence[FloatingIP]) -> Twin:
    """Return what the kernel must hold for a router; raises ValueError when an address is none."""
    outsides = gateways.of(router, floating_ips)
    devices = tuple(_devices(router, outsides))
    record = records.Router(
        id=router.id,
        number=router.number,
        netns=namespace(router),
        gate=router.gate,
        election=router.election,
        draining=router.draining,
        renewed=router.renewed,
        ports=tuple(
            records.Port(d.inside, d.mac, tuple(a.partition("/")[0] for a in d.addresses)) for d in devices
        ),
        twins=router.twins,
    )
    besides = services.of(router)
    held = Kernel(
        devices=devices,
        routes=tuple(_routes(router, outsides)),
        rules=rules.render(router, floating_ips) + services.removal(besides),
        radvd=advertisements.render(router.interfaces),
        services=besides,
        ways=gateways.ways(outsides),
    )
    return Twin(held, record)


def _devices(router: Router, outsides: Sequence[Outside]) -> list[Device]:
    found = []
    beside = {port.network for port in router.snat_ports}
    for port in router.interfaces:
        metric = _BEHIND if port.network in beside else 0
        found.append(device(port, names.internal_device(port.id), names.tap(port.id), metric=metric))
    found += [device(port, names.snat_device(port.id), names.tap(port.id)) for port in router.snat_ports]
    for one in outsides:
        # To have an address is to answer for it; to translate it, one need not.
        answered = [f.floating_ip for f in one.floating_ips if not f.silent]
        extra = sorted({f"{ipaddress.IPv4Address(address)}/32" for address in answered})
        metric = _BEHIND + one.number if one.number > 1 else 0
        found.append(device(one.port, one.device, names.tap(one.port.id), extra, metric))
    return found


def device(port: RouterPort, inside: str, tap: str, extra: Sequence[str] = (), metric: int = 0) -> Device:
    """Return what a port is in the kernel; raises ValueError when an address is none."""
    own = (str(ipaddress.ip_interface(address)) for address in port.addresses)
    return Device(
        port=port.id,
        inside=inside,
        tap=tap,
        bridge=names.bridge(port.network),
        mac=port.mac,
        mtu=port.mtu,
        addresses=(*own, *extra),
        metric=metric,
    )


def _routes(router: Router, outsides: Sequence[Outside]) -> list[Route]:
    """Return one route for each destination; what somebody said comes before what follows from gateways."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for one in outsides[:1]:
        for nexthop in one.nexthops:
            found["::/0" if ":" in nexthop else "0.0.0.0/0"] = ((nexthop, one.device),)
    if router.multipath and (spread := [(o.nexthop, o.device) for o in outsides if o.nexthop]):
        found["0.0.0.0/0"] = tuple(spread)
    for destination, hops in next_hops.by_destination(router.routes).items():
        found[destination] = tuple((hop, "") for hop in hops.split(","))
    return [Route(destination, hops) for destination, hops in found.items()]
