"""The heartbeat's path between two hosts is cut: one yields, and takes no part until it hears the other."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from deuteron.agent.l3 import reach
from deuteron.agent.l3.switch.records import Standing
from deuteron.agent.l3.yielding import ALONE, SETTLING, STARTING, Yielding
from deuteron.plan import units
from tests.agent.l3.hosts import Host, election, wait_for
from tests.agent.l3.scene import ELECTION, Scene, scene
from tests.agent.l3.test_failover import standing

lab = pytest.mark.lab
NOWHERE = "02:00:00:00:00:99"


@pytest.fixture
def built() -> Iterator[Scene]:
    with scene() as made:
        made.build()
        yield made


def cut(built: Scene) -> None:
    """Cut the tunnel between net1 and net2, and nothing else."""
    for host, other in ((built.net1, built.net2), (built.net2, built.net1)):
        host.run(f"ip neigh replace {other.vtep} lladdr {NOWHERE} dev eth-under nud permanent")


def heal(built: Scene) -> None:
    for host, other in ((built.net1, built.net2), (built.net2, built.net1)):
        host.run(f"ip neigh delete {other.vtep} dev eth-under")


def unit(built: Scene, host: Host, **changes: Any) -> units.Election:
    at = built.carriers.index(host)
    return msgspec.structs.replace(election(built.carriers, at, ELECTION, 7), joined=True, **changes)


def keepaliveds(host: Host) -> list[str]:
    return host.run("pgrep -r R,S,D keepalived", check=False).split()


def yield_to_net2(built: Scene) -> None:
    """Do what the server asks for when both are active."""
    cut(built)
    built.wait_until(built.net2, "active")
    since = standing(built.net1)["since"]
    built.agents["net1"].put(unit(built, built.net1, yields_to="net2", superseded=since))
    problems = built.agents["net1"].apply()
    assert problems == {
        f"election/{ELECTION}": "net2 is active, and its adverts do not arrive here: held back"
    }


@lab
def test_one_yields_and_joins_again_when_the_path_heals(built: Scene) -> None:
    yield_to_net2(built)
    assert built.gate(built.net1) == {1000}
    assert standing(built.net1)["cause"].startswith("it yields to net2")
    wait_for(lambda: not keepaliveds(built.net1), what="keepalived ends")
    wait_for(lambda: built.pings("vm", "203.0.113.1"))
    with built.probes(6) as gaps:
        time.sleep(0.3)
        heal(built)
        wait_for(lambda: built.agents["net1"].apply() == {}, what="the other one is heard")
        built.wait_until(built.net1, "standby")
        built.agents["net1"].put(unit(built, built.net1))
        assert built.agents["net1"].apply() == {}
        time.sleep(0.5)
    assert gaps["snat"]["lost"] == gaps["floating"]["lost"] == 0
    assert standing(built.net2)["state"] == "active"
    assert built.gate(built.net1) == {1000}


@lab
def test_it_stays_out_when_agent_and_switch_are_new(built: Scene) -> None:
    yield_to_net2(built)
    built.net1.run(f"kill -9 {built.switches['net1']}")
    built.start_switch(built.net1)
    built.agents["net1"].stop()
    agent = built.agents["net1"] = built.cloud.agent(built.net1)
    agent.put(unit(built, built.net1, yields_to="net2", superseded=1.0), built.twin(built.net1))
    assert agent.apply()
    time.sleep(1)
    assert agent.apply()
    assert not keepaliveds(built.net1)
    assert built.gate(built.net1) == {1000}
    heal(built)
    wait_for(lambda: agent.apply() == {}, what="the other one is heard")
    built.wait_until(built.net1, "standby")
    assert standing(built.net2)["state"] == "active"


@lab
def test_it_takes_part_again_when_the_other_one_is_dead(built: Scene) -> None:
    yield_to_net2(built)
    built.net2.power_off()
    built.agents["net1"].put(unit(built, built.net1))
    assert built.agents["net1"].apply() == {}
    built.wait_until(built.net1, "active")
    wait_for(lambda: built.pings("vm", "203.0.113.1"))


@lab
def test_a_claim_that_is_newer_is_kept(built: Scene) -> None:
    since = standing(built.net1)["since"]
    built.agents["net1"].put(unit(built, built.net1, yields_to="net2", superseded=since - 1))
    assert built.agents["net1"].apply() == {}
    time.sleep(2 * SETTLING)
    assert built.agents["net1"].apply() == {}
    assert standing(built.net1)["state"] == "active"


@lab
def test_the_reach_of_a_host_is_counted(built: Scene) -> None:
    """Of the four others on the underlay one is not there."""
    program = "from deuteron.agent.l3 import reach; print(reach.count({addresses}))"
    addresses = [host.vtep for host in built.cloud.hosts] + ["10.99.0.200"]

    def reached() -> int:
        return int(built.net1.run(f'{sys.executable} -c "{program.format(addresses=addresses)}"'))

    assert reached() == 4
    built.cloud.switch("ip link set under1 down")
    assert reached() == 1  # itself


def test_nobody_is_nobody() -> None:
    assert reach.count([]) == 0


def test_when_to_leave_and_when_to_return(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    wanted = units.Election(
        id="e",
        ha_network="n",
        vni=1,
        mtu=1450,
        vrid=1,
        priority=250,
        advert_ms=20,
        mac="",
        address="",
        peers=(),
        yields_to="b",
        superseded=5.0,
    )
    free = msgspec.structs.replace(wanted, yields_to="")
    active, newer = Standing("e", "active", 5.0, ""), Standing("e", "active", 6.0, "")
    standby, fault = Standing("e", "standby", 5.0, ""), Standing("e", "fault", 5.0, "")
    mine = Yielding("b", since=now)
    assert not mine.must_leave(wanted, active, runs=True)
    assert mine.waits
    assert mine.must_leave(wanted, fault, runs=False), "there is nothing to wait for"
    now += SETTLING + 0.01
    assert mine.must_leave(wanted, active, runs=True)
    assert not mine.must_leave(free, active, runs=True)
    for other in (standby, newer, fault, None):
        assert not mine.must_leave(wanted, other, runs=True)
    now += STARTING + 0.01
    assert mine.must_leave(wanted, fault, runs=True)
    assert not mine.over(wanted, server_heard=now)
    assert mine.over(free, server_heard=now)
    assert mine.over(wanted, server_heard=now - ALONE - 1) == ""
    now += ALONE
    assert mine.over(wanted, server_heard=now - ALONE - 1)
    mine.heard = True
    assert mine.over(wanted, server_heard=now)
