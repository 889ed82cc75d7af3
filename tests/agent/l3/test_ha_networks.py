"""Elections on several HA networks of one host: with the same addresses and VRIDs, and nothing in common."""

from collections.abc import Iterator

import msgspec
import pytest

from deuteron.plan.units import Election
from tests.agent.l3.hosts import Agent, Cloud, Host, cloud, election, wait_for

pytestmark = pytest.mark.lab

RED = "0a0a0a0a-1111-4222-8333-444444444444"
GREEN = "0b0b0b0b-1111-4222-8333-444444444444"
BLUE = "0c0c0c0c-1111-4222-8333-444444444444"
VNI = {RED: 4001, GREEN: 4002, BLUE: 4001}


@pytest.fixture(scope="module")
def hosts() -> Iterator[Cloud]:
    with cloud(2) as made:
        for host in made.hosts:
            host.deuteron("switch", log="/run/switch.log")
            wait_for(lambda: host.run("test -S /run/deuteron/switch/socket && echo yes", check=False))  # noqa: B023
            made.agent(host)
        yield made


def on(cloud: Cloud, at: int, network: str, name: str) -> Election:
    unit = election(cloud.hosts, at, name, vrid=1)
    return msgspec.structs.replace(unit, ha_network=network, vni=VNI[network])


def hold(cloud: Cloud, network: str, name: str) -> None:
    """Begin an election with the first host, as the server does."""
    for at, agent in enumerate(cloud.agents):
        agent.put(on(cloud, at, network, name))
        wait_for(lambda: not agent.apply(), what=name)  # noqa: B023
        wait_for(lambda: state(agent, name) == ("standby" if at else "active"), what=name)  # noqa: B023


def state(agent: Agent, name: str) -> str:
    found = agent.elections().get(name)
    return str(found["state"]) if found else ""


def present(host: Host) -> dict[str, str]:
    """Return the HA networks that there are on a host, and what VXLAN each has."""
    names = [name for name in host.run("ls /run/netns").split() if name.startswith("qha-")]
    return {
        name.removeprefix("qha-"): host.run(
            f"ip netns exec {name} ip -d link show type vxlan | grep -o 'vxlan id [0-9]*'"
        ).strip()
        for name in names
    }


def keepalived(host: Host) -> list[str]:
    """Return the processes that run, not those that nobody reaps."""
    return host.run("pgrep -r D,R,S -x keepalived", check=False).split()


def test_networks_come_and_go_beside_each_other(hosts: Cloud) -> None:
    """The end of one takes only what is its own; its VNI can be another one's at once."""
    hold(hosts, RED, "red")
    hold(hosts, GREEN, "green")
    for host in hosts.hosts:
        assert present(host) == {RED: "vxlan id 4001", GREEN: "vxlan id 4002"}
    before = [agent.elections()["green"] for agent in hosts.agents]
    for agent in hosts.agents:
        agent.delete("election/red")
        assert agent.apply() == {}
    for host in hosts.hosts:
        assert present(host) == {GREEN: "vxlan id 4002"}
        wait_for(lambda: len(keepalived(host)) == 2, what="one keepalived and its child")  # noqa: B023
        assert len(host.run("ls /run/deuteron/keepalived").split()) == 1
    assert [agent.elections()["green"] for agent in hosts.agents] == before
    hold(hosts, BLUE, "blue")
    assert present(hosts[0]) == {GREEN: "vxlan id 4002", BLUE: "vxlan id 4001"}
    assert [agent.elections()["green"] for agent in hosts.agents] == before
    for agent in hosts.agents:
        agent.delete("election/green", "election/blue")
        assert agent.apply() == {}
    for host in hosts.hosts:
        assert present(host) == {}
        wait_for(lambda: not keepalived(host), what="no keepalived")  # noqa: B023


def test_a_failover_on_one_is_none_on_the_other(hosts: Cloud) -> None:
    hold(hosts, RED, "red")
    hold(hosts, GREEN, "green")
    first, second = hosts.agents
    hosts[0].run(f"ip netns exec qha-{RED} ip link set ha-{RED[:11]} down")
    wait_for(lambda: state(second, "red") == "active")
    wait_for(lambda: state(first, "red") == "fault")
    assert (state(first, "green"), state(second, "green")) == ("active", "standby")
    hosts[0].run(f"ip netns exec qha-{RED} ip link set ha-{RED[:11]} up")
    first.recheck()
    assert first.apply() == {}
    wait_for(lambda: state(first, "red") == "standby")
    assert (state(second, "red"), state(first, "green")) == ("active", "active")
