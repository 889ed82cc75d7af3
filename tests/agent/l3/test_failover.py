"""What happens to traffic when things die, on the real data plane."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agent.l3.hosts import Host, wait_for
from tests.agent.l3.scene import (
    ELECTION,
    ELECTION_MOVED,
    FLOATING,
    ROUTER,
    Scene,
    scene,
)

pytestmark = pytest.mark.lab


@pytest.fixture
def built() -> Iterator[Scene]:
    with scene() as made:
        made.build()
        yield made


def keepalived(host: Host, name: str = ELECTION) -> tuple[int, int]:
    """Return the pids of an election's keepalived and of its child, as the host sees them."""
    directory = f"/run/deuteron/keepalived/{name}"
    return int(host.run(f"cat {directory}/keepalived.pid")), int(host.run(f"cat {directory}/vrrp.pid"))


def standing(host: Host, name: str = ELECTION) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.run(f"cat /run/deuteron/switch/standings/{name}.json"))
    return found


def test_power_is_cut(built: Scene) -> None:
    through_snat = built.connect(built.compute, "vm2", "203.0.113.1")
    through_floating = built.connect(built.outside, None, FLOATING)
    with built.probes(3) as gaps:
        time.sleep(0.5)
        built.net1.power_off()
    assert gaps["snat"]["longest_gap_ms"] < 1000
    assert gaps["floating"]["longest_gap_ms"] < 1000
    assert through_snat.echo()
    assert through_floating.echo()
    assert built.gate(built.net2) == set()
    assert standing(built.net2)["cause"] == "adverts of net1 stopped"


def test_planned_moves_lose_nothing(built: Scene) -> None:
    through_snat = built.connect(built.compute, "vm2", "203.0.113.1")
    through_floating = built.connect(built.outside, None, FLOATING)
    names = [ELECTION, ELECTION_MOVED, "e1ec0003", "e1ec0004"]
    hosts = [built.net1, built.net2]
    with built.probes(8) as gaps:
        for round_, (before, after) in enumerate(itertools.pairwise(names)):
            old, new = hosts[round_ % 2], hosts[(round_ + 1) % 2]
            built.move(old, new, before, after, 20 + round_)
            assert built.gate(old) == {1000}
            assert built.gate(new) == set()
            time.sleep(0.3)
    assert gaps["snat"]["lost"] == 0
    assert gaps["floating"]["lost"] == 0
    assert through_snat.echo()
    assert through_floating.echo()


def test_a_restart_of_the_switch_and_the_agent_costs_nothing(built: Scene) -> None:
    with built.probes(5) as gaps:
        for host in built.carriers:
            host.run(f"kill -9 {built.switches[host.name]}")
            time.sleep(0.3)
            built.start_switch(host)
            built.restart_agent(host)
        time.sleep(1)
    assert gaps["snat"]["lost"] == 0
    assert gaps["floating"]["lost"] == 0
    assert (standing(built.net1)["state"], standing(built.net2)["state"]) == ("active", "standby")
    assert built.gate(built.net2) == {1000}


def test_a_host_without_its_switch_gives_up(built: Scene) -> None:
    built.net1.run(f"kill -9 {built.switches['net1']}")
    wait_for(lambda: built.gate(built.net1) == {1000}, 40, "the gate is closed without the switch")
    built.wait_until(built.net2, "active")
    assert standing(built.net2)["cause"] == "net1 gave up (priority 0)"
    wait_for(lambda: built.pings("vm", "203.0.113.1"))
    built.start_switch(built.net1)
    built.wait_until(built.net1, "standby")
    assert built.gate(built.net1) == {1000}


@pytest.mark.parametrize("which", [0, 1])
def test_keepalived_is_killed(built: Scene, which: int) -> None:
    before = keepalived(built.net1)
    with built.probes(3) as gaps:
        built.net1.run(f"kill -9 {before[which]}")
        wait_for(lambda: built.gate(built.net1) == {1000}, what="the gate is closed at once")
        built.wait_until(built.net2, "active")
    assert gaps["snat"]["longest_gap_ms"] < 1000
    built.wait_until(built.net1, "standby")
    running = built.net1.run("pgrep -r R,S,D keepalived").split()
    assert len(running) == 2
    assert not {str(pid) for pid in before} & {*running}
    time.sleep(0.5)
    assert standing(built.net2)["state"] == "active"
    assert built.gate(built.net1) == {1000}


def test_a_partition_ends_with_one(built: Scene) -> None:
    built.cloud.switch("ip link set under1 down")
    built.wait_until(built.net2, "active")
    wait_for(lambda: built.pings("vm", "203.0.113.1"))
    built.cloud.switch("ip link set under1 up")
    began = time.monotonic()
    wait_for(lambda: built.pings("vm", "203.0.113.1"))
    assert time.monotonic() - began < 4  # not as long as the neighbours need to notice it themselves
    wait_for(lambda: built.gate(built.net1) != built.gate(built.net2), what="one gate is open")
    wait_for(lambda: built.pings("vm", "203.0.113.1") and built.pings("vm2", "203.0.113.1"))
    states = {standing(host)["state"] for host in built.carriers}
    assert states == {"active", "standby"}


def test_a_partition_while_it_drains_ends_with_the_one_that_drains(built: Scene) -> None:
    """The announcement of its winner must not go out with the rewritten address."""
    built.agents["net1"].put(built.twin(built.net1, draining=True))
    assert not built.agents["net1"].apply()
    built.cloud.switch("ip link set under2 down")
    built.wait_until(built.net2, "active")
    built.cloud.switch("ip link set under2 up")
    built.wait_until(built.net2, "standby")
    assert built.gate(built.net1) == set()
    assert built.gate(built.net2) == {1000}
    time.sleep(0.5)  # until the winner's announcement has been heard
    with built.probes(2) as gaps:
        time.sleep(0.5)
    assert gaps["snat"]["lost"] == gaps["floating"]["lost"] == 0
    draining = built.net1.run("nft list set bridge deuteron_gate draining")
    assert "1000" in draining, "it drains on"


def test_the_gate_is_made_again(built: Scene) -> None:
    built.net2.run("nft flush ruleset")
    wait_for(lambda: "deuteron_gate" in built.net2.run("nft list tables"), 20)
    assert built.gate(built.net2) == {1000}


def test_the_ha_network_is_removed_by_hand(built: Scene) -> None:
    built.net1.run("ip netns delete $(ip netns | grep -o '^qha-[^ ]*')")
    agent = built.agents["net1"]
    agent.recheck()
    wait_for(lambda: agent.apply() == {}, 60)
    built.wait_until(built.net2, "active")
    built.wait_until(built.net1, "standby")
    wait_for(lambda: built.pings("vm", "203.0.113.1"))


def test_a_standby_is_mute(built: Scene) -> None:
    tap = "tap1a1a1a1a-00"
    wait_for(lambda: not built.compute.run("ip netns exec vm ip -6 addr show tentative"))
    before = int(built.net2.run(f"cat /sys/class/net/{tap}/statistics/tx_packets"))
    namespace = f"qrouter-{ROUTER}"
    built.net2.run(f"ip netns exec {namespace} ping -c 3 -i 0.1 -W 1 10.0.0.5", check=False)
    built.outside.run("ping -c 3 -i 0.1 -W 1 -b 203.0.255.255", check=False)
    assert int(built.net2.run(f"cat /sys/class/net/{tap}/statistics/tx_packets")) == before
    entries = built.net2.run(f"bridge fdb show | grep -i 'fa:16:3e:00:00:01.*{tap}'", check=False)
    assert not entries
