"""QoS: which policy counts for a port, a floating IP, a gateway, and what it says to the host."""

from collections.abc import Iterator

from deuteron.plan import units as u
from deuteron.plan.rows import FloatingIP, Port, QosPolicy, Router
from deuteron.plan.state import State


def hosts(state: State, row: Port) -> Iterator[str]:
    """Yield the hosts that hold a port to its policy: an instance's, and those of a router's gateway."""
    if row.is_instance:
        yield from row.guest_hosts
    elif row.is_gateway:
        yield from (candidate.host for candidate in state.candidates.by("router", row.device_id))


def keys(state: State, host: str) -> Iterator[str]:
    """Yield the keys of units that the ports of a host may need."""
    yield from (f"qos/{port.id}" for port in state.ports.by("host", host))
    for candidate in state.candidates.by("host", host):
        yield from (f"qos/{port.id}" for port in state.ports.by("router", candidate.router))


def port(state: State, host: str, id_: str) -> u.Qos | None:
    """Return what a port on this host is held to: its own policy, or else its network's."""
    row = state.ports.get(id_)
    if row is None or host not in hosts(state, row):
        return None
    network = state.networks.get(row.network)
    policy = state.qos_policies.get(row.qos or (network.qos if network else None))
    if policy is None or not (policy.bandwidth or policy.packets or policy.dscp is not None):
        return None
    return u.Qos(
        id=id_,
        mtu=network.mtu if network else 1500,
        bandwidth=policy.bandwidth,
        packets=policy.packets,
        dscp=policy.dscp,
    )


def bandwidth(state: State, row: FloatingIP | Router) -> tuple[u.Limit, ...]:
    """Return what a floating IP, or the gateway address of a router, is held to."""
    policy = state.qos_policies.get(row.qos)
    return policy.bandwidth if policy else ()


def ports_with(state: State, policy: QosPolicy) -> Iterator[Port]:
    """Yield the ports for which a policy may count."""
    yield from state.ports.by("qos", policy.id)
    for network in state.networks.by("qos", policy.id):
        yield from state.ports.by("network", network.id)
