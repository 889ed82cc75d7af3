"""What restarts cost: nothing."""

import time

import pytest

from deuteron.lab import hosts
from tests.system.cloud import Cloud, Standard, agents, until

pytestmark = pytest.mark.lab

SERVER_AWAY_SECONDS = 10.0
AFTER_RESTART_SECONDS = 1.5
"""In which a new agent has compared everything with the kernel."""


def daemons(cloud: Cloud, host: str) -> dict[str, str]:
    """The daemons of a host: name -> process, as it is now."""
    script = """
        cd /run/deuteron/daemons
        for file in *.json; do
            pid=$(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p' $file)
            echo "$file $pid $(cut -d' ' -f22 /proc/$pid/stat)"
        done
    """
    lines = cloud.sh(host, script).splitlines()
    return {name: process for name, _, process in (line.partition(" ") for line in lines)}


def all_daemons(cloud: Cloud) -> dict[str, dict[str, str]]:
    return {host: daemons(cloud, host) for host in agents(cloud)}


@pytest.fixture(params=["active", "standby", "compute"])
def host(request: pytest.FixtureRequest, built: Standard) -> str:
    """A host in each role: it carries the router, stands by, has instances."""
    active = built.active()
    standby = next(name for name in ("net1", "net2", "net3") if name != active)
    return {"active": active, "standby": standby, "compute": "compute1"}[request.param]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_new_agent_loses_no_packet_and_adopts_the_daemons(built: Standard, host: str, how: str) -> None:
    """Agent restart, agent kill -9: not one packet lost on existing flows; daemons are adopted."""
    cloud = built.cloud
    before, started, active = daemons(cloud, host), cloud.started(host), built.active()
    with cloud.probing(*built.flows) as traffic:
        if how == "SIGTERM":
            cloud.service(host, "restart", "agent")
        else:
            cloud.kill_service(host, "agent")
        cloud.wait_for_new_agents(started)
        time.sleep(AFTER_RESTART_SECONDS)
    built.lossless(traffic)
    assert daemons(cloud, host) == before
    assert cloud.problems(host) == {}
    assert built.active() == active


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_new_switch_loses_no_packet_and_moves_nothing(built: Standard, how: str) -> None:
    """The switch survives its own restart without touching a gate that is right."""
    cloud, active = built.cloud, built.active()
    with cloud.probing(*built.flows) as traffic:
        if how == "SIGTERM":
            cloud.service(active, "restart", "switch")
        else:
            cloud.kill_service(active, "switch")
        time.sleep(AFTER_RESTART_SECONDS)
    built.lossless(traffic)
    assert built.active() == active
    until(lambda: not cloud.problems(active), f"{active} has no problem")


def test_the_data_plane_outlives_the_server(built: Standard) -> None:
    """Server stop: not one packet lost on existing flows, and nobody acts on its silence."""
    cloud, active, before = built.cloud, built.active(), all_daemons(built.cloud)
    with cloud.probing(*built.flows) as traffic:
        cloud.service("controller", "stop", "server")
        time.sleep(SERVER_AWAY_SECONDS)
        cloud.service("controller", "start", "server")
        until(cloud.answers, "the server answers")
        until(lambda: built.active() == active, f"{active} is active again")
        time.sleep(AFTER_RESTART_SECONDS)
    built.lossless(traffic)
    assert all_daemons(cloud) == before
    assert len(cloud.list("agent", alive="true")) == len(cloud.list("agent"))


def test_a_restart_of_everything_loses_no_packet(built: Standard) -> None:
    """Full restart of everything: server, all agents and all switches at once; not one packet lost."""
    cloud, active, before = built.cloud, built.active(), all_daemons(built.cloud)
    started = cloud.started(*agents(cloud))
    with cloud.probing(*built.flows) as traffic:
        for name in ("controller", *agents(cloud)):
            for service in hosts.ask(cloud.lab, name, "status")["services"]:
                cloud.kill_service(name, service)
        until(cloud.answers, "the server answers")
        cloud.wait_for_new_agents(started)
        time.sleep(AFTER_RESTART_SECONDS)
    built.lossless(traffic)
    assert all_daemons(cloud) == before
    assert built.active() == active
