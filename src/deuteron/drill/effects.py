"""What each failure may cost: data that drills are held against.

A failure is (what is done, to whom, with what); the same table serves the drills, the random walk and the
failure book.
"""

from collections.abc import Iterable, Sequence

import msgspec

from deuteron.drill.acts import Act
from deuteron.drill.traffic import METADATA, OVER, Met
from deuteron.lab.modes import MODES, REPLACEMENT_MS, Mode

OUTWARD = ("SNAT", "floating IP", "IPv6")
"""The flows that cross the external network."""
LOCAL = ("floating IP", "east-west")
"""The flows that go past the central part of a router which is distributed: no failure of it touches them."""
HA = MODES["ha"]
FOR_GOOD_MS = 1e9
"""A gap that ends when somebody repairs what is broken."""
LATE_MS = 20.0
"""A probe that is sent later than this was kept from it by a busy machine, and others may have been too."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The worst that is allowed."""

    gap_ms: float = 0.0
    """Of every flow; 0 means that not one datagram is lost."""
    outward_gap_ms: float | None = None
    """Of the flows that cross the external network, where that differs."""
    after_ms: float | None = None
    """Of gaps that end after the last thing that was done, where that differs."""
    floating_gap_ms: float = 0.0
    """Of floating IPs, which go from one host to another."""
    connections_survive: bool = True
    renewals_fail: bool = False
    renewal_ms: float = 3000.0
    """Of the slowest DHCP renewal: one second of patience with a server that died, and reserve."""
    metadata_ms: float = 1000.0
    """The longest time without a good answer."""
    settled_s: float = 30.0
    """Until everything is as it shall be: the invariants hold."""
    watch_s: float = 3.0
    """How long the traffic is watched after what was done."""


NOTHING = Effect()
TAKEOVER = Effect(gap_ms=250.0)
FROZEN = Effect(gap_ms=250.0, after_ms=100.0)
UPLINK = Effect(outward_gap_ms=8000.0, watch_s=12.0)
"""A host finds out that its gateway does not answer, and the router moves without a loss of its own."""
RESPONDER = Effect(metadata_ms=2500.0)
"""The process behind metadata starts again."""
RESPONDERS = Effect(metadata_ms=5000.0)
"""The same on all hosts at once, which in a lab share one machine's processors."""
CUT_OFF = Effect(outward_gap_ms=FOR_GOOD_MS, connections_survive=False)
"""Nobody else has the router's uplink: nothing goes out until it is repaired."""
REPLACED = Effect(gap_ms=REPLACEMENT_MS, watch_s=18.0)
"""Nobody stands by: another host builds the router when the first one counts as dead."""
UNHEARD = Effect(gap_ms=100.0, watch_s=15.0)
"""A host is replaced though it lives and forwards on: the new one knows none of the connections."""
HEARD_AGAIN = Effect(gap_ms=100.0)
"""It is heard again and closes: what is on its way there is lost."""
SILENT = Effect(watch_s=15.0)
"""It costs nothing, also when the server takes hosts for dead because it hears nothing of them."""
CONVERSION = Effect(floating_gap_ms=50.0)
"""Nothing is lost inside and by SNAT; who answers for a floating IP changes."""
DARK = Effect(settled_s=90.0)
"""Nothing runs that could be watched."""

EFFECTS: dict[tuple[str, str, str], Effect] = {
    ("power off", "active", ""): TAKEOVER,
    ("freeze", "active", ""): FROZEN,
    ("cut", "active", "underlay"): TAKEOVER,
    ("cut", "active", "external"): UPLINK,
    **{("cut", who, "management"): SILENT for who in ("active", "standby", "controller")},
    ("power off", "controller", ""): SILENT,
    ("kill", "active", "keepalived"): TAKEOVER,
    ("restart", "active", "keepalived"): TAKEOVER,
    ("kill", "compute", "haproxy"): RESPONDER,
    ("restart", "compute", "haproxy"): RESPONDER,
    ("kill", "compute", "agent"): RESPONDER,
    ("restart", "compute", "agent"): RESPONDER,
    ("kill", "all agents", "agent"): RESPONDERS,
    ("restart", "all agents", "agent"): RESPONDERS,
    **{("convert", "active", mode): CONVERSION for mode in MODES},
    ("power off", "all hosts", ""): DARK,
    ("power on", "all hosts", ""): DARK,
}
"""What is not in here costs nothing, and is seen to do so soon."""
PLAIN: dict[tuple[str, str, str], Effect] = {
    ("power off", "active", ""): REPLACED,
    ("power off", "standby", ""): SILENT,
    ("freeze", "active", ""): NOTHING,
    ("cut", "active", "external"): CUT_OFF,
    ("cut", "active", "management"): UNHEARD,
    ("heal", "cut host", "management"): HEARD_AGAIN,
}
"""What differs where the central part has no standbys."""


def of(act: Act, mode: Mode = HA) -> Effect:
    """Return what an act may cost a router of some mode."""
    key = (act.do, act.who, act.what)
    found = EFFECTS.get(key, NOTHING)
    return found if mode.redundant else PLAIN.get(key, found)


