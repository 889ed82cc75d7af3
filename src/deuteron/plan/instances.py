"""What instances' ports have besides: packets that are written down, and local IPs."""

from collections.abc import Iterator

from deuteron.plan import units as u
from deuteron.plan.rows import PacketLog, Port
from deuteron.plan.state import State


def keys(state: State, host: str) -> Iterator[str]:
    """Yield the keys of units that the ports of a host may need."""
    for port in state.ports.by("host", host):
        yield f"logged/{port.id}"
        yield from (f"localip/{one.id}" for one in state.local_ips.by("port", port.id))


def logged(state: State, host: str, id_: str) -> u.Logged | None:
    """Return what is written down of the packets of a filtered port."""
    row = state.ports.get(id_)
    if row is None or not row.is_filtered or host not in row.guest_hosts:
        return None
    found = [*state.logs.by("port", id_), *state.logs.by("project", row.project_id)]
    found += [one for group in row.security_groups for one in state.logs.by("group", group)]
    logs = [one.log for one in found if not one.log.group or one.log.group in row.security_groups]
    return u.Logged(id=id_, logs=tuple(sorted(logs, key=lambda log: log.id))) if logs else None


def ports_of(state: State, row: PacketLog) -> Iterator[Port]:
    """Yield the ports that a log may be of."""
    if row.port and (port := state.ports.get(row.port)):
        yield port
    if row.group:
        yield from state.ports.by("group", row.group)
    if row.project is not None:
        yield from state.ports.by("project", row.project)


def local_ip(state: State, host: str, id_: str) -> u.LocalIP | None:
    """Return a local IP that leads to a port of this host."""
    row = state.local_ips.get(id_)
    port = state.ports.get(row.port) if row else None
    local = state.ports.get(row.local_port) if row else None
    if row is None or port is None or local is None or host not in port.guest_hosts:
        return None
    return u.LocalIP(
        id=id_,
        network=port.network,
        address=row.address,
        mac=local.mac,
        port=port.id,
        port_mac=port.mac,
        fixed_ip=row.fixed_ip if row.translates else "",
    )
