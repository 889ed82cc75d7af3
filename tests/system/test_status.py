"""What the API says is so: ports, agents, who is active."""

import pytest

from tests.system.cloud import Cloud, Standard, until

pytestmark = pytest.mark.lab


def becomes(cloud: Cloud, port: str, status: str) -> None:
    """Wait until a port has a status."""
    until(lambda: cloud.port(port)["status"] == status, f"port {port} is {status}")


def test_an_instances_port_is_active_only_while_it_is_plugged(built: Standard) -> None:
    """Port status goes ACTIVE when it really is: not before the device is there, and DOWN when it goes."""
    cloud = built.cloud
    binding = {"binding:host_id": "compute2", "device_id": "11111111-2222-3333-4444-555555555555"}
    port = cloud.api.create("port", network_id=built.blue, device_owner="compute:nova", **binding)
    tap = f"tap{port['id'][:11]}"
    until(lambda: "port" in cloud.sh("compute2", "cat /var/lib/deuteron/plan.ndjson"), "the plan has it")
    assert cloud.port(port["id"])["status"] == "DOWN"
    for _ in range(2):
        cloud.sh("compute2", f"ip link add {tap} type veth peer name peer && ip link set peer up")
        becomes(cloud, port["id"], "ACTIVE")
        assert "master brq" in cloud.sh("compute2", f"ip link show {tap}")
        cloud.sh("compute2", f"ip link delete {tap}")
        becomes(cloud, port["id"], "DOWN")
    cloud.api.delete(f"/v2.0/ports/{port['id']}")


def test_a_port_that_is_administratively_down_is_down(built: Standard) -> None:
    """Port status goes ACTIVE when it really is: admin_state_up=false takes it down, true up again."""
    cloud, port = built.cloud, built.ports["vm2"]
    path = f"/v2.0/ports/{port}"
    cloud.api.put(path, {"port": {"admin_state_up": False}})
    becomes(cloud, port, "DOWN")
    assert not cloud.pings("vm1", built.addresses["vm2"])
    cloud.api.put(path, {"port": {"admin_state_up": True}})
    becomes(cloud, port, "ACTIVE")
    cloud.reaches("vm1", built.addresses["vm2"])


def test_ports_of_routers_and_dhcp_servers_are_active(built: Standard) -> None:
    """Port status goes ACTIVE when it really is: also those that the cloud itself makes."""
    cloud = built.cloud
    for owner, count in (
        ("network:dhcp", 4),
        ("network:router_gateway", 1),
        ("network:ha_router_replicated_interface", 2),
    ):
        found = cloud.list("port", device_owner=owner)
        assert len(found) == count
        for port in found:
            becomes(cloud, port["id"], "ACTIVE")


def test_a_dhcp_server_that_cannot_run_is_told(built: Standard) -> None:
    """A dead dnsmasq: the agent says so for as long as it is so."""
    cloud = built.cloud
    port = cloud.list("port", device_owner="network:dhcp", network_id=built.green)[0]
    host, program = port["binding:host_id"], "$(readlink -f $(command -v dnsmasq))"
    cloud.sh(host, f"mount --bind /bin/false {program}")
    try:
        pid = cloud.run(host, "pgrep", "-f", f"dnsmasq.*{built.green}").stdout.split()[0]
        cloud.sh(host, f"kill -9 {pid}")
        until(lambda: "died" in cloud.problems(host).get(f"dhcp/{built.green}", ""), f"{host} says so")
    finally:
        cloud.sh(host, f"umount -l {program}")
    until(lambda: not cloud.problems(host), f"{host} has no problem")
    becomes(cloud, port["id"], "ACTIVE")


def test_exactly_one_candidate_is_active(built: Standard) -> None:
    """l3-agents of a router say `active` for exactly one host, and it is the one whose gate is open."""
    cloud, active = built.cloud, built.active()
    states = cloud.states(built.router)
    assert sorted(states.values()) == ["active", "standby", "standby"]
    shut = {
        host: "elements" in cloud.sh(host, "nft list set bridge deuteron_gate standby") for host in states
    }
    assert shut == {host: host != active for host in states}


def test_all_agents_are_alive(built: Standard) -> None:
    """Every host shows its agents alive, each role one."""
    agents = built.cloud.list("agent")
    assert all(agent["alive"] for agent in agents)
    kinds = sorted((agent["host"], agent["agent_type"]) for agent in agents)
    assert len(kinds) == len(set(kinds)) == 3 * 4 + 2 * 3
