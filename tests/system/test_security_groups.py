"""Security groups across hosts: by the API, on the wire."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from deuteron.lab import enter
from deuteron.lab import lab as labs
from tests.system.cloud import Cloud, Flow, until

pytestmark = pytest.mark.lab

V4, V6 = "10.5.0.0/24", "fd00:5::/64"
PLACES = {"vm1": "compute1", "vm2": "compute2", "vm3": "compute1"}
GENEROUS = 10.0
"""Seconds; what is waited for takes a tenth of one."""


# Asks the echo service every 10 ms until it is answered, and says when that was.
_ASK = """
import socket, sys, time
talker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
talker.settimeout(0.01)
print("begun", flush=True)
while True:
    try:
        talker.sendto(b"x", (sys.argv[1], 7))
        if talker.recv(16):
            break
    except OSError:
        pass
print(time.monotonic(), flush=True)
"""


@dataclass(frozen=True)
class Secured:
    """A routed network with three instances in groups of their own; vm1 has a floating IP."""

    cloud: Cloud
    router: str
    groups: dict[str, str]
    ports: dict[str, str]
    v4: dict[str, str]
    v6: dict[str, str]
    floating_ip: str

    def allow(self, group: str, **rule: Any) -> str:
        """Let something in; return the rule's id."""
        made = self.cloud.api.create(
            "security_group_rule", security_group_id=self.groups[group], direction="ingress", **rule
        )
        return str(made["id"])

    def forbid(self, rule: str) -> None:
        """Remove a rule."""
        self.cloud.api.delete(f"/v2.0/security-group-rules/{rule}")

    def opens(self, place: str, address: str) -> float:
        """Wait until a ping is answered; return the seconds that it took."""
        begin = time.monotonic()
        until(lambda: self.cloud.pings(place, address), f"{place} reaches {address}", GENEROUS)
        return time.monotonic() - begin

    def closes(self, place: str, address: str) -> None:
        """Wait until a ping is not answered."""
        until(lambda: not self.cloud.pings(place, address), f"{place} is kept from {address}", GENEROUS)

    def give(self, name: str, *groups: str) -> None:
        """Give an instance other groups."""
        body = {"port": {"security_groups": [self.groups[group] for group in groups]}}
        self.cloud.api.put(f"/v2.0/ports/{self.ports[name]}", body)


@pytest.fixture(scope="module")
def secured(cloud: Cloud) -> Secured:
    """Built once; each test leaves the groups as it found them."""
    external = cloud.external()
    network, subnets = cloud.network("guarded", V4, V6)
    router = cloud.router("guard", external, subnets)
    groups = {name: str(cloud.api.create("security_group", name=name)["id"]) for name in (*PLACES, "friends")}
    ports = {
        name: cloud.api.create("port", name=name, network_id=network, security_groups=[groups[name]])
        for name in PLACES
    }
    for name, host in PLACES.items():
        booted = cloud.boot(name, host, port=ports[name]["id"])
        assert {"lease_seconds", "slaac_seconds", "metadata_seconds"} <= booted.machine.keys(), (
            "DHCP, router advertisements and metadata need no rule"
        )
    fixed = {name: [one["ip_address"] for one in port["fixed_ips"]] for name, port in ports.items()}
    built = Secured(
        cloud=cloud,
        router=router,
        groups=groups,
        ports={name: port["id"] for name, port in ports.items()},
        v4={name: next(one for one in found if ":" not in one) for name, found in fixed.items()},
        v6={name: next(one for one in found if ":" in one) for name, found in fixed.items()},
        floating_ip=cloud.floating_ip(external, ports["vm1"]["id"])["floating_ip_address"],
    )
    cloud.settled(router)
    return built


@pytest.fixture
def ping(secured: Secured) -> Iterator[None]:
    """vm1 answers pings of everybody."""
    allowed = [
        secured.allow("vm1", ethertype="IPv4", protocol="icmp"),
        secured.allow("vm1", ethertype="IPv6", protocol="ipv6-icmp"),
    ]
    yield
    for rule in allowed:
        secured.forbid(rule)


def test_instances_are_closed_and_reach_everything(secured: Secured) -> None:
    cloud = secured.cloud
    cloud.reaches("vm1", "198.51.100.1")
    for place, address in (
        ("vm2", secured.v4["vm1"]),
        ("vm2", secured.v6["vm1"]),
        ("vm3", secured.v4["vm1"]),
        ("outside", secured.floating_ip),
    ):
        assert not cloud.pings(place, address), f"{place} reaches {address}"


