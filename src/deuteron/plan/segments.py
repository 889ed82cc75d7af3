"""On which segment of a network a host is."""

from deuteron.plan.state import State
from deuteron.resources.segmentation import FLAT, VLAN, VXLAN, Segment, reached


def here(state: State, network: str, host: str) -> Segment | None:
    """Return the segment of a network that a host is on: its only one, or the first that the host reaches."""
    row = state.networks.get(network)
    if row is None:
        return None
    if row.type == VXLAN:
        return Segment(VXLAN, None, row.vni)
    if row.type in (VLAN, FLAT):
        return Segment(row.type, row.physical_network, row.vlan)
    there = state.hosts.get(host)
    return reached(row.several, there.physical_networks if there else ())


def tunnel_to(state: State, network: str, host: str, other: str | None) -> str | None:
    """Return the VTEP behind which another host has a network's ports; None if no tunnel leads there."""
    row, there = state.networks.get(network), state.hosts.get(other)
    if row is None or there is None or other is None or other == host:
        return None
    if row.type:
        return (there.vtep or None) if row.type == VXLAN else None
    mine = here(state, network, host)
    if mine is None or mine.type != VXLAN or mine != here(state, network, other):
        return None
    return there.vtep or None
