"""What units of several kinds say of ports."""

from deuteron.plan import units as u
from deuteron.plan.rows import Port
from deuteron.plan.state import State

SLAAC_MODES = ("slaac", "dhcpv6-stateless")


def mtu(state: State, network_id: str) -> int:
    """Return the MTU of a network."""
    row = state.networks.get(network_id)
    return row.mtu if row else 1500


def with_prefix(state: State, row: Port) -> tuple[str, ...]:
    """Return the addresses of a port, each with the prefix length of its subnet."""
    found = []
    for subnet_id, address in row.fixed_ips:
        subnet = state.subnets.get(subnet_id)
        if subnet is not None:
            found.append(f"{address}/{subnet.cidr.rpartition('/')[2]}")
    return tuple(found)


def interface(state: State, row: Port) -> u.RouterPort:
    """Return a router's port on a network that it announces itself to."""
    found = (state.subnets.get(subnet) for subnet, _ in row.fixed_ips)
    modes = [(subnet.cidr, subnet.ipv6_ra_mode) for subnet in found if subnet]
    return u.RouterPort(
        id=row.id,
        network=row.network,
        mac=row.mac,
        mtu=mtu(state, row.network),
        addresses=with_prefix(state, row),
        advertised=tuple(sorted(cidr for cidr, mode in modes if mode in SLAAC_MODES)),
        managed=tuple(sorted(cidr for cidr, mode in modes if mode == "dhcpv6-stateful")),
        other=any(mode == "dhcpv6-stateless" for _, mode in modes),
        scopes=_scopes(state, row),
    )


def silent(state: State, row: Port) -> u.RouterPort:
    """Return a router's port on a network to which it announces nothing."""
    return u.RouterPort(
        id=row.id,
        network=row.network,
        mac=row.mac,
        mtu=mtu(state, row.network),
        addresses=with_prefix(state, row),
        scopes=_scopes(state, row),
    )


def _scopes(state: State, row: Port) -> tuple[str, str]:
    """Return the address scopes of a port: of IPv4, and of IPv6. A network has one of each at most."""
    subnets = [found for subnet, _ in row.fixed_ips if (found := state.subnets.get(subnet))]
    of_4, of_6 = ({one.scope for one in subnets if (":" in one.cidr) == six} for six in (False, True))
    return max(of_4, default=""), max(of_6, default="")