def of_all(acts: Sequence[Act], mode: Mode = HA) -> Effect:
    """Return what acts that are done at once may cost: when both DHCP servers die nobody can renew."""
    effect = worst(of(act, mode) for act in acts)
    if sum(act.do == "power off" for act in acts) > 1:
        return msgspec.structs.replace(effect, renewals_fail=True)
    return effect


def worst(effects: Iterable[Effect]) -> Effect:
    """Return what several at once may cost: of each bound the widest."""
    found = NOTHING
    for one in effects:
        found = Effect(
            gap_ms=max(found.gap_ms, one.gap_ms),
            outward_gap_ms=_widest(found, one, "outward_gap_ms"),
            after_ms=_widest(found, one, "after_ms"),
            floating_gap_ms=max(found.floating_gap_ms, one.floating_gap_ms),
            connections_survive=found.connections_survive and one.connections_survive,
            renewals_fail=found.renewals_fail or one.renewals_fail,
            renewal_ms=max(found.renewal_ms, one.renewal_ms),
            metadata_ms=max(found.metadata_ms, one.metadata_ms),
            settled_s=max(found.settled_s, one.settled_s),
            watch_s=max(found.watch_s, one.watch_s),
        )
    return found


def _widest(left: Effect, right: Effect, name: str) -> float | None:
    """Return the wider of two bounds, of which an absent one is that of every gap."""
    if getattr(left, name) is None and getattr(right, name) is None:
        return None
    return max(
        max(one.gap_ms, one.outward_gap_ms or 0.0) if getattr(one, name) is None else getattr(one, name)
        for one in (left, right)
    )


def misses(effect: Effect, met: Met, mode: Mode = HA) -> list[str]:
    """Return in words what was worse than allowed."""
    return [*_lossy(effect, met, mode), *_broken(effect, met, mode), *_unserved(effect, met)]


def _lossy(effect: Effect, met: Met, mode: Mode) -> Iterable[str]:
    for name, flow in met.flows.items():
        bound = _bound(effect, name, mode)
        if flow.gap_ms > bound:
            allowed = f"at most {bound:.0f} ms" if bound else "nothing may be lost"
            late = f" (a probe was {flow.late_ms:.0f} ms late)" if flow.late_ms > LATE_MS else ""
            yield f"{name}: {flow.lost} lost, the longest gap {flow.gap_ms:.0f} ms{late}; {allowed}"
        if effect.after_ms is not None and flow.after_ms > effect.after_ms:
            yield f"{name}: a gap of {flow.after_ms:.0f} ms at the end; at most {effect.after_ms:.0f} ms"


def _bound(effect: Effect, name: str, mode: Mode) -> float:
    """Return how long a flow may be interrupted, in milliseconds."""
    bound = effect.gap_ms
    if name in OUTWARD and effect.outward_gap_ms is not None:
        bound = effect.outward_gap_ms
    if mode.distributed and name in LOCAL:
        bound = 0.0
    return max(bound, effect.floating_gap_ms) if name == "floating IP" else bound


def _broken(effect: Effect, met: Met, mode: Mode) -> Iterable[str]:
    for name, connection in met.connections.items():
        local = mode.distributed and name.removeprefix(OVER) in LOCAL
        if (effect.connections_survive or local) and not connection.survived:
            yield f"{name}: the connection broke: {connection.error}"


def _unserved(effect: Effect, met: Met) -> Iterable[str]:
    for name, service in met.services.items():
        if name not in METADATA:
            if service.failed and not effect.renewals_fail:
                yield f"{name}: {service.failed} of {service.asked} renewals failed: {service.failures[0]}"
            # One that fails is as slow as the patience of who asks.
            if service.slowest_ms > effect.renewal_ms and not (effect.renewals_fail and service.failed):
                took = f"a renewal took {service.slowest_ms:.0f} ms"
                yield f"{name}: {took}; at most {effect.renewal_ms:.0f} ms"
        elif service.slowest_ms > effect.metadata_ms:
            why = f" ({service.failures[0]})" if service.failures else ""
            silence = f"no answer for {service.slowest_ms:.0f} ms{why}"
            yield f"{name}: {silence}; at most {effect.metadata_ms:.0f} ms"


def describe(effect: Effect) -> str:
    """Say it in a few words."""
    parts = [f"gap <= {effect.gap_ms:.0f} ms" if effect.gap_ms else "0 lost"]
    if effect.outward_gap_ms is not None:
        far = f"gap outward <= {effect.outward_gap_ms:.0f} ms"
        if effect.outward_gap_ms == FOR_GOOD_MS:
            far = "outward everything"
        parts = [f"{far}, inside {parts[0]}"]
    if effect.after_ms is not None:
        parts.append(f"<= {effect.after_ms:.0f} ms at the end")
    if effect.floating_gap_ms:
        parts.append(f"floating IP <= {effect.floating_gap_ms:.0f} ms")
    parts.append("TCP survives" if effect.connections_survive else "TCP may break")
    return ", ".join(parts)
