"""Daemons that are killed come back, and nobody notices."""

import pytest

from tests.system.cloud import Cloud, Standard, agents, until

pytestmark = pytest.mark.lab

BACK_SECONDS = 15.0


def pids(cloud: Cloud, host: str, pattern: str) -> set[str]:
    """The processes of a host whose command line matches."""
    return set(cloud.run(host, "pgrep", "-f", pattern).stdout.split())


def kill(cloud: Cloud, host: str, pattern: str) -> None:
    """Kill daemons with SIGKILL and wait until others run and the agent has nothing to complain of."""
    before = pids(cloud, host, pattern)
    assert before, f"nothing like {pattern} on {host}"
    cloud.run(host, "kill", "-9", *before)  # the child of one that is killed may be gone before its turn
    until(lambda: pids(cloud, host, pattern) - before, f"{pattern} runs again on {host}", BACK_SECONDS)


@pytest.mark.parametrize("daemon", ["dnsmasq", "haproxy", "conntrack-sync"])
def test_a_killed_daemon_is_back_within_seconds(built: Standard, daemon: str) -> None:
    """A dead dnsmasq, haproxy or conntrack-sync: the agent says so and heals it; no packet is lost."""
    cloud, active = built.cloud, built.active()
    host = active
    if daemon == "dnsmasq":
        host = cloud.list("port", device_owner="network:dhcp")[0]["binding:host_id"]
    elif daemon == "haproxy":
        host = "compute1"
    with cloud.probing(*built.flows) as traffic:
        kill(cloud, host, f"{daemon}.*/run/deuteron")
        until(lambda: daemon in str(cloud.problems(host)), f"{host} says so")
    built.lossless(traffic)
    assert built.active() == active
    cloud.boot("vm9", "compute2", built.blue)
    cloud.destroy("vm9")


def test_a_killed_keepalived_of_the_active_host(built: Standard) -> None:
    """A dead keepalived on the active host: traffic moves or stays, connections survive, one is active."""
    cloud, active = built.cloud, built.active()
    with cloud.probing(*built.flows, after=2.0) as traffic:
        kill(cloud, active, "keepalived.*/run/deuteron")
    assert traffic.broken == {}
    assert all(gap < 1000 for gap in traffic.longest_gap_ms.values()), traffic.longest_gap_ms
    built.active()


def test_a_killed_keepalived_of_a_standby(built: Standard) -> None:
    """A dead keepalived on a standby: nothing changes."""
    cloud, active = built.cloud, built.active()
    standby = next(host for host, state in cloud.states(built.router).items() if state == "standby")
    with cloud.probing(*built.flows, after=2.0) as traffic:
        kill(cloud, standby, "keepalived.*/run/deuteron")
    built.lossless(traffic)
    assert built.active() == active


def test_a_killed_radvd(built: Standard) -> None:
    """A dead radvd is back within seconds."""
    cloud = built.cloud
    subnet = cloud.subnet(built.green, "2001:db8:2::/64")
    cloud.attach(built.router, subnet)
    active = built.active()
    until(lambda: pids(cloud, active, "radvd.*/run/deuteron"), "radvd runs")
    kill(cloud, active, "radvd.*/run/deuteron")
    booted = cloud.boot("vm9", "compute2", built.green)
    assert "slaac_seconds" in booted.machine
    cloud.destroy("vm9")


def test_the_complaints_end(built: Standard) -> None:
    """The agent says what is wrong, and no longer than it is."""
    cloud = built.cloud
    for host in agents(cloud):
        until(lambda: not cloud.problems(host), f"{host} is well again")  # noqa: B023
    built.active()
