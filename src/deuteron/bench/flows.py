"""Traffic through a router, and how it took what happened meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deuteron.lab.probing import Prober
from deuteron.lab.state import Lab


@dataclass(frozen=True)
class Flow:
    """What a UDP echo every 2 ms and a TCP connection beside it met."""

    lost: int
    """Datagrams without an answer."""
    gap_ms: float
    """The longest run of them."""
    tcp_survived: bool
    tcp_stall_ms: float
    """The longest time in which nothing came back on the connection."""
    late_ms: float
    """How late the latest datagram was sent: a busy machine, no fault of the network."""


class Flows:
    """Probes by UDP and TCP on each way, name -> (who sends, address), as long as the `with` block."""

    def __init__(self, lab: str, ways: Mapping[str, tuple[str, str]]) -> None:
        """Start, and return when everything is answered. Raises LabError."""
        self._probers: dict[str, Prober] = {}
        try:
            for name, (place, address) in ways.items():
                self._probers[name] = Prober(Lab(lab), place, [f"udp:{address}", f"tcp:{address}"])
            for prober in self._probers.values():
                prober.wait_ready()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "Flows":
        return self

    def __exit__(self, *_: object) -> None:
        for prober in self._probers.values():
            prober.kill()

    def stop(self) -> dict[str, Flow]:
        """End the traffic; return what each flow met. Raises LabError."""
        found = {name: flow(*prober.stop()) for name, prober in self._probers.items()}
        self._probers = {}
        return found


def flow(udp: Mapping[str, Any], tcp: Mapping[str, Any]) -> Flow:
    """Return what the results of the two probes of a flow say."""
    return Flow(
        lost=udp["lost"],
        gap_ms=udp["longest_gap_ms"],
        tcp_survived=tcp["survived"],
        tcp_stall_ms=tcp["longest_stall_ms"],
        late_ms=udp["own_delay_max_ms"],
    )


def lateness(rounds: Sequence[Mapping[str, Flow]]) -> str:
    """Say how much the probes themselves were disturbed."""
    latest = max((flow.late_ms for one in rounds for flow in one.values()), default=0.0)
    return f"the latest of all probes was sent {latest:.1f} ms too late"
