"""What the filtered ports of one host need to know: their groups, and whom the rules of those name."""

from collections.abc import Iterator

from deuteron.plan import units as u
from deuteron.plan.state import State


def keys(state: State, host: str) -> Iterator[str]:
    """Yield the keys of units that the filtered ports of a host may need."""
    groups = [state.security_groups.get(id_) for id_ in state.groups_at.things.get(host, ())]
    yield from (f"securitygroup/{group.id}" for group in groups if group)
    for id_ in {remote for group in groups if group for remote in group.remote_groups}:
        yield from (f"member/{port.id}" for port in state.ports.by("group", id_))
    for id_ in {named for group in groups if group for named in group.address_groups}:
        yield f"addressgroup/{id_}"


def security_group(state: State, host: str, id_: str) -> u.SecurityGroup | None:
    """Return a security group that a filtered port of this host has."""
    row = state.security_groups.get(id_)
    if row is None or host not in state.groups_at.hosts.get(id_, ()):
        return None
    return u.SecurityGroup(id=id_, stateful=row.stateful, rules=row.rules)


def member(state: State, host: str, id_: str) -> u.Member | None:
    """Return a port whose addresses the rules for ports of this host name by one of its groups."""
    row = state.ports.get(id_)
    if row is None or not row.is_filtered:
        return None
    groups = tuple(
        group
        for group in row.security_groups
        if any(
            host in state.groups_at.hosts.get(by.id, ()) for by in state.security_groups.by("remote", group)
        )
    )
    if not groups:
        return None
    addresses = {*(address for _, address in row.fixed_ips), *(address for _, address in row.pairs)}
    return u.Member(id=id_, groups=groups, addresses=tuple(sorted(addresses)))


def address_group(state: State, host: str, id_: str) -> u.AddressGroup | None:
    """Return an address group that the rules for ports of this host name."""
    row = state.address_groups.get(id_)
    users = state.security_groups.by("addresses", id_)
    if row is None or not any(host in state.groups_at.hosts.get(user.id, ()) for user in users):
        return None
    return u.AddressGroup(id=id_, addresses=row.addresses)
