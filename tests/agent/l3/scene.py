"""A scene for tests: net1 and net2 carry routers, net3 an instance, net4 is the outside world.

Tenant network 10.0.0.0/24 (VXLAN 101), external network 203.0.113.0/24; instance 10.0.0.5, with the floating
IP 203.0.113.50; another instance 10.0.0.6 beside it.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deuteron.plan import units
from tests.agent.l3.hosts import Agent, Cloud, Host, cloud, election, wait_for

TENANT = "aaaaaaaa-0000-4000-8000-000000000001"
EXTERNAL = "eeeeeeee-0000-4000-8000-000000000002"
MORE = "dddddddd-0000-4000-8000-000000000010"
ROUTER = "4d3c0001-0000-4000-8000-000000000003"
FLOATING = "203.0.113.50"
ELECTION, ELECTION_MOVED = "e1ec0001-0000-4000-8000-000000000001", "e1ec0002-0000-4000-8000-000000000002"
_NUMBERED = "{:08x}-0000-4000-8000-000000000009"


def router(number: int = 1000, **changes: Any) -> units.Router:
    """Return the router of the scene."""
    inside = units.RouterPort(
        id="1a1a1a1a-0000-4000-8000-000000000004",
        network=TENANT,
        mac="fa:16:3e:00:00:01",
        mtu=1450,
        addresses=("10.0.0.1/24", "2001:db8:1::1/64"),
        advertised=("2001:db8:1::/64",),
    )
    outside = units.RouterPort(
        id="2b2b2b2b-0000-4000-8000-000000000005",
        network=EXTERNAL,
        mac="fa:16:3e:00:00:02",
        mtu=1500,
        addresses=("203.0.113.10/24", "2001:db8:ffff::10/64"),
    )
    values: dict[str, Any] = {
        "id": ROUTER,
        "number": number,
        "interfaces": (inside,),
        "gateway": outside,
        "nexthops": ("203.0.113.1", "2001:db8:ffff::1"),
        "gate": "election",
        "election": ELECTION,
    }
    return units.Router(**{**values, **changes})


def floating_ip() -> units.FloatingIP:
    return units.FloatingIP(
        id="f10a0001-0000-4000-8000-000000000006", router=ROUTER, floating_ip=FLOATING, fixed_ip="10.0.0.5"
    )


def second_gateway() -> units.Gateway:
    """Return one more gateway of the router, 198.18.0.10 on another external network."""
    port = units.RouterPort(
        id="4d4d4d4d-0000-4000-8000-000000000011",
        network=MORE,
        mac="fa:16:3e:00:00:04",
        mtu=1500,
        addresses=("198.18.0.10/24",),
    )
    return units.Gateway(port=port, nexthops=("198.18.0.1",))


def second_floating_ip() -> units.FloatingIP:
    return units.FloatingIP(
        id="f10a0002-0000-4000-8000-000000000012",
        router=ROUTER,
        floating_ip="198.18.0.50",
        fixed_ip="10.0.0.6",
        network=MORE,
    )


def plain_router(index: int, gate: str = "open", network: str = TENANT) -> units.Router:
    """Return one of many routers, each with an interface and a gateway of its own."""
    inside = units.RouterPort(
        id=_NUMBERED.format(0x10000000 + index),
        network=network,
        mac=f"fa:16:3e:01:{index >> 8:02x}:{index & 255:02x}",
        mtu=1450,
        addresses=(f"10.{1 + (index >> 8)}.{index & 255}.1/24",),
    )
    outside = units.RouterPort(
        id=_NUMBERED.format(0x20000000 + index),
        network=EXTERNAL,
        mac=f"fa:16:3e:02:{index >> 8:02x}:{index & 255:02x}",
        mtu=1500,
        addresses=(f"203.0.{114 + (index >> 8)}.{index & 255}/16",),
    )
    return units.Router(
        id=_NUMBERED.format(0x30000000 + index),
        number=2000 + index,
        interfaces=(inside,),
        gateway=outside,
        nexthops=("203.0.113.1",),
        gate=gate,  # type: ignore[arg-type]
        election=ELECTION if gate == "election" else None,
    )


def make_bridges(hosts: list[Host], external: list[Host]) -> None:
    """Make what the driver of networks makes: bridges, tunnels with head-end lists."""
    bridge, outer = f"brq{TENANT[:11]}", f"brq{EXTERNAL[:11]}"
    for host in hosts:
        lines = [
            f"ip link add {bridge} type bridge mcast_snooping 0 forward_delay 0",
            f"ip link add vxlan-101 type vxlan id 101 local {host.vtep} dstport 4789 learning",
            f"ip link set vxlan-101 mtu 1450 master {bridge} up",
            f"ip link set {bridge} up",
        ]
        lines += [
            f"bridge fdb append 00:00:00:00:00:00 dev vxlan-101 dst {other.vtep} self permanent"
            for other in hosts
            if other is not host
        ]
        if host in external:
            lines += [
                f"ip link add {outer} type bridge mcast_snooping 0 forward_delay 0",
                f"ip link set eth-ext master {outer}",
                f"ip link set {outer} up",
            ]
        host.run("set -e; sysctl -qw net.ipv6.conf.default.disable_ipv6=1; " + "; ".join(lines))


def make_instance(host: Host, name: str, number: int) -> None:
    """Make an instance: a namespace, 10.0.0.<number>."""
    host.run(
        f"set -e; ip netns add {name}; ip link add tap-{name} type veth peer name eth0 netns {name};"
        f"ip link set tap-{name} mtu 1450 master brq{TENANT[:11]} up;"
        f"ip -n {name} link set lo up; ip -n {name} link set eth0 mtu 1450 up;"
        f"ip -n {name} addr add 10.0.0.{number}/24 dev eth0; ip -n {name} route add default via 10.0.0.1"
    )


class Connection:
    """A TCP connection that is asked, line by line, whether it still lives."""

    def __init__(self, host: Host, instance: str | None, address: str) -> None:
        prefix = ["ip", "netns", "exec", instance] if instance else []
        script = str(Path(__file__).with_name("tcp.py"))
        self._process = host.start(
            *prefix, sys.executable, script, address, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.echo()

    def echo(self) -> bool:
        """Return whether what is sent comes back within 15 s."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return self._process.stdout.readline() == "yes\n"


