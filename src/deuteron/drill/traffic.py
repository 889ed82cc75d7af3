"""Everything that goes through the router or asks for something while hosts fail, and how it took it."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec

from deuteron.drill.stage import CLIENT, NEIGHBOUR, OUTSIDE, SERVED, Stage
from deuteron.lab.probing import Prober, alone
from deuteron.lab.scene import INTERNET

INTERNET_V6 = "2001:db8:51::1"
SLOW_MS = 5.0
"""Between two probes of the flows inside: of 2 ms they exceed what real-time processes are granted."""
_DOCUMENT = "openstack/latest/meta_data.json"
METADATA = {
    "metadata": f"http:169.254.169.254/{_DOCUMENT}",
    "metadata by IPv6": f"http:[fe80::a9fe:a9fe%eth0]/{_DOCUMENT}",
}
"""Where metadata is asked for: name of the service -> target."""
READY_SECONDS = 30.0
OVER = "TCP by "
"""A connection goes by this and the name of the flow whose way it takes."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Datagrams at absolute times."""

    lost: int
    gap_ms: float
    """The longest run of lost ones."""
    after_ms: float
    """The longest of those that ended after the last thing was done."""
    gaps: list[dict[str, float]]
    late_ms: float
    """How late the latest was sent: a busy machine, no fault of the network."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """An open TCP connection."""

    survived: bool
    stall_ms: float
    error: str


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Questions asked again and again: DHCP renewals, metadata."""

    asked: int
    failed: int
    slowest_ms: float
    """Of renewals the slowest one, of documents the longest time between two."""
    failures: list[str]
    slow: list[dict[str, Any]] = []
    """Of renewals: when each slow one was, and which servers were asked and answered."""


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """What the traffic met while something was done."""

    flows: dict[str, Flow]
    connections: dict[str, Connection]
    services: dict[str, Service]

    @property
    def lost(self) -> int:
        """Datagrams of all flows that were not answered."""
        return sum(flow.lost for flow in self.flows.values())

    @property
    def metadata_ms(self) -> float:
        """The longest time without metadata, by either address."""
        return max(
            (self.services[name].slowest_ms for name in METADATA if name in self.services), default=0.0
        )

    @property
    def gap_ms(self) -> float:
        """The longest gap of all flows."""
        return max((flow.gap_ms for flow in self.flows.values()), default=0.0)


def sources(stage: Stage) -> list[tuple[str, list[str], float, list[str]]]:
    """Return (where from, targets, milliseconds, name of each flow) of every prober."""
    floating, neighbour = stage.floating_ip, stage.addresses[NEIGHBOUR]
    return [
        (CLIENT, [f"udp:{INTERNET}", f"tcp:{INTERNET}"], 2.0, ["SNAT", f"{OVER}SNAT"]),
        (OUTSIDE, [f"udp:{floating}", f"tcp:{floating}"], 2.0, ["floating IP", f"{OVER}floating IP"]),
        (CLIENT, [f"udp:{neighbour}", f"udp:{INTERNET_V6}"], SLOW_MS, ["east-west", "IPv6"]),
        (SERVED, ["dhcp:eth0"], 0.0, ["DHCP"]),
        (CLIENT, list(METADATA.values()), 0.0, list(METADATA)),
    ]


class Traffic:
    """All of it, from the beginning of a `with` block until `stop`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stack = ExitStack()
        self._probers: list[tuple[Prober, list[str]]] = []

    def __enter__(self) -> "Traffic":
        """Start, and return when everything is answered. Raises LabError."""
        try:
            self._stack.enter_context(alone())
            for place, targets, milliseconds, names in sources(self._stage):
                prober = Prober(self._stage.lab, place, targets, milliseconds)
                self._stack.callback(prober.kill)
                self._probers.append((prober, names))
            for prober, _ in self._probers:
                prober.wait_ready(READY_SECONDS)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self, last_act: float) -> Met:
        """End it; return what it met. `last_act` is the Unix time of the last thing done. Raises LabError."""
        found: dict[str, dict[str, Any]] = {}
        for prober, _ in self._probers:
            prober.end()
        for prober, names in self._probers:
            found |= dict(zip(names, prober.stop(), strict=True))
        self._stack.close()
        return met(found, last_act)


def met(results: Mapping[str, Mapping[str, Any]], last_act: float) -> Met:
    """Return what the results of the probers, by the names of their flows, say."""
    flows, connections, services = {}, {}, {}
    for name, result in results.items():
        if result["kind"] == "udp":
            flows[name] = Flow(
                lost=result["lost"],
                gap_ms=result["longest_gap_ms"],
                after_ms=_after(result["gaps"], last_act),
                gaps=result["gaps"],
                late_ms=result["own_delay_max_ms"],
            )
        elif result["kind"] == "tcp":
            connections[name] = Connection(
                survived=result["survived"], stall_ms=result["longest_stall_ms"], error=result["error"]
            )
        else:
            slowest = result["slowest_ms"] if result["kind"] == "dhcp" else result["longest_silence_ms"]
            services[name] = Service(
                asked=result["asked"],
                failed=result["failed"],
                slowest_ms=slowest,
                failures=result["failures"],
                slow=result.get("slow", []),
            )
    return Met(flows=flows, connections=connections, services=services)


def _after(gaps: Sequence[Mapping[str, float]], last_act: float) -> float:
    ends = [(gap["at"] + gap["ms"] / 1000, gap["ms"]) for gap in gaps]
    return max((ms for end, ms in ends if end > last_act), default=0.0)
