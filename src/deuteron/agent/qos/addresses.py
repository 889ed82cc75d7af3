"""Limits of single addresses at a router's way out: a class of htb for each. Pure.

Only what has a limit is looked at; the rest goes by as if nothing was there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from deuteron.agent import names
from deuteron.agent.l3 import gateways
from deuteron.agent.l3.wanted import namespace
from deuteron.agent.qos import shaping
from deuteron.agent.qos.shaping import HANDLE, PREFERENCE, Bucket
from deuteron.plan.units import FloatingIP, Limit, Router, RouterPort

_QUANTUM = 30_000
"""Bytes in a row where classes share: more than a frame."""
_MTU = 1500
"""Where a router has no gateway here."""
_LAST = 0xFFF
"""The kernel counts filters in 12 bits."""


@dataclass(frozen=True)
class Way:
    """A router's way out: its namespace, the device there, and the one in which what comes in queues."""

    namespace: str
    device: str
    shaper: str


Limited = Mapping[str, Bucket]
"""Address -> its bucket."""


@dataclass(frozen=True)
class Wanted:
    """What a way out limits."""

    egress: Limited = field(default_factory=dict)
    ingress: Limited = field(default_factory=dict)


NOTHING = Wanted()


def ways(id_: str, router: Router | None, floating_ips: Iterable[FloatingIP]) -> dict[Way, Wanted]:
    """Return the ways out of a router on this host, and what they limit.

    There may be none of its central part (no router, or one without a gateway).
    """
    floating_ips = list(floating_ips)
    outsides = gateways.of(router, [one for one in floating_ips if not one.distributed]) if router else ()
    found: dict[Way, dict[str, Sequence[Limit]]] = {}
    for outside in outsides:
        assert router is not None
        limits = found.setdefault(_central(router, outside.port), {})
        if outside.address:
            limits[outside.address] = router.limits
        limits.update((one.floating_ip, one.limits) for one in outside.floating_ips)
    for one in floating_ips:
        if one.distributed:
            found.setdefault(_distributed(id_), {})[one.floating_ip] = one.limits
    mtu = outsides[0].port.mtu if outsides else _MTU
    return {way: Wanted(_of("egress", of, mtu), _of("ingress", of, mtu)) for way, of in found.items()}


def _of(direction: str, limits: Mapping[str, Sequence[Limit]], mtu: int) -> dict[str, Bucket]:
    buckets = {address: shaping.buckets(some, mtu) for address, some in limits.items()}
    return {address: of[direction] for address, of in buckets.items() if direction in of}


def _central(router: Router, gateway: RouterPort) -> Way:
    return Way(namespace(router), names.gateway_device(gateway.id), names.shaper(gateway.id))


def _distributed(router: str) -> Way:
    return Way(names.router_namespace(router), names.router_to_fip(router), names.shaper(router))


@dataclass
class Tree:
    """The classes of one device: address -> (its number, its bucket)."""

    classes: dict[str, tuple[int, Bucket]] = field(default_factory=dict)


def change(tree: Tree, device: str, side: str, wanted: Limited) -> list[str]:
    """Return the `tc` commands that give a device these classes, by the `side` ("src", "dst") of packets.

    The tree is what it has, and what it will have. Raises ValueError for more than the kernel can tell apart.
    """
    gone = tree.classes.keys() - wanted.keys()
    if not wanted:
        tree.classes.clear()
        return [f"qdisc delete dev {device} root"] if gone else []
    commands = [] if tree.classes else [f"qdisc add dev {device} root handle {HANDLE} htb"]
    for address in sorted(gone):
        number, _ = tree.classes.pop(address)
        commands += [
            f"filter delete dev {device} parent {HANDLE} pref {PREFERENCE} protocol ip"
            f" handle 800::{number:x} u32",
            f"class delete dev {device} classid {HANDLE}{number:x}",
        ]
    for address, bucket in sorted(wanted.items()):
        known = tree.classes.get(address)
        if known and known[1] == bucket:
            continue
        number = known[0] if known else _free(tree)
        tree.classes[address] = number, bucket
        commands += _class(device, number, bucket)
        commands += [] if known else [_filter(device, number, address, side)]
    return commands


def _free(tree: Tree) -> int:
    taken = {number for number, _ in tree.classes.values()}
    free = next((number for number in range(1, _LAST + 1) if number not in taken), None)
    if free is None:
        raise ValueError(f"more than {_LAST} limited addresses at one way out")
    return free


def _class(device: str, number: int, bucket: Bucket) -> list[str]:
    class_ = f"{HANDLE}{number:x}"
    return [
        f"class replace dev {device} parent {HANDLE} classid {class_} htb rate {bucket.rate}kbit"
        f" burst {bucket.burst} cburst {bucket.burst} quantum {_QUANTUM}",
        f"qdisc replace dev {device} parent {class_} handle {number:x}: bfifo limit {bucket.queue}",
    ]


def _filter(device: str, number: int, address: str, side: str) -> str:
    return (
        f"filter add dev {device} parent {HANDLE} pref {PREFERENCE} protocol ip handle 800::{number:x}"
        f" u32 match ip {side} {address}/32 flowid {HANDLE}{number:x}"
    )


@dataclass
class Trees:
    """What a way out has."""

    egress: Tree = field(default_factory=Tree)
    ingress: Tree = field(default_factory=Tree)


@dataclass
class Work:
    """What to do in a namespace: commands of `ip`, of `tc`, and of `ip` again."""

    make: list[str] = field(default_factory=list)
    queue: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)


def work(way: Way, trees: Trees, wanted: Wanted, *, filters: bool) -> Work:
    """Return what gives a way out these limits; `filters` says whether its device can have them.

    The trees are what it has, and what it will have. Raises ValueError.
    """
    before = {address: number for address, (number, _) in trees.ingress.classes.items()}
    todo = Work(queue=change(trees.egress, way.device, "src", wanted.egress))
    todo.queue += [_by(way, number) for address, number in before.items() if address not in wanted.ingress]
    if before and not wanted.ingress:
        trees.ingress.classes.clear()
        todo.remove.append(f"link delete {way.shaper}")
    elif wanted.ingress:
        todo.make += [] if before else shaping.make(way.shaper)
        todo.queue += change(trees.ingress, way.shaper, "dst", wanted.ingress)
        todo.queue += [] if filters else [f"qdisc add dev {way.device} clsact"]
        new = {address: at for address, (at, _) in trees.ingress.classes.items() if address not in before}
        todo.queue += [_through(way, address, number) for address, number in new.items()]
    return todo


def _through(way: Way, address: str, number: int) -> str:
    """Return the command that leads what comes in for an address through the shaper."""
    return (
        f"filter add dev {way.device} ingress pref {PREFERENCE} protocol ip handle 800::{number:x}"
        f" u32 match ip dst {address}/32 action mirred egress redirect dev {way.shaper}"
    )


def _by(way: Way, number: int) -> str:
    """Return the command that leads it there no more."""
    return f"filter delete dev {way.device} ingress pref {PREFERENCE} protocol ip handle 800::{number:x} u32"