def test_what_a_rule_lets_in_it_lets_in_from_everywhere(secured: Secured, ping: None) -> None:
    for place, address in (
        ("vm2", secured.v4["vm1"]),
        ("vm2", secured.v6["vm1"]),
        ("vm3", secured.v4["vm1"]),
        ("outside", secured.floating_ip),
    ):
        secured.opens(place, address)
    assert not secured.cloud.pings("vm1", secured.v4["vm2"]), "a rule is for its own group's ports"


def test_a_port_that_joins_a_remote_group_is_let_in_on_another_host(secured: Secured) -> None:
    rule = secured.allow("vm1", ethertype="IPv4", remote_group_id=secured.groups["friends"])
    assert not secured.cloud.pings("vm2", secured.v4["vm1"])
    lab = secured.cloud.lab
    argv = enter.command(labs.locate(lab, "vm2"), [sys.executable, "-I", "-c", _ASK, secured.v4["vm1"]])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout
        assert asking.stdout.readline() == "begun\n"
        begin = time.monotonic()
        secured.give("vm2", "vm2", "friends")
        seconds = float(asking.stdout.readline()) - begin
    print(f"let in after {seconds:.3f} s")
    assert not secured.cloud.pings("vm3", secured.v4["vm1"])
    secured.give("vm2", "vm2")
    secured.closes("vm2", secured.v4["vm1"])
    secured.forbid(rule)
    assert seconds < GENEROUS


def test_address_groups_name_who_is_let_in(secured: Secured) -> None:
    api = secured.cloud.api
    partners = api.create("address_group", name="partners", addresses=[f"{secured.v4['vm3']}/32"])["id"]
    rule = secured.allow("vm1", ethertype="IPv4", remote_address_group_id=partners)
    secured.opens("vm3", secured.v4["vm1"])
    assert not secured.cloud.pings("vm2", secured.v4["vm1"])
    api.put(f"/v2.0/address-groups/{partners}/add_addresses", {"addresses": [f"{secured.v4['vm2']}/32"]})
    secured.opens("vm2", secured.v4["vm1"])
    secured.forbid(rule)
    secured.closes("vm2", secured.v4["vm1"])
    api.delete(f"/v2.0/address-groups/{partners}")


def test_changes_of_rules_and_an_agents_restart_disturb_nothing(secured: Secured) -> None:
    cloud = secured.cloud
    flows = [
        Flow("floating IP", "outside", secured.floating_ip),
        Flow("two hosts", "vm2", secured.v4["vm1"]),
    ]
    everything = secured.allow("vm1", ethertype="IPv4")
    for flow in flows:
        secured.opens(flow.place, flow.address)
    with cloud.probing(*flows) as traffic:
        for turn in range(5):
            other = secured.allow("vm1", protocol="tcp", port_range_min=turn + 1, port_range_max=turn + 1)
            secured.give("vm3", "vm3", "friends")
            secured.give("vm1", "vm1", "friends")
            secured.forbid(other)
            secured.give("vm1", "vm1")
            secured.give("vm3", "vm3")
        before = cloud.started("compute1")
        cloud.kill_service("compute1", "agent")
        cloud.wait_for_new_agents(before)
    secured.forbid(everything)
    assert traffic.lost == {}
    assert traffic.broken == {}


def test_a_connection_ends_with_the_rule_that_let_it_in(secured: Secured) -> None:
    rule = secured.allow("vm1", ethertype="IPv4")
    secured.opens("vm2", secured.v4["vm1"])
    with secured.cloud.probing(Flow("two hosts", "vm2", secured.v4["vm1"]), after=2.0) as traffic:
        secured.forbid(rule)
    assert traffic.udp["two hosts"]["lost"] > 0
    assert not secured.cloud.pings("vm2", secured.v4["vm1"])


def test_spoofed_packets_do_not_leave_their_host(secured: Secured, ping: None) -> None:
    """vm3 asks in another's name: with its own address it is answered."""
    cloud = secured.cloud
    secured.opens("vm3", secured.v4["vm1"])
    cloud.sh("vm3", "ip address add 10.5.0.250/32 dev eth0")
    asked = cloud.run("vm3", *f"ping -c 1 -W 1 -I 10.5.0.250 {secured.v4['vm1']}".split())
    assert asked.returncode != 0
    pairs = {"port": {"allowed_address_pairs": [{"ip_address": "10.5.0.250"}]}}
    cloud.api.put(f"/v2.0/ports/{secured.ports['vm3']}", pairs)
    command = f"ping -c 1 -W 1 -I 10.5.0.250 {secured.v4['vm1']}".split()
    until(lambda: cloud.run("vm3", *command).returncode == 0, "the pair is allowed", GENEROUS)


