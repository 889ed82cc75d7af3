"""Deletes leave nothing behind."""

import pytest

from deuteron.lab import lab as labs
from deuteron.lab.scene import INTERNET
from tests.lab.conftest import Command
from tests.lab.test_lifecycle import mounts, traces
from tests.system.cloud import Cloud, agents, until
from tests.system.hoststate import difference, hoststate, states

pytestmark = pytest.mark.lab


def build(cloud: Cloud) -> None:
    """Two networks, one with IPv6 too, a redundant and a legacy router, floating IPs, instances."""
    external = cloud.external(v6=True)
    blue, blue_subnets = cloud.network("blue", "10.1.0.0/24", "2001:db8:1::/64")
    green, green_subnets = cloud.network("green", "10.2.0.0/24")
    lone, _ = cloud.network("lone", "10.3.0.0/24")
    redundant = cloud.router("redundant", external, blue_subnets)
    cloud.router("legacy", external, green_subnets, ha=False)
    cloud.boot("vm1", "compute1", blue)
    cloud.boot("vm2", "compute2", green)
    cloud.boot("vm3", "compute2", lone)
    for name in ("vm1", "vm2"):
        floating_ip = cloud.floating_ip(external, cloud.lab.instances()[name].port)
        cloud.reaches("outside", floating_ip["floating_ip_address"])
        cloud.reaches(name, INTERNET)
    cloud.settled(redundant)


def clean(cloud: Cloud, before: dict[str, dict[str, list[str]]]) -> None:
    """Wait until every host is as before."""
    for host, was in before.items():
        try:
            until(lambda: not difference(was, hoststate(cloud, host)), "")  # noqa: B023
        except AssertionError:
            left = difference(was, hoststate(cloud, host))
            raise AssertionError(f"left on {host}: {left}") from None
        assert cloud.problems(host) == {}


def test_deletes_leave_nothing_behind(cloud: Cloud) -> None:
    """No orphan is left behind after deletes: namespaces, devices, processes, nft elements, fdb entries."""
    before = states(cloud, agents(cloud))
    build(cloud)
    assert difference(before["net1"], hoststate(cloud, "net1"))
    cloud.empty()
    clean(cloud, before)
    until(lambda: not cloud.list("network") and not cloud.list("port"), "the HA network goes too")


def test_what_was_deleted_while_the_agents_were_away_goes_too(cloud: Cloud) -> None:
    """No orphan is left behind, also when the deletes happened while no agent was there to hear of them."""
    before = states(cloud, agents(cloud))
    build(cloud)
    started = cloud.started(*agents(cloud))
    for host in agents(cloud):
        cloud.service(host, "stop", "agent")
    cloud.empty()
    for host in agents(cloud):
        cloud.service(host, "start", "agent")
    cloud.wait_for_new_agents(started)
    clean(cloud, before)


def test_the_lab_leaves_nothing_on_the_machine(cloud: Cloud) -> None:
    """`down` leaves nothing behind, with a whole cloud in the lab, its daemons and instances."""
    build(cloud)
    command = Command(cloud.lab.name)
    assert traces(command)
    labs.down(cloud.lab)
    assert traces(command) == []
    assert not any(cloud.lab.name in mount for mount in mounts())
