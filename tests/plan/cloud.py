"""Small random clouds: any row of any kind, consistent or not, since changes may arrive in any order."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from deuteron.plan import rows as s
from deuteron.plan.plans import Change
from deuteron.plan.units import Forwarding, Helper, Limit, Log, MeterRule, SecurityRule
from deuteron.resources import owners
from deuteron.resources.distribution import Rung
from deuteron.resources.segmentation import Segment

HOSTS = ["h1", "h2", "h3"]
NETWORKS = ["n1", "n2", "n3"]
SUBNETS = ["s1", "s2", "s6"]
PORTS = [f"p{i}" for i in range(7)]
ROUTERS = ["r1", "r2"]
ELECTIONS = ["e1", "e2"]
DEVICES = ["i1", "i2"]
GROUPS = ["g1", "g2"]
ADDRESS_GROUPS = ["a1", "a2"]
POLICIES = ["q1", "q2"]
OWNERS = [
    "",
    "compute:nova",
    owners.DHCP,
    "network:router_interface",
    "network:ha_router_replicated_interface",
    owners.ROUTER_GATEWAY,
    owners.HEARTBEAT,
    "network:floatingip",
    owners.ROUTER_DISTRIBUTED_INTERFACE,
    owners.ROUTER_SNAT,
    owners.AGENT_GATEWAY,
]

projects = st.sampled_from(["one", "two"])
SSH = Forwarding(protocol="tcp", external=(2222, 2222), fixed_ip="10.0.0.9", internal=(22, 22))

hosts = st.sampled_from(HOSTS)
networks = st.sampled_from(NETWORKS)
routers = st.sampled_from(ROUTERS)
elections = st.sampled_from(ELECTIONS)
ports = st.sampled_from(PORTS)
policies = st.sampled_from([None, None, *POLICIES])
limits = st.sampled_from([(), (Limit(direction="egress", rate=1000),)])


def _network(id_: str) -> st.SearchStrategy[s.Row]:
    segments = st.sampled_from([Segment("vlan", "x", 7), Segment("vxlan", None, 8), Segment("flat", "y")])
    several = st.lists(segments, max_size=3, unique=True).map(tuple)
    kind = st.sampled_from(["vxlan", "vxlan", "flat", "vlan", ""])
    return st.tuples(kind, several).flatmap(
        lambda found: st.builds(
            s.Network,
            id=st.just(id_),
            type=st.just(found[0]),
            mtu=st.sampled_from([1450, 1500]),
            vni=st.just(NETWORKS.index(id_) + 1),
            vlan=st.just(7),
            physical_network=st.sampled_from([None, "x"]),
            several=st.just(found[1] if not found[0] else ()),
            qos=policies,
        )
    )


def _subnet(id_: str) -> st.SearchStrategy[s.Row]:
    six = id_ == "s6"
    return st.builds(
        s.Subnet,
        id=st.just(id_),
        network=networks,
        cidr=st.just("2001:db8::/64" if six else "10.0.0.0/24"),
        gateway_ip=st.sampled_from([None, "2001:db8::1" if six else "10.0.0.1"]),
        enable_dhcp=st.booleans(),
        dns_nameservers=st.sampled_from([(), ("192.0.2.53",)]),
        ipv6_ra_mode=st.sampled_from(
            [None, "slaac", "dhcpv6-stateful", "dhcpv6-stateless"] if six else [None]
        ),
        scope=st.sampled_from(["", "scope"]),
    )


def _without_own_host(row: s.Port) -> s.Port:
    return msgspec.structs.replace(row, waiting=tuple(host for host in row.waiting if host != row.host))


def _port(id_: str) -> st.SearchStrategy[s.Row]:
    return st.builds(
        s.Port,
        id=st.just(id_),
        network=networks,
        mac=st.just(f"fa:16:3e:00:00:{PORTS.index(id_):02x}"),
        project_id=projects,
        device_id=st.sampled_from(["", *ROUTERS, *DEVICES]),
        device_owner=st.sampled_from(OWNERS),
        host=st.sampled_from(["", *HOSTS]),
        admin_state_up=st.booleans(),
        dns_name=st.sampled_from(["", "web"]),
        dhcp_options=st.sampled_from([(), ((4, "mtu", "1400"),)]),
        security=st.booleans(),
        security_groups=st.sampled_from([(), ("g1",), ("g2",), ("g1", "g2")]),
        pairs=st.sampled_from([(), (("fa:16:3e:00:00:01", "10.0.0.0/28"),)]),
        fixed_ips=st.lists(st.sampled_from(SUBNETS), unique=True, max_size=2).map(
            lambda found: tuple(sorted((x, "2001:db8::9" if x == "s6" else "10.0.0.9") for x in found))
        ),
        waiting=st.sampled_from([(), ("h1",), ("h2", "h3")]),
        qos=policies,
        parent=st.sampled_from(["", "p0"]),
        vlan=st.sampled_from([0, 7]),
    ).map(_without_own_host)


rules = st.builds(
    SecurityRule,
    direction=st.just("ingress"),
    version=st.just(4),
    remote_group=st.sampled_from([None, *GROUPS]),
    remote_address_group=st.sampled_from([None, *ADDRESS_GROUPS]),
)


def _group(id_: str) -> st.SearchStrategy[s.Row]:
    return st.builds(
        s.SecurityGroup,
        id=st.just(id_),
        stateful=st.booleans(),
        rules=st.lists(rules, max_size=2).map(tuple),
    )


def _router(id_: str) -> st.SearchStrategy[s.Row]:
    return st.builds(
        s.Router,
        id=st.just(id_),
        number=st.just(1),
        admin_state_up=st.booleans(),
        enable_snat=st.booleans(),
        project=projects,
        helpers=st.sampled_from([(), (Helper(name="ftp", protocol="tcp", port=21),)]),
        ndp_proxy=st.booleans(),
        proxied=st.sampled_from([(), ("2001:db8::9",)]),
        routes=st.sampled_from([(), (("10.5.0.0/16", "10.0.0.9"),), (("10.6.0.0/16", "10.0.0.7"),)]),
        rung=st.sampled_from([0, 0, *[Rung.DISTRIBUTED] * 3, *Rung]),
        rung_host=st.sampled_from(["", *HOSTS]),
        qos=policies,
    )


def _candidate(id_: str) -> st.SearchStrategy[s.Row]:
    router, _, host = id_.partition("/")
    return st.builds(
        s.Candidate,
        id=st.just(id_),
        router=st.just(router),
        host=st.just(host),
        position=st.integers(0, 2),
        gate=st.sampled_from(["election", "open", "closed"]),
        election=st.sampled_from([None, *ELECTIONS]),
        draining=st.booleans(),
    )


def _election(id_: str) -> st.SearchStrategy[s.Row]:
    return st.builds(
        s.Election,
        id=st.just(id_),
        ha_network=networks,
        vrid=st.just(ELECTIONS.index(id_) + 1),
        advert_ms=st.just(20),
        candidates=st.permutations(HOSTS).map(lambda found: tuple(found[:2])),
        active=st.sampled_from([None, *HOSTS]),
        joined=st.booleans(),
    )


ROWS: dict[type[s.Row], st.SearchStrategy[s.Row]] = {
    s.Network: networks.flatmap(_network),
    s.Subnet: st.sampled_from(SUBNETS).flatmap(_subnet),
    s.Port: ports.flatmap(_port),
    s.Router: routers.flatmap(_router),
    s.SecurityGroup: st.sampled_from(GROUPS).flatmap(_group),
    s.AddressGroup: st.builds(
        s.AddressGroup,
        id=st.sampled_from(ADDRESS_GROUPS),
        addresses=st.sampled_from([(), ("10.0.0.0/8",)]),
    ),
    s.QosPolicy: st.builds(
        s.QosPolicy,
        id=st.sampled_from(POLICIES),
        bandwidth=limits,
        packets=limits,
        dscp=st.sampled_from([None, 26]),
    ),
    s.MeteringLabel: st.builds(
        s.MeteringLabel,
        id=st.sampled_from(["m1", "m2"]),
        project=projects | st.none(),
        rules=st.sampled_from([(), (MeterRule(direction="egress", source="10.0.0.0/8"),)]),
    ),
    s.PacketLog: st.builds(
        s.PacketLog,
        id=st.sampled_from(["l1", "l2"]),
        log=st.builds(
            Log,
            id=st.sampled_from(["l1", "l2"]),
            project=projects,
            event=st.sampled_from(["ALL", "DROP"]),
            group=st.sampled_from(["", *GROUPS]),
        ),
        router=st.sampled_from(["", "", *ROUTERS]),
        port=st.sampled_from(["", *PORTS]),
    ),
    s.LocalIP: st.builds(
        s.LocalIP,
        id=st.sampled_from(["x1", "x2"]),
        address=st.just("10.0.0.50"),
        local_port=ports,
        port=ports,
        fixed_ip=st.just("10.0.0.9"),
        translates=st.booleans(),
    ),
    s.FloatingIP: st.builds(
        s.FloatingIP,
        id=st.sampled_from(["f1", "f2"]),
        floating_ip=st.just("203.0.113.9"),
        router=st.sampled_from([None, *ROUTERS]),
        port=st.sampled_from([None, *PORTS]),
        fixed_ip=st.sampled_from([None, "10.0.0.9"]),
        forwardings=st.sampled_from([(), (SSH,)]),
        qos=policies,
    ),
    s.Host: st.builds(
        s.Host,
        id=hosts,
        vtep=st.sampled_from(["", "192.0.2.1", "192.0.2.2"]),
        roles=st.sampled_from([("l3",), ("l3",), ()]),
        agent_mode=st.sampled_from(["legacy", "dvr", "dvr_snat", "dvr_no_external"]),
        physical_networks=st.sampled_from([(), ("x",), ("x", "y")]),
        dvr_mac=st.sampled_from(["", "fa:16:3f:00:00:01"]),
    ),
    s.DhcpServer: st.builds(
        lambda network, slot, host, port: s.DhcpServer(
            id=f"{network}/{slot}", network=network, host=host, port=port
        ),
        networks,
        st.integers(0, 1),
        hosts,
        ports,
    ),
    s.Candidate: st.tuples(routers, hosts).flatmap(lambda pair: _candidate(f"{pair[0]}/{pair[1]}")),
    s.Election: elections.flatmap(_election),
    s.Instance: st.builds(s.Instance, id=st.sampled_from(DEVICES), name=st.sampled_from(["", "web"])),
}


def _change(kind: type[s.Row]) -> st.SearchStrategy[Change]:
    puts = ROWS[kind].map(lambda row: Change(kind, row.id, row))
    removals = ROWS[kind].map(lambda row: Change(kind, row.id, None))
    return st.one_of(puts, puts, puts, removals)


changes = st.sampled_from(list(ROWS)).flatmap(_change)
ports_often = st.one_of(
    changes,
    changes,
    _change(s.Port),
    _change(s.Candidate),
    _change(s.Subnet),
    _change(s.Host),
    _change(s.Router),
    _change(s.SecurityGroup),
)
_inside: Any = {"device_owner": owners.ROUTER_DISTRIBUTED_INTERFACE}
_DISTRIBUTED: list[s.Row] = [
    *(
        s.Host(
            id=name, vtep="192.0.2.1", roles=("l3",), agent_mode="dvr", dvr_mac="m", physical_networks=("x",)
        )
        for name in HOSTS[:2]
    ),
    s.Network(id="n1", type="vxlan", mtu=1450, vni=1),
    s.Network(id="n2", type="vxlan", mtu=1450, vni=2),
    s.Network(id="n3", type="flat", mtu=1500, physical_network="x"),
    s.Subnet(id="s1", network="n1", cidr="10.0.0.0/24"),
    s.Router(id="r1", number=1, rung=6, routes=(("10.5.0.0/16", "10.0.0.9"),)),
    s.Router(id="r2", number=2, rung=6),
    s.Port(id="p0", network="n1", mac="a", device_id="r1", fixed_ips=(("s1", "10.0.0.1"),), **_inside),
    s.Port(id="p1", network="n1", mac="b", device_id="r2", fixed_ips=(("s1", "10.0.0.9"),), **_inside),
    s.Port(id="p2", network="n3", mac="c", device_id="r1", device_owner=owners.ROUTER_GATEWAY),
    s.Port(
        id="p3",
        network="n1",
        mac="d",
        device_id="r1",
        device_owner=owners.ROUTER_SNAT,
        fixed_ips=(("s1", "10.0.0.2"),),
    ),
    s.Port(id="p4", network="n2", mac="e", device_id="i1", host="h1", fixed_ips=(("s2", "10.0.0.7"),)),
    s.Port(id="p5", network="n3", mac="f", host="h1", device_owner=owners.AGENT_GATEWAY),
    s.Port(id="p6", network="n2", mac="g", device_id="r1", fixed_ips=(("s2", "10.0.0.8"),), **_inside),
    s.FloatingIP(id="f1", floating_ip="203.0.113.9", router="r1", port="p4", fixed_ip="10.0.0.7"),
]
distributed = [Change(type(row), row.id, row) for row in _DISTRIBUTED]
"""Two distributed routers, of which one leads to the other, and a floating IP behind the first."""

_random = st.lists(ports_often, max_size=40)
histories = st.one_of(_random, _random.map(lambda changes: [*distributed, *changes]))
