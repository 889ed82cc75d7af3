"""Plans kept change by change equal plans computed afresh, however the changes arrive."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from deuteron.plan import rows as s
from deuteron.plan.compute import unit, units
from deuteron.plan.plans import Change, Delta, Plans
from deuteron.plan.state import State
from deuteron.plan.units import Unit
from tests.plan.cloud import ADDRESS_GROUPS, ELECTIONS, GROUPS, HOSTS, NETWORKS, PORTS, ROUTERS, histories

DOMAIN = "example."


def state_of(history: Iterable[Change]) -> State:
    state = State()
    for change in history:
        state.replace(change.kind, change.id, change.row)
    return state


def fresh(history: Iterable[Change]) -> dict[str, dict[str, Unit]]:
    state = state_of(history)
    return {host: units(state, host, DOMAIN) for host in HOSTS}


def followed() -> Plans:
    plans = Plans(State(), DOMAIN)
    for host in HOSTS:
        plans.follow(host)
    return plans


def add(sums: dict[str, dict[str, Unit]], deltas: dict[str, Delta]) -> None:
    for host, delta in deltas.items():
        for key, value in delta.items():
            if value is None:
                assert sums[host].pop(key, None) is not None, "deleted what was not there"
            else:
                assert sums[host].get(key) != value, "said again what was known"
                sums[host][key] = value


@settings(max_examples=300, deadline=None)
@given(histories)
def test_every_change_leaves_the_plan_as_computed_afresh(history: list[Change]) -> None:
    plans = followed()
    sums: dict[str, dict[str, Unit]] = {host: {} for host in HOSTS}
    for count, change in enumerate(history, 1):
        add(sums, plans.apply([change]))
        assert sums == fresh(history[:count])


@settings(max_examples=200, deadline=None)
@given(histories, st.data())
def test_order_split_and_squash_do_not_matter(history: list[Change], data: st.DataObject) -> None:
    last = {(change.kind, change.id): change for change in history}
    shuffled = data.draw(st.permutations(list(last.values())))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
    plans = followed()
    sums: dict[str, dict[str, Unit]] = {host: {} for host in HOSTS}
    for begin, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        add(sums, plans.apply(shuffled[begin:end]))
    assert sums == fresh(history)


@settings(max_examples=200, deadline=None)
@given(histories)
def test_a_plan_misses_no_unit(history: list[Change]) -> None:
    state = state_of(history)
    ids = {
        "network": NETWORKS,
        "dhcp": NETWORKS,
        "port": PORTS,
        "remote": PORTS,
        "lease": PORTS,
        "instance": PORTS,
        "router": ROUTERS,
        "floatingip": ["f1", "f2"],
        "election": ELECTIONS,
        "securitygroup": GROUPS,
        "member": PORTS,
        "addressgroup": ADDRESS_GROUPS,
        "distributedrouter": ROUTERS,
        "neighbour": PORTS,
        "floatinggateway": NETWORKS,
    }
    for host in HOSTS:
        plan = units(state, host, DOMAIN)
        for kind, names in ids.items():
            for name in names:
                value = unit(state, host, f"{kind}/{name}", DOMAIN)
                assert plan.get(f"{kind}/{name}") == value
                assert value is None or value.key == f"{kind}/{name}"


@settings(max_examples=200, deadline=None)
@given(histories)
def test_a_state_made_empty_keeps_nothing(history: list[Change]) -> None:
    state = state_of(history)
    for change in history:
        state.replace(change.kind, change.id, None)
    assert state.presence == {}
    assert state.present == {}
    assert state.parts_at.hosts == {}
    assert state.served_at.hosts == {}


def test_one_port_of_many_touches_only_who_reads_it() -> None:
    """The second port of a network on a host goes to the hosts of the network, whatever else there is."""
    plans = Plans(State(), DOMAIN)
    names = [f"host-{i}" for i in range(300)]
    for number, name in enumerate(names):
        plans.apply([Change(s.Host, name, s.Host(id=name, vtep=f"192.0.2.{number}"))])
        network = f"net-{number // 3}"
        row = s.Network(id=network, type="vxlan", mtu=1450, vni=number // 3 + 1)
        plans.apply([Change(s.Network, network, row)])
        for port in (f"{name}-a", f"{name}-b"):
            plans.apply(
                [Change(s.Port, port, s.Port(id=port, network=network, mac="02:00:00:00:00:01", host=name))]
            )
        plans.follow(name)
    new = s.Port(id="new", network="net-0", mac="02:00:00:00:00:02", host="host-0")
    deltas = plans.apply([Change(s.Port, "new", new)])
    assert {host: list(delta) for host, delta in deltas.items()} == {
        "host-0": ["port/new"],
        "host-1": ["remote/new"],
        "host-2": ["remote/new"],
    }


def test_the_way_to_a_router_that_moves_leads_to_the_leaving_twin_until_it_closes() -> None:
    rows: list[s.Row] = [
        *(s.Host(id=host, vtep=f"192.0.2.{number}") for number, host in enumerate(HOSTS, 1)),
        s.Network(id="n1", type="vxlan", mtu=1450, vni=1),
        s.Port(id="p0", network="n1", mac="m0", device_id="r1", device_owner="network:router_interface"),
        s.Port(id="p1", network="n1", mac="m1", device_id="i1", device_owner="compute:nova", host="h3"),
        s.Router(id="r1", number=1),
        s.Candidate(id="r1/h1", router="r1", host="h1", position=0, gate="open", draining=True),
        s.Candidate(id="r1/h2", router="r1", host="h2", position=0, gate="open"),
    ]
    state = state_of(Change(type(row), row.id, row) for row in rows)
    assert "192.0.2.1" in str(unit(state, "h3", "remote/p0", DOMAIN))
    state.replace(s.Candidate, "r1/h1", None)
    assert "192.0.2.2" in str(unit(state, "h3", "remote/p0", DOMAIN))
