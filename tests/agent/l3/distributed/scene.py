"""A scene for tests: c1 and c2 carry instances and distributed parts, net the central part; and the outside.

Networks A (10.1.0.0/24, fd00:1::/64) and B (10.2.0.0/24, fd00:2::/64) of one router; the external network is
203.0.113.0/24 and 2001:db8:ffff::/64. Instance a1 is on A and c1, b2 on B and c2, and so on; their addresses
end in 11 and 12.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deuteron.plan import units
from tests.agent.l3 import tcp
from tests.agent.l3.hosts import Agent, Cloud, Host, cloud, wait_for

A, B, EXTERNAL = (f"{letter * 8}-0000-4000-8000-000000000001" for letter in "abe")
ROUTER = "4d3c0001-0000-4000-8000-000000000003"
GATEWAY = "203.0.113.10"
VNI = {A: 101, B: 102}
NUMBER = {A: 1, B: 2}


def gateway_mac(network: str, router: int = 0) -> str:
    return f"fa:16:3e:00:{router:02x}:{NUMBER[network]:02x}"


def dvr_mac(host: Host) -> str:
    return f"fa:16:3f:00:00:{host.index:02x}"


@dataclass(frozen=True)
class Instance:
    name: str
    network: str
    number: int
    """The end of its addresses."""

    @property
    def port(self) -> str:
        return f"{self.name.encode().hex():0>8}-0000-4000-8000-00000000000a"

    @property
    def mac(self) -> str:
        return f"fa:16:3e:aa:{NUMBER[self.network]:02x}:{self.number:02x}"

    @property
    def address(self) -> str:
        return f"10.{NUMBER[self.network]}.0.{self.number}"

    @property
    def address6(self) -> str:
        return f"fd00:{NUMBER[self.network]}::{self.number}"

    def neighbour(self) -> units.Neighbour:
        return units.Neighbour(
            id=self.port, network=self.network, mac=self.mac, addresses=(self.address, self.address6)
        )


A1, A2, B1, B2 = Instance("a1", A, 11), Instance("a2", A, 12), Instance("b1", B, 11), Instance("b2", B, 12)


def interface(network: str, router: int = 0, last: int = 1, **changes: Any) -> units.RouterPort:
    number = NUMBER[network]
    values: dict[str, Any] = {
        "id": f"1{router}{number:06x}-0000-4000-8000-000000000004",
        "network": network,
        "mac": gateway_mac(network, router),
        "mtu": 1450,
        "addresses": (f"10.{number}.0.{last}/24", f"fd00:{number}::{last}/64"),
    }
    return units.RouterPort(**{**values, **changes})


def snat_port(network: str) -> units.RouterPort:
    number = NUMBER[network]
    return units.RouterPort(
        id=f"5a{number:06x}-0000-4000-8000-000000000004",
        network=network,
        mac=f"fa:16:3e:5a:00:{number:02x}",
        mtu=1450,
        addresses=(f"10.{number}.0.2/24", f"fd00:{number}::2/64"),
    )


def snat_neighbour(network: str) -> units.Neighbour:
    port = snat_port(network)
    addresses = tuple(address.partition("/")[0] for address in port.addresses)
    return units.Neighbour(id=port.id, network=network, mac=port.mac, addresses=addresses)


def distributed(host: Host, **changes: Any) -> units.DistributedRouter:
    """Return the router's distributed part."""
    values: dict[str, Any] = {
        "id": ROUTER,
        "mac": dvr_mac(host),
        "interfaces": (interface(A), interface(B)),
        "open": True,
        "central": tuple(
            (interface(network).id, address.partition("/")[0])
            for network in (A, B)
            for address in snat_port(network).addresses
        ),
    }
    return units.DistributedRouter(**{**values, **changes})


def floating_gateway(host: Host) -> units.FloatingGateway:
    return units.FloatingGateway(
        id=EXTERNAL,
        port=f"f6{host.index:06x}-0000-4000-8000-000000000004",
        mac=f"fa:16:3e:f6:00:{host.index:02x}",
        mtu=1500,
        subnets=("203.0.113.0/24",),
        nexthop="203.0.113.1",
    )


