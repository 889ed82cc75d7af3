"""Power cuts: one host takes over, nothing is taken back, everything returns."""

import pytest

from deuteron.lab import lab as labs
from deuteron.lab import scene
from tests.system.cloud import Standard, agents, until

pytestmark = pytest.mark.lab

CRASH_GAP_MS = 1000.0


def history(built: Standard) -> list[str]:
    """The hosts that became active for the router, the first one first."""
    entries = built.cloud.api.get(f"/v1/routers/{built.router}/history")["history"]
    return [entry["to"] for entry in reversed(entries)]


def test_another_host_takes_over_and_nothing_is_taken_back(built: Standard) -> None:
    """Power is cut on the host that carries the router: a gap below a second, and the connections survive;
    when it is back it stands by and takes nothing back."""
    cloud, first = built.cloud, built.active()
    crossing = [flow for flow in built.flows if flow.name != "one network, two hosts"]
    with cloud.probing(*crossing, after=3.0) as traffic:
        labs.power_off(cloud.lab, first)
    assert traffic.broken == {}
    for flow, gap in traffic.longest_gap_ms.items():
        assert 0 < gap < CRASH_GAP_MS, flow
    second = cloud.settled(built.router, 2)
    assert second != first
    with cloud.probing(*built.flows, after=1.5) as traffic:
        cloud.power_cycle(first)
        assert cloud.settled(built.router, 3) == second
    built.lossless(traffic)
    assert cloud.states(built.router)[first] == "standby"
    assert history(built)[-2:] == [first, second]


def test_moves_on_purpose_lose_no_packet(built: Standard) -> None:
    """The router is moved on purpose: not one packet lost, there and back."""
    cloud, first = built.cloud, built.active()
    other = next(host for host, state in cloud.states(built.router).items() if state == "standby")
    for target in (other, first):
        with cloud.probing(*built.flows) as traffic:
            scene.move(built.scene, target)
        built.lossless(traffic)
        assert built.active() == target


def test_two_hosts_die_one_after_the_other(built: Standard) -> None:
    """Two failures, one after the other: the last candidate carries everything."""
    cloud = built.cloud
    gone = []
    with cloud.probing(*built.flows[:2], after=3.0) as traffic:
        for left in (2, 1):
            gone.append(cloud.settled(built.router, left + 1))
            labs.power_off(cloud.lab, gone[-1])
            until(lambda: gone[-1] not in cloud.actives(built.router), "another one is active")
    assert traffic.broken == {}
    assert all(gap < CRASH_GAP_MS for gap in traffic.longest_gap_ms.values()), traffic.longest_gap_ms
    last = cloud.settled(built.router, 1)
    for host in gone:
        cloud.power_cycle(host)
    assert cloud.settled(built.router, 3) == last
    for flow in built.flows:
        cloud.reaches(flow.place, flow.address)


def test_everything_returns_after_a_power_cut_of_everything(built: Standard) -> None:
    """All hosts lose their power and get it back: everything works again, without being asked twice."""
    cloud = built.cloud
    started = cloud.started(*agents(cloud))
    for host in ("controller", *agents(cloud)):
        labs.power_off(cloud.lab, host)
    for host in ("controller", *agents(cloud)):
        labs.power_on(cloud.lab, host)
    until(cloud.answers, "the server answers")
    cloud.wait_for_new_agents(started)
    built.active()
    for name in built.ports:  # the instances died with their hosts
        cloud.revive(name)
    for flow in built.flows:
        cloud.reaches(flow.place, flow.address)
    for host in agents(cloud):
        until(lambda: not cloud.problems(host), f"{host} has no problem: {cloud.problems(host)}")  # noqa: B023
