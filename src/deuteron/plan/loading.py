"""Rows of the database as rows of the state: all of them, or those that the change log names."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from deuteron.plan import instances_loading, qos_loading, services_loading
from deuteron.plan import rows as s
from deuteron.plan.plans import Change
from deuteron.plan.state import State
from deuteron.plan.units import Forwarding, SecurityRule
from deuteron.resources import (
    address_group,
    conversion,
    floatingip,
    hosts,
    network,
    port,
    port_binding,
    port_forwarding,
    router,
    security_group,
    security_rules,
    segment,
    subnet,
    subnetpool,
    trunk,
)
from deuteron.resources.ipam import fixed_ip
from deuteron.resources.owners import HA_PORT
from deuteron.resources.segmentation import VLAN, VXLAN, Segment
from deuteron.store import Cursor, Tx, feed

_CHUNK = 500
_LOGGED = 1000

Ids = Collection[str] | None
"""Of which objects; None for all."""


def snapshot(tx: Tx) -> tuple[State, Cursor]:
    """Return the whole state, and the place in the change log from which on it has to be followed."""
    cursor = feed.head(tx)
    state = State()
    for kind, load in LOADERS.values():
        for row in load(tx, None):
            state.replace(kind, row.id, row)
    return state, cursor


def changes(tx: Tx, cursor: Cursor) -> tuple[list[Change], Cursor]:
    """Return all that changed after a cursor, as it is now, and the new cursor. Raises TooOld."""
    named: dict[str, set[str]] = defaultdict(set)
    more = True
    while more:
        logged, cursor = feed.read(tx, cursor, _LOGGED)
        for change in logged:
            if change.kind in LOADERS:
                named[change.kind].add(change.object_id)
        more = len(logged) == _LOGGED
    found = []
    for name, ids in named.items():
        kind, load = LOADERS[name]
        present = {row.id: row for part in _parts(sorted(ids)) for row in load(tx, part)}
        found += [Change(kind, id_, present.get(id_)) for id_ in sorted(ids)]
    return found, cursor


def _parts(ids: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(ids), _CHUNK):
        yield ids[begin : begin + _CHUNK]


def _of(statement: Select[Any], column: ColumnElement[Any], ids: Ids) -> Select[Any]:
    return statement if ids is None else statement.where(column.in_(ids))


def _networks(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    c, qos = network.resource.table.c, qos_loading.of(tx, "network", ids)
    columns = (c.id, c.provider_network_type, c.mtu, c.provider_segmentation_id, c.provider_physical_network)
    several = _segments(tx, ids)
    for row in tx.execute(_of(select(*columns), c.id, ids)):
        kind, number = row.provider_network_type, row.provider_segmentation_id
        yield s.Network(
            id=row.id,
            type=kind,
            mtu=max(row.mtu, network.IPV4_MIN_MTU),  # no device has less
            vni=number if kind == VXLAN else None,
            physical_network=row.provider_physical_network,
            vlan=number if kind == VLAN else None,
            several=tuple(several[row.id]),
            qos=qos.get(row.id),
        )


def _segments(tx: Tx, ids: Ids) -> dict[str, list[Segment]]:
    """Return the segments of networks that have several."""
    c, home = segment.resource.table.c, network.resource.table
    joined = select(c.network_id, c.network_type, c.physical_network, c.segmentation_id)
    joined = joined.join(home, home.c.id == c.network_id).where(home.c.provider_network_type == "")
    found: dict[str, list[Segment]] = defaultdict(list)
    for row in tx.execute(_of(joined, c.network_id, ids).order_by(c.segment_index, c.id)):
        found[row.network_id].append(Segment(row.network_type, row.physical_network, row.segmentation_id))
    return found


def _subnets(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table, pools = subnet.resource.table, subnetpool.resource.table
    with_pools = table.outerjoin(pools, pools.c.id == table.c.subnetpool_id)
    statement = select(table, pools.c.address_scope_id).select_from(with_pools)
    for row in tx.execute(_of(statement, table.c.id, ids)):
        yield s.Subnet(
            id=row.id,
            network=row.network_id,
            cidr=row.cidr,
            gateway_ip=row.gateway_ip,
            enable_dhcp=row.enable_dhcp,
            dns_nameservers=tuple(row.dns_nameservers),
            host_routes=_routes(row.host_routes),
            ipv6_ra_mode=row.ipv6_ra_mode,
            ipv6_address_mode=row.ipv6_address_mode,
            scope=row.address_scope_id or "",
        )


def _routes(routes: Iterable[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((route["destination"], route["nexthop"]) for route in routes))


def _ports(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    c = port.resource.table.c
    addresses: Select[Any] = select(fixed_ip.c.port_id, fixed_ip.c.subnet_id, fixed_ip.c.ip_address)
    addresses = _of(addresses, fixed_ip.c.port_id, ids).order_by(fixed_ip.c.position, fixed_ip.c.ip_address)
    fixed: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in tx.execute(addresses):
        fixed[row.port_id].append((row.subnet_id, row.ip_address))
    columns = (
        c.id,
        c.network_id,
        c.mac_address,
        c.project_id,
        c.device_id,
        c.device_owner,
        c.binding_host_id,
        c.admin_state_up,
        c.dns_name,
        c.extra_dhcp_opts,
        c.port_security_enabled,
        c.allowed_address_pairs,
    )
    groups, parents = _groups_of_ports(tx, ids), _parents(tx, ids)
    waiting = port_binding.waiting_hosts(tx, ids)
    qos = qos_loading.of(tx, "port", ids)
    seen = select(*columns).where(c.device_owner != HA_PORT)  # no host has anything of a router's HA ports
    for row in tx.execute(_of(seen, c.id, ids)):
        yield s.Port(
            id=row.id,
            network=row.network_id,
            mac=row.mac_address,
            project_id=row.project_id,
            device_id=row.device_id,
            device_owner=row.device_owner,
            host=row.binding_host_id,
            waiting=tuple(sorted(waiting.get(row.id, ()))),
            parent=parents.get(row.id, ("", 0))[0],
            vlan=parents.get(row.id, ("", 0))[1],
            admin_state_up=row.admin_state_up,
            dns_name=row.dns_name,
            fixed_ips=tuple(fixed[row.id]),
            dhcp_options=_dhcp_options(row.extra_dhcp_opts),
            security=row.port_security_enabled,
            pairs=_pairs(row.mac_address, row.allowed_address_pairs),
            security_groups=tuple(sorted(groups[row.id])),
            qos=qos.get(row.id),
        )


def _groups_of_ports(tx: Tx, ids: Ids) -> dict[str, list[str]]:
    table = security_group.port_group
    found: dict[str, list[str]] = defaultdict(list)
    for row in tx.execute(_of(select(table.c.port_id, table.c.security_group_id), table.c.port_id, ids)):
        found[row.port_id].append(row.security_group_id)
    return found


def _parents(tx: Tx, ids: Ids) -> dict[str, tuple[str, int]]:
    """Return of each subport the port that carries it, and the VLAN tag."""
    table, trunks = trunk.subport, trunk.resource.table
    joined = select(table.c.port_id, trunks.c.port_id.label("parent"), table.c.segmentation_id)
    joined = joined.join(trunks, trunks.c.id == table.c.trunk_id)
    found = tx.execute(_of(joined, table.c.port_id, ids))
    return {row.port_id: (row.parent, row.segmentation_id) for row in found}


def _pairs(mac: str, pairs: Iterable[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((one.get("mac_address", mac), one["ip_address"]) for one in pairs))


def _dhcp_options(options: Iterable[dict[str, Any]]) -> tuple[tuple[int, str, str], ...]:
    return tuple(sorted((one["ip_version"], one["opt_name"], one["opt_value"]) for one in options))


def _security_groups(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table, rule = security_group.resource.table, security_group.rule.table
    rules: dict[str, list[Any]] = defaultdict(list)
    for row in tx.execute(_of(select(rule), rule.c.security_group_id, ids)):
        rules[row.security_group_id].append(row)
    for row in tx.execute(_of(select(table.c.id, table.c.stateful), table.c.id, ids)):
        made = sorted((_security_rule(one) for one in rules[row.id]), key=repr)
        yield s.SecurityGroup(id=row.id, stateful=row.stateful, rules=tuple(made))


def _security_rule(row: Any) -> SecurityRule:
    return SecurityRule(
        direction=row.direction,
        version=4 if row.ethertype == "IPv4" else 6,
        protocol=security_rules.number(row.protocol),
        port_min=row.port_range_min,
        port_max=row.port_range_max,
        remote_prefix=row.remote_ip_prefix,
        remote_group=row.remote_group_id,
        remote_address_group=row.remote_address_group_id,
    )


def _address_groups(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    c = address_group.resource.table.c
    for row in tx.execute(_of(select(c.id, c.addresses), c.id, ids)):
        yield s.AddressGroup(id=row.id, addresses=tuple(sorted(row.addresses)))


def _routers(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    services = services_loading.Loaded(tx, ids)
    c, qos = router.resource.table.c, qos_loading.of(tx, "router", ids)
    own = (c.id, c.number, c.project_id, c.admin_state_up, c.enable_snat, c.routes, c.gw_port_id)
    for row in tx.execute(_of(select(*own, c.rung, c.rung_host), c.id, ids)):
        yield s.Router(
            id=row.id,
            number=row.number,
            admin_state_up=row.admin_state_up,
            enable_snat=row.enable_snat,
            routes=_routes(row.routes),
            project=row.project_id,
            **services.of(row.id)._asdict(),
            rung=row.rung,
            rung_host=row.rung_host,
            qos=qos.get(row.id),
            gateway=row.gw_port_id,
        )


def _floating_ips(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    c, forwardings = floatingip.resource.table.c, _forwardings(tx, ids)
    qos = qos_loading.of(tx, "floatingip", ids)
    columns = (
        c.id,
        c.floating_ip_address,
        c.floating_network_id,
        c.router_id,
        c.port_id,
        c.fixed_ip_address,
    )
    for row in tx.execute(_of(select(*columns), c.id, ids)):
        yield s.FloatingIP(
            id=row.id,
            floating_ip=row.floating_ip_address,
            network=row.floating_network_id,
            router=row.router_id,
            port=row.port_id,
            fixed_ip=row.fixed_ip_address,
            qos=qos.get(row.id),
            forwardings=tuple(sorted(forwardings[row.id], key=lambda one: (one.protocol, one.external))),
        )


def _forwardings(tx: Tx, ids: Ids) -> dict[str, list[Forwarding]]:
    table = port_forwarding.resource.table
    found: dict[str, list[Forwarding]] = defaultdict(list)
    for row in tx.execute(_of(select(table), table.c.floatingip_id, ids)):
        one = Forwarding(
            protocol=row.protocol,
            external=port_forwarding.ports(row.external_port_range),
            fixed_ip=row.internal_ip_address,
            internal=port_forwarding.ports(row.internal_port_range),
        )
        found[row.floatingip_id].append(one)
    return found


def _hosts(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    c = hosts.host.c
    columns = (c.name, c.vtep, c.roles, c.agent_mode, c.physical_networks, c.dvr_mac)
    for row in tx.execute(_of(select(*columns), c.name, ids)):
        yield s.Host(
            id=row.name,
            vtep=row.vtep,
            roles=tuple(row.roles),
            agent_mode=row.agent_mode,
            physical_networks=tuple(row.physical_networks),
            dvr_mac=row.dvr_mac or "",
        )


def _dhcp_servers(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table = hosts.dhcp_server
    for row in tx.execute(_of(select(table), table.c.network_id, _first_parts(ids))):
        id_ = f"{row.network_id}/{row.slot}"
        yield s.DhcpServer(id=id_, network=row.network_id, host=row.host, port=row.port_id)


def _candidates(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table = hosts.router_candidate
    for row in tx.execute(_of(select(table), table.c.router_id, _first_parts(ids))):
        yield s.Candidate(
            id=f"{row.router_id}/{row.host}",
            router=row.router_id,
            host=row.host,
            position=row.position,
            gate=row.gate,
            election=row.election_id,
            draining=row.draining,
            version=row.version,
            applied=row.applied,
            copying=row.copying,
        )


def _router_parts(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table = conversion.router_part
    for row in tx.execute(_of(select(table), table.c.router_id, _first_parts(ids))):
        id_ = f"{row.router_id}/{row.host}"
        yield s.Part(id=id_, router=row.router_id, host=row.host, version=row.version, applied=row.applied)


def _first_parts(ids: Ids) -> Ids:
    """Return the first halves of two-part ids: too much is loaded, and left out by who asked."""
    return None if ids is None else {id_.partition("/")[0] for id_ in ids}


def _elections(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table, member = hosts.election, hosts.election_member
    said: dict[str, list[Any]] = defaultdict(list)
    for row in tx.execute(_of(select(member), member.c.election_id, ids)):
        if row.state == "active" or row.yields_to:
            said[row.election_id].append(row)
    for row in tx.execute(_of(select(table).where(table.c.retired.is_(None)), table.c.id, ids)):
        yield s.Election(
            id=row.id,
            ha_network=row.ha_network_id,
            vrid=row.vrid,
            advert_ms=row.advert_ms,
            candidates=tuple(row.candidates),
            joined=row.joined,
            active=row.active,
            claims=tuple(sorted((one.host, one.since, one.yields_to or "") for one in said[row.id])),
            contested=_contested(said[row.id]),
        )


def _contested(members: Iterable[Any]) -> float:
    heard = [row.heard for row in members if row.state == "active"]
    return max(heard) if len(heard) > 1 else 0.0


def _instances(tx: Tx, ids: Ids) -> Iterator[s.Row]:
    table = hosts.instance_metadata
    for row in tx.execute(_of(select(table), table.c.device_id, ids)):
        yield s.Instance(
            id=row.device_id,
            name=row.name,
            user_data=row.user_data,
            public_keys=row.public_keys,
            metadata=row.metadata,
        )


LOADERS: dict[str, tuple[type[s.Row], Callable[[Tx, Ids], Iterator[s.Row]]]] = {
    "network": (s.Network, _networks),
    "subnet": (s.Subnet, _subnets),
    "port": (s.Port, _ports),
    "policy": (s.QosPolicy, qos_loading.policies),
    "security_group": (s.SecurityGroup, _security_groups),
    "address_group": (s.AddressGroup, _address_groups),
    "router": (s.Router, _routers),
    "floatingip": (s.FloatingIP, _floating_ips),
    "metering_label": (s.MeteringLabel, services_loading.metering_labels),
    "log": (s.PacketLog, instances_loading.logs),
    "local_ip_port_association": (s.LocalIP, instances_loading.local_ips),
    "host": (s.Host, _hosts),
    "dhcp_server": (s.DhcpServer, _dhcp_servers),
    "router_candidate": (s.Candidate, _candidates),
    "router_part": (s.Part, _router_parts),
    "election": (s.Election, _elections),
    "instance": (s.Instance, _instances),
}
"""By the change log's kind."""