def floating_ip(instance: Instance, **changes: Any) -> units.FloatingIP:
    """Return an instance's floating IP, 203.0.113.(its number, 100 more on B)."""
    last = instance.number + 100 * (NUMBER[instance.network] - 1)
    values: dict[str, Any] = {
        "id": f"f1{NUMBER[instance.network]:02x}00{instance.number:02x}-0000-4000-8000-00000000000f",
        "router": ROUTER,
        "floating_ip": f"203.0.113.{last}",
        "fixed_ip": instance.address,
        "distributed": True,
    }
    return units.FloatingIP(**{**values, **changes})


def central(**changes: Any) -> units.Router:
    """Return the router's central part."""
    values: dict[str, Any] = {
        "id": ROUTER,
        "number": 1000,
        "gateway": units.RouterPort(
            id="2b2b2b2b-0000-4000-8000-000000000005",
            network=EXTERNAL,
            mac="fa:16:3e:00:00:0e",
            mtu=1500,
            addresses=(f"{GATEWAY}/24", "2001:db8:ffff::10/64"),
        ),
        "nexthops": ("203.0.113.1", "2001:db8:ffff::1"),
        "gate": "open",
        "distributed": True,
        "snat_ports": (snat_port(A), snat_port(B)),
    }
    return units.Router(**{**values, **changes})


