"""Bandwidth limits as token buckets (tbf), and the `tc` commands for them. Pure.

What a port receives queues at its device on the host. What it sends is led through a device of its own (ifb)
on its way in, and queues there: a queue slows a sender down, where a policer would only drop.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deuteron.agent import names
from deuteron.plan.units import Limit

HANDLE = "de07:"
"""Of our queueing disciplines, so that they are known as ours."""
PREFERENCE = 0xDE07
"""Of our filters."""
_BYTES = 125
"""In a kilobit."""
_SHARE = 0.8
"""Of a second's traffic: what may be saved up where nothing is said of it."""
_HEADERS = 18
_AGGREGATE = 1 << 16
"""Bytes that the kernel may hand over as one packet."""
_FRAMES = 10
_QUEUED_SECONDS = 0.05
_LONGEST_SECONDS = 200
_MOST = 2**31 - 1
"""The kernel counts the bytes of a bucket, and the time to fill it, in 32 bits."""


@dataclass(frozen=True)
class Bucket:
    """A token bucket: kilobits in a second, bytes that may be saved up, bytes that may wait."""

    rate: int
    burst: int
    queue: int

    @property
    def tbf(self) -> str:
        """As `tc` wants it."""
        return f"tbf rate {self.rate}kbit burst {self.burst} limit {self.queue}"


def bucket(limit: Limit, mtu: int) -> Bucket:
    """Return the bucket of a limit, for packets of this MTU.

    It holds a frame at least, or nothing would ever pass, and what comes together in 4 ms, or the rate would
    not be reached.
    """
    second = limit.rate * _BYTES
    frame = mtu + _HEADERS
    burst = limit.burst * _BYTES or int(second * _SHARE)
    burst = max(min(burst, second * _LONGEST_SECONDS), second // 250, frame)
    queue = max(int(second * _QUEUED_SECONDS), min(burst, _AGGREGATE) + _FRAMES * frame)
    return Bucket(rate=limit.rate, burst=min(burst, _MOST), queue=min(queue, _MOST))


def buckets(limits: Iterable[Limit], mtu: int) -> dict[str, Bucket]:
    """Return the bucket of each direction that has one."""
    return {limit.direction: bucket(limit, mtu) for limit in limits}


@dataclass(frozen=True)
class Held:
    """What the kernel says of a device: its root's handle and kind, and whether what comes in has filters."""

    root: str = ""
    kind: str = ""
    filters: bool = False

    @property
    def ours(self) -> bool:
        """Whether its root is ours."""
        return self.root == HANDLE

    @property
    def foreign(self) -> bool:
        """Whether somebody else has put something there; what the kernel itself puts has the handle 0."""
        return self.root not in ("", "0:", HANDLE)


def held(qdiscs: Iterable[Mapping[str, Any]]) -> dict[str, Held]:
    """Return what `tc -j qdisc show` says, by device."""
    found: dict[str, Held] = {}
    for one in qdiscs:
        before = found.get(one["dev"], Held())
        if one.get("root"):
            found[one["dev"]] = Held(one["handle"], one["kind"], before.filters)
        elif one["kind"] in ("clsact", "ingress"):
            found[one["dev"]] = Held(before.root, before.kind, filters=True)
    return found


def make(shaper: str) -> list[str]:
    """Return the commands of `ip` that make a device for queues."""
    return [
        f"link add {shaper} address {names.device_mac(shaper)} type ifb",
        f"link set {shaper} alias {names.ALIAS} addrgenmode none",
        f"link set {shaper} up",
    ]


def root(device: str, wanted: Bucket | None, has: Held) -> list[str]:
    """Return the commands for what leaves by a device. Raises ValueError when somebody else's is there."""
    if wanted is None:
        return [f"qdisc delete dev {device} root"] if has.ours else []
    if has.foreign:
        raise ValueError(
            f"{device} has a queueing discipline {has.kind} {has.root} that is not ours: remove it"
        )
    return [f"qdisc replace dev {device} root handle {HANDLE} {wanted.tbf}"]


def redirect(device: str, through: str, has: Held) -> list[str]:
    """Return the commands that lead what comes in by a device through another one."""
    return [
        *([] if has.filters else [f"qdisc add dev {device} clsact"]),
        f"filter replace dev {device} ingress pref {PREFERENCE} protocol all handle 800::1"
        f" u32 match u32 0 0 action mirred egress redirect dev {through}",
    ]


def straight(device: str) -> list[str]:
    """Return the command that lets it come in as it is; it fails where nothing is redirected."""
    return [f"filter delete dev {device} ingress pref {PREFERENCE}"]
