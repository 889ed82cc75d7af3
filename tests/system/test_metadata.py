"""Metadata is the host's own: whatever becomes of routers, DHCP servers and other hosts."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from deuteron.lab import enter
from deuteron.lab import lab as labs
from tests.system.cloud import Cloud, Json, Standard, until

pytestmark = pytest.mark.lab

V4, V6 = "169.254.169.254", "fe80::a9fe:a9fe%eth0"
SOON = 1.0

# Asks again and again until its input ends, a second for each try, and notes how it was answered.
_LOOP = """
import http.client, json, select, sys, time
print("begun", flush=True)
answers, failures, slowest, last = 0, [], 0.0, time.monotonic()
while not select.select([sys.stdin], [], [], 0.02)[0]:
    try:
        connection = http.client.HTTPConnection(sys.argv[1], 80, timeout=1)
        connection.request("GET", "/openstack/latest/meta_data.json")
        response = connection.getresponse()
        name = json.loads(response.read())["name"]
        if name != sys.argv[2]:
            raise ValueError(name)
        answers += 1
        slowest = max(slowest, time.monotonic() - last)
        last = time.monotonic()
    except (OSError, ValueError, http.client.HTTPException) as error:
        failures.append(repr(error))
    finally:
        connection.close()
print(json.dumps({"answers": answers, "failures": failures, "slowest": slowest}))
"""


@dataclass
class Asking:
    """What came of asking; filled at the end."""

    results: dict[str, Json] = field(default_factory=dict)

    @property
    def failures(self) -> dict[str, list[str]]:
        """The requests that failed, of those askers that had any."""
        return {name: one["failures"] for name, one in self.results.items() if one["failures"]}

    @property
    def slowest(self) -> float:
        """The longest time in seconds from one answer to the next."""
        return max(float(one["slowest"]) for one in self.results.values())


@contextlib.contextmanager
def asking(cloud: Cloud, *names: str) -> Iterator[Asking]:
    """Have instances ask for metadata by IPv4 and IPv6 while the block runs, and for a second after it."""
    found = Asking()
    started: dict[str, subprocess.Popen[str]] = {}
    try:
        for name in names:
            for address in (V4, V6):
                argv = ["python3", "-c", _LOOP, address, name]
                command = enter.command(labs.locate(cloud.lab, name), argv)
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                started[f"{name} {address}"] = process
                assert process.stdout is not None
                assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        yield found
        time.sleep(1.0)
        for who, process in started.items():
            found.results[who] = json.loads(process.communicate(timeout=30)[0])
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def told(cloud: Cloud, name: str, path: str = "openstack/latest/meta_data.json", address: str = V4) -> str:
    """Return what metadata says to an instance, "" for no answer."""
    url = f"http://[{address.replace('%', '%25')}]" if ":" in address else f"http://{address}"
    return cloud.run(name, "curl", "-g", "-sf", "-m", "2", f"{url}/{path}").stdout


def test_every_instance_is_answered_on_its_own_host(built: Standard) -> None:
    """On routed networks, by IPv4 and IPv6; hosts that carry no instance have no part in it."""
    cloud = built.cloud
    for name, instance in cloud.lab.instances().items():
        for address in (V4, V6):
            said = json.loads(until(lambda: told(cloud, name, address=address), f"{name} {address}"))  # noqa: B023
            assert (said["name"], said["uuid"]) == (name, instance.device_id)
    assert "qmeta" in cloud.sh("compute1", "ip netns list")
    assert cloud.run("net1", "pgrep", "haproxy").stdout == ""
    network = json.loads(told(cloud, "vm1", "openstack/latest/network_data.json"))
    assert network["links"][0]["vif_id"] == built.ports["vm1"]
    assert network["networks"][0]["type"] == "ipv4_dhcp"


def test_hosts_that_die_are_not_noticed(built: Standard) -> None:
    """Power is cut on the host of the router and on one with a DHCP server while instances ask."""
    cloud, active = built.cloud, built.active()
    dhcp = {port["binding:host_id"] for port in cloud.list("port", device_owner="network:dhcp")}
    victims = [active, next(host for host in sorted(dhcp) if host != active)]
    with asking(cloud, "vm1", "vm2", "vm3") as asked:
        for victim in victims:
            labs.power_off(cloud.lab, victim)
        time.sleep(2.0)
    assert asked.failures == {}
    assert asked.slowest < SOON
    print(f"slowest {1000 * asked.slowest:.0f} ms")
    for victim in victims:
        cloud.power_cycle(victim)
    built.active()


def test_a_dead_router_and_a_client_that_takes_the_gateway(built: Standard) -> None:
    """Who ignores the route to metadata sends to its router, and is answered by its own host even so."""
    cloud = built.cloud
    cloud.sh("vm2", "ip route delete 169.254.169.254")
    assert "via 10.1.0.1" in cloud.sh("vm2", "ip route get 169.254.169.254")
    assert json.loads(until(lambda: told(cloud, "vm2"), "vm2 by its gateway"))["name"] == "vm2"
    assert json.loads(told(cloud, "vm1"))["name"] == "vm1"
    cloud.sh("vm2", "ip route add 169.254.169.254 dev eth0")


@pytest.mark.parametrize("process", ["haproxy", "agent"])
def test_what_dies_on_the_own_host_is_back_soon(built: Standard, process: str) -> None:
    cloud = built.cloud
    with asking(cloud, "vm1") as asked:
        if process == "agent":
            cloud.kill_service("compute1", "agent")
        else:
            cloud.sh("compute1", "kill -9 $(pgrep haproxy)")
        time.sleep(5.0)
    print(f"{process}: slowest {1000 * asked.slowest:.0f} ms, failed {asked.failures}")
    assert asked.slowest < 10.0


def test_isolated_networks_with_the_same_addresses(cloud: Cloud) -> None:
    """Neither has a router; one has no DHCP server either, another IPv6 alone."""
    twins = {}
    for name in ("red", "blue2"):
        network, _ = cloud.network(name, "10.77.0.0/24")
        port = cloud.api.create(
            "port", network_id=network, name=name, fixed_ips=[{"ip_address": "10.77.0.50"}]
        )
        booted = cloud.boot(f"in-{name}", "compute1", port=port["id"])
        assert booted.machine["metadata"]["name"] == f"in-{name}"
        twins[name] = f"in-{name}"
    for vm in twins.values():
        for address in (V4, V6):
            assert json.loads(until(lambda: told(cloud, vm, address=address), vm))["name"] == vm  # noqa: B023
    six, _ = cloud.network("six")
    cloud.subnet(six, "2001:db8:66::/64", ipv6_ra_mode=None, ipv6_address_mode=None, enable_dhcp=False)
    cloud.boot("in-six", "compute2", six)
    assert json.loads(until(lambda: told(cloud, "in-six", address=V6), "in-six"))["name"] == "in-six"
    cloud.destroy(*twins.values(), "in-six")


def test_a_guest_boots_by_ipv6_too(built: Standard) -> None:
    from deuteron.lab import instances

    booted = instances.boot(built.cloud.lab, "vm8", "compute2", network=built.blue, metadata_v6=True)
    assert booted.machine["metadata_v6"]["name"] == "vm8"
    assert "by IPv6 in" in instances.describe(booted)
    built.cloud.destroy("vm8")