class Scene:
    """The scene, with what its tests do to it."""

    def __init__(self, made: Cloud) -> None:
        self.cloud = made
        self.c1, self.c2, self.net, self.outside = made.hosts
        self.carriers = [self.c1, self.c2, self.net]
        self.where: dict[Instance, Host] = {}
        self.floating: set[Instance] = set()
        """Those that have a floating IP, where they are."""
        self.agents: dict[str, Agent] = {}
        self.outside.run(
            "ip addr add 203.0.113.1/24 dev eth-ext; ip addr add 2001:db8:ffff::1/64 dev eth-ext nodad;"
            "ip route add fd00::/16 via 2001:db8:ffff::10"
        )
        self.start_echo(self.outside)
        for host in self.carriers:
            host.run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")
            host.run("ip netns add placeholder; ip netns delete placeholder")
            host.deuteron("switch", log="/run/switch.log")
            self.agents[host.name] = made.agent(host, "l2")
        for host in self.carriers:
            look = partial(host.run, "test -S /run/deuteron/switch/socket && echo yes", check=False)
            wait_for(look, what="the switch runs")

    def start_echo(self, host: Host, *prefix: str) -> None:
        """Answer probes there, and tell connections who they are."""
        host.start(*prefix, sys.executable, "-m", "deuteron.lab.echo")
        host.start(*prefix, sys.executable, str(Path(tcp.__file__)))

    def restart_agent(self, host: Host) -> Agent:
        """Kill the agent of a host; the next one knows no plan yet."""
        self.agents[host.name].stop()
        agent = self.agents[host.name] = self.cloud.agent(host, "l2")
        return agent

    def networks(self, host: Host) -> list[units.Network]:
        vteps = tuple(sorted(other.vtep for other in self.carriers if other is not host))
        found = [
            units.Network(id=network, type="vxlan", mtu=1450, vni=VNI[network], vteps=vteps)
            for network in (A, B)
        ]
        outer = units.Network(id=EXTERNAL, type="flat", mtu=1500, physical_network="external")
        return [*found, outer]

    def boot(self, instance: Instance, host: Host) -> None:
        """Make an instance on a host; who is where becomes known with `tell`."""
        name, tap, number = instance.name, f"tap{instance.port[:11]}", NUMBER[instance.network]
        host.run(
            f"set -e; ip netns add {name}; ip -n {name} link set lo up;"
            f"ip netns exec {name} sysctl -qw net.ipv6.conf.all.disable_ipv6=0"
            " net.ipv6.conf.default.disable_ipv6=0;"
            f"ip link add {tap} mtu 1450 type veth"
            f" peer name eth0 mtu 1450 address {instance.mac} netns {name};"
            f"ip -n {name} addr add {instance.address}/24 dev eth0;"
            f"ip -n {name} addr add {instance.address6}/64 dev eth0 nodad; ip -n {name} link set eth0 up;"
            f"ip -n {name} route add default via 10.{number}.0.1;"
            f"ip -n {name} -6 route add default via fd00:{number}::1"
        )
        self.start_echo(host, "ip", "netns", "exec", name)
        self.where[instance] = host

    def tell(self, **changes: Any) -> None:
        """Give every agent its plan: all instances, the distributed parts, and the central part on net1."""
        for host in self.carriers:
            self.agents[host.name].put(*self.plan(host, **changes))
        for host in self.carriers:
            self.settle(host)

    def settle(self, host: Host) -> None:
        """Have a host's agent apply until there is no problem."""
        problems: dict[str, str] = {}
        for _ in range(20):
            problems = self.agents[host.name].apply()
            if not problems:
                return
            time.sleep(0.1)
        raise AssertionError(f"{host.name}: {problems}")

    def basics(self, host: Host) -> list[units.Unit]:
        """Return a host's networks and ports, and where the ports of other hosts are."""
        found: list[units.Unit] = [*self.networks(host)]
        for instance, its in self.where.items():
            if its is host:
                found.append(
                    units.Port(id=instance.port, network=instance.network, mac=instance.mac, mtu=1450)
                )
            else:
                found.append(
                    units.Remote(id=instance.port, network=instance.network, mac=instance.mac, vtep=its.vtep)
                )
        for network in (A, B):
            port = snat_port(network)
            if host is not self.net:
                found.append(units.Remote(id=port.id, network=network, mac=port.mac, vtep=self.net.vtep))
        return found

    def neighbours(self) -> Sequence[units.Unit]:
        return [instance.neighbour() for instance in self.where] + [snat_neighbour(n) for n in (A, B)]

    def plan(self, host: Host, **changes: Any) -> list[units.Unit]:
        """Return all units of a host."""
        found = [*self.basics(host), *self.neighbours()]
        here = sorted((i for i in self.floating if self.where[i] is host), key=lambda instance: instance.name)
        if here:
            changes = {"external": EXTERNAL, **changes}
            found += [floating_gateway(host), *map(floating_ip, here)]
        found.append(distributed(host, **changes))
        if host is self.net:
            found.append(central())
        return found

    def give(self, host: Host, *wanted: units.Unit, gone: Sequence[str] = ()) -> None:
        """Change a host's plan, and wait until it is applied."""
        self.agents[host.name].put(*wanted)
        self.agents[host.name].delete(*gone)
        self.settle(host)

    @contextlib.contextmanager
    def probed(self, *probes: tuple[Instance | None, str]) -> Iterator[dict[str, dict[str, Any]]]:
        """Probe meanwhile, from instances or the outside (None); at the end there is a result per target."""
        found: dict[str, dict[str, Any]] = {}
        running = []
        for source, target in probes:
            host = self.outside if source is None else self.where[source]
            prefix = [] if source is None else ["ip", "netns", "exec", source.name]
            words = [sys.executable, "-m", "deuteron.lab.prober", "--interval-ms", "4", "--duration", "60"]
            running.append(host.start(*prefix, *words, target, stdout=subprocess.PIPE))
        try:
            for process in running:
                assert process.stdout
                assert "ready" in process.stdout.readline()
            yield found
            for host in {self.outside if source is None else self.where[source] for source, _ in probes}:
                host.run("kill $(pgrep -f [l]ab.prober)")
            for (_, target), process in zip(probes, running, strict=True):
                found[target] = json.loads(process.communicate(timeout=30)[0])["probes"][0]
        finally:
            for process in running:
                process.kill()

    def pings(self, instance: Instance, address: str, seconds: float = 1) -> bool:
        return bool(
            self.where[instance].run(
                f"ip netns exec {instance.name} ping -n -q -c 1 -W {seconds} {address} >&2 && echo yes",
                check=False,
            )
        )

    @contextlib.contextmanager
    def captured(self, *hosts: Host) -> Iterator[list[str]]:
        """Capture what hosts send on the underlay meanwhile; the list is full at the end."""
        running = [
            host.start(
                *("tcpdump", "-nnel", "-i", "eth-under", "-Q", "out", "udp", "port", "4789"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for host in hosts
        ]
        for process in running:
            assert process.stderr
            while "listening" not in process.stderr.readline():
                pass
        found: list[str] = []
        try:
            yield found
        finally:
            for host in hosts:
                host.run("sleep 0.3; kill $(pgrep -x tcpdump)")
            for process in running:
                found += process.communicate(timeout=20)[0].splitlines()


@contextlib.contextmanager
def scene() -> Iterator[Scene]:
    with cloud(4) as made:
        yield Scene(made)