class Scene:
    """The scene, with what its tests do to it."""

    def __init__(self, made: Cloud) -> None:
        self.cloud = made
        self.net1, self.net2, self.compute, self.outside = made.hosts
        self.carriers = [self.net1, self.net2]
        self.agents: dict[str, Agent] = {}
        self.switches: dict[str, int] = {}
        make_bridges([self.net1, self.net2, self.compute], self.carriers)
        make_instance(self.compute, "vm", 5)
        make_instance(self.compute, "vm2", 6)
        self.outside.run(
            "ip addr add 203.0.113.1/16 dev eth-ext; ip addr add 2001:db8:ffff::1/64 dev eth-ext nodad;"
            "ip route add 2001:db8:1::/64 via 2001:db8:ffff::10"
        )
        self.server = [sys.executable, str(Path(__file__).with_name("tcp.py"))]
        self.outside.start(*self.server)
        self.compute.start("ip", "netns", "exec", "vm", *self.server)
        for host in self.carriers:
            self.start_switch(host)
            self.agents[host.name] = made.agent(host)

    def start_switch(self, host: Host) -> None:
        host.run("rm -f /run/deuteron/switch/socket")
        self.switches[host.name] = host.deuteron("switch", log="/run/switch.log")
        wait_for(lambda: host.run("test -S /run/deuteron/switch/socket && echo yes", check=False))

    def restart_agent(self, host: Host) -> None:
        """Kill the agent of a carrier; the next one is given the same plan."""
        self.agents[host.name].stop()
        agent = self.agents[host.name] = self.cloud.agent(host)
        agent.put(
            election(self.carriers, self.carriers.index(host), ELECTION, 7), self.twin(host), floating_ip()
        )
        assert not agent.apply()

    def elect(self, order: list[Host], name: str, vrid: int) -> None:
        """Hold an election with the first of `order` active."""
        for at, host in enumerate(order):
            agent = self.agents[host.name]
            agent.put(election(order, at, name, vrid))
            assert not agent.apply()
            if at == 0:
                self.wait_until(host, "active", name)
        for host in order[1:]:
            self.wait_until(host, "standby", name)

    def wait_until(self, host: Host, state: str, name: str = ELECTION, seconds: float = 20) -> None:
        """Wait until a host is in this state of an election."""
        wait_for(
            lambda: self.state(self.agents[host.name], name) == state,
            seconds,
            f"{host.name} is {state} in {name}",
        )

    def twin(self, host: Host, **changes: Any) -> units.Router:
        """Return the router as a carrier has it."""
        return router(twins=tuple(other.vtep for other in self.carriers if other is not host), **changes)

    def move(self, old: Host, new: Host, before: str, after: str, vrid: int) -> None:
        """Move the router as the server does: another election, drain, take over, close."""
        self.elect([new, old], after, vrid)
        self.agents[old.name].put(self.twin(old, election=before, draining=True))
        assert not self.agents[old.name].apply()
        self.agents[new.name].put(self.twin(new, election=after))
        assert not self.agents[new.name].apply()
        time.sleep(0.1)
        self.agents[old.name].put(self.twin(old, election=after))
        assert not self.agents[old.name].apply()

    @staticmethod
    def state(agent: Agent, name: str) -> str:
        found: str = agent.elections().get(name, {}).get("state", "")
        return found

    def build(self) -> None:
        """Elect and build the router on both carriers, active on net1."""
        self.elect(self.carriers, ELECTION, 7)
        for host in self.carriers:
            self.agents[host.name].put(self.twin(host), floating_ip())
            assert not self.agents[host.name].apply()
        wait_for(lambda: self.pings("vm", "203.0.113.1"), what="the router forwards")

    def pings(self, instance: str, address: str) -> bool:
        return bool(
            self.compute.run(
                f"ip netns exec {instance} ping -n -q -c 1 -W 1 {address} >&2 && echo yes", check=False
            )
        )

    def peer_of(self, instance: str, target: str) -> str:
        """Return which address a TCP server at `target` sees when an instance comes."""
        program = (
            "import socket\n"
            f"connection = socket.create_connection(('{target}', 7008), 5)\n"
            "print(connection.recv(100).decode())"
        )
        return self.compute.run(f"ip netns exec {instance} python3 -", stdin=program).strip()

    def connect(self, host: Host, instance: str | None, address: str) -> "Connection":
        """Open a TCP connection from a host's instance, or the host, to the echo server at an address."""
        return Connection(host, instance, address)

    def gate(self, host: Host) -> set[int]:
        """Return the numbers in the gate of a host."""
        text = host.run("nft -j list set bridge deuteron_gate standby")
        found = next(item["set"] for item in json.loads(text)["nftables"] if "set" in item)
        return {int(number) for number in found.get("elem", ())}

    @contextlib.contextmanager
    def probes(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Probe SNAT (instance to outside) and the floating IP (outside to instance) meanwhile.

        For these seconds, or for as long as the block takes; what was met is there after the block.
        """
        prober = [sys.executable, "-m", "deuteron.lab.prober", "--duration", str(seconds + 60)]
        running = {
            "snat": self.compute.start(
                "ip", "netns", "exec", "vm", *prober, "icmp:203.0.113.1", stdout=subprocess.PIPE
            ),
            "floating": self.outside.start(*prober, f"icmp:{FLOATING}", stdout=subprocess.PIPE),
        }
        found: dict[str, Any] = {}
        try:
            for name, process in running.items():
                assert process.stdout
                assert "ready" in process.stdout.readline(), f"no answer to the probes of {name}"
            end = time.monotonic() + seconds
            yield found
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            for process in running.values():
                os.killpg(process.pid, signal.SIGTERM)  # nsenter, its parent, would not pass it on
            for name, process in running.items():
                (found[name],) = json.loads(process.communicate(timeout=30)[0])["probes"]


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    with cloud(4) as made:
        yield Scene(made)
