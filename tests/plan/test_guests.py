"""A guest that moves from one host to another: both are prepared, and the others follow whoever speaks."""

import msgspec

from deuteron.plan import rows as s
from deuteron.plan import units as u
from deuteron.plan.compute import units
from deuteron.plan.state import State

HOSTS = ("a", "b", "c")
MOVING = s.Port(
    id="p",
    network="n",
    mac="fa:16:3e:00:00:01",
    device_id="i",
    device_owner="compute:nova",
    host="a",
    security=True,
    security_groups=("g",),
)
OTHER = s.Port(id="q", network="n", mac="fa:16:3e:00:00:02", device_id="j", host="c")


def _plans(port: s.Port) -> dict[str, dict[str, u.Unit]]:
    state = State()
    rows: list[s.Row] = [
        *(s.Host(id=host, vtep=f"192.0.2.{number}") for number, host in enumerate(HOSTS, 1)),
        s.Network(id="n", type="vxlan", mtu=1450, vni=7),
        s.SecurityGroup(id="g"),
        port,
        OTHER,
    ]
    for row in rows:
        state.replace(type(row), row.id, row)
    return {host: units(state, host, "example.") for host in HOSTS}


def test_where_a_binding_waits_all_is_built_and_the_active_one_says_where_the_guest_is() -> None:
    for active, waiting in (("a", "b"), ("b", "a")):
        plans = _plans(msgspec.structs.replace(MOVING, host=active, waiting=(waiting,)))
        here, there = plans[active]["port/p"], plans[waiting]["port/p"]
        assert isinstance(here, u.Port)
        assert (here.waiting, here.filtered) == (False, True)
        assert there == msgspec.structs.replace(here, waiting=True)
        for plan in (plans[active], plans[waiting]):
            assert {"network/n", "securitygroup/g", "instance/p", "remote/q"} <= plan.keys()
        vtep = f"192.0.2.{1 + HOSTS.index(active)}"
        hint = u.Remote(id="p", network="n", mac=MOVING.mac, vtep=vtep, moves=True)
        assert plans["c"]["remote/p"] == plans[waiting]["remote/p"] == hint
        assert "remote/p" not in plans[active]
        flood = plans["c"]["network/n"]
        assert isinstance(flood, u.Network)
        assert flood.vteps == ("192.0.2.1", "192.0.2.2")


def test_when_it_has_arrived_only_its_host_counts() -> None:
    plans = _plans(msgspec.structs.replace(MOVING, host="b"))
    assert plans["a"] == {}
    remote = plans["c"]["remote/p"]
    assert isinstance(remote, u.Remote)
    assert (remote.vtep, remote.moves) == ("192.0.2.2", False)


def test_a_port_that_is_bound_nowhere_waits() -> None:
    plans = _plans(msgspec.structs.replace(MOVING, host="", waiting=("a",)))
    port = plans["a"]["port/p"]
    assert isinstance(port, u.Port)
    assert port.waiting
    assert "remote/p" not in plans["c"]