def test_a_router_on_the_host_of_a_filtered_port(secured: Secured, ping: None) -> None:
    """What is let in is let in from the other side of the bridge too, and nothing else."""
    cloud = secured.cloud
    active = cloud.actives(secured.router)[0]
    network = cloud.port(secured.ports["vm1"])["network_id"]
    groups = [secured.groups["vm1"]]
    port = cloud.api.create("port", name="near", network_id=network, security_groups=groups)
    cloud.boot("near", active, port=port["id"])
    external = cloud.list("network", name="external")[0]["id"]
    address = cloud.floating_ip(external, port["id"])["floating_ip_address"]
    secured.opens("outside", address)
    secured.opens("near", "198.51.100.1")
    secured.opens("vm2", port["fixed_ips"][0]["ip_address"])
    echo = ["timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{address}/7"]
    assert cloud.run("outside", *echo).returncode != 0
    rule = secured.allow("vm1", ethertype="IPv4", protocol="tcp", port_range_min=7, port_range_max=7)
    until(lambda: cloud.run("outside", *echo).returncode == 0, "the echo service is open", GENEROUS)
    secured.forbid(rule)
    cloud.destroy("near")


def _echoes(cloud: Cloud, place: str) -> int:
    """Return how many pings an instance has been asked for."""
    names, values = (line.split() for line in cloud.sh(place, "grep ^Icmp: /proc/net/snmp").splitlines())
    return int(values[names.index("InEchos")])


def test_a_local_ip_leads_to_the_instance_on_the_host_of_who_asks(secured: Secured, ping: None) -> None:
    cloud, api = secured.cloud, secured.cloud.api
    rule = secured.allow("vm2", ethertype="IPv4", protocol="icmp")
    network = cloud.port(secured.ports["vm1"])["network_id"]
    local = api.post("/v2.0/local_ips", {"local_ip": {"network_id": network}})["local_ip"]
    path, address = f"/v2.0/local_ips/{local['id']}", local["local_ip_address"]
    assert not cloud.pings("vm3", address), "it leads nowhere"
    for name in ("vm1", "vm2"):
        association = {"fixed_port_id": secured.ports[name], "fixed_ip": secured.v4[name]}
        api.post(f"{path}/port_associations", {"port_association": association})
    secured.opens("vm3", address)
    secured.opens("vm3", secured.v4["vm2"])
    before = {name: _echoes(cloud, name) for name in ("vm1", "vm2")}
    assert cloud.pings("vm3", address)
    assert {name: _echoes(cloud, name) - count for name, count in before.items()} == {"vm1": 1, "vm2": 0}
    for name in ("vm1", "vm2"):
        api.delete(f"{path}/port_associations/{secured.ports[name]}")
    api.delete(path)
    secured.closes("vm3", address)
    for host in ("compute1", "compute2"):
        tables = partial(cloud.sh, host, "nft list tables")
        until(lambda tables=tables: "deuteron_local_ip" not in tables(), f"{host} is clean")  # type: ignore[misc]
    secured.forbid(rule)


def test_what_is_let_through_and_what_is_dropped_is_written_down(secured: Secured) -> None:
    cloud, api, port = secured.cloud, secured.cloud.api, secured.ports["vm1"]
    rule = secured.allow("vm1", ethertype="IPv4", protocol="tcp", port_range_min=7, port_range_max=7)
    wanted = {"resource_type": "security_group", "resource_id": secured.groups["vm1"], "name": "all"}
    log = api.post("/v2.0/log/logs", {"log": wanted})["log"]["id"]

    def written(action: str, number: int, log: str = log) -> bool:
        """Connect from vm3 to a port of vm1, and tell whether that has been written down."""
        connect = f"exec 3<>/dev/tcp/{secured.v4['vm1']}/{number}"
        before = len(cloud.log("compute1", "agent"))
        done = cloud.run("vm3", "timeout", "0.5", "bash", "-c", connect)
        assert (done.returncode == 0) == (action == "ACCEPT")
        said = cloud.log("compute1", "agent")[before:].splitlines()
        parts = (f"action={action}", f"vm_port={port}", f"dst_port={number},", log)
        return any(all(part in line for part in parts) for line in said)

    until(
        lambda: cloud.run("vm3", "bash", "-c", f"exec 3<>/dev/tcp/{secured.v4['vm1']}/7").returncode == 0, "7"
    )
    until(lambda: written("ACCEPT", 7), "what is let through is written down", GENEROUS)
    until(lambda: written("DROP", 8), "what is dropped is written down", GENEROUS)
    api.delete(f"/v2.0/log/logs/{log}")
    rules = partial(cloud.sh, "compute1", "nft list ruleset")
    until(lambda: "logged-in" not in rules(), "rules are as before", GENEROUS)
    assert not written("ACCEPT", 7, "action=")
    assert not written("DROP", 8, "action=")
    secured.forbid(rule)
