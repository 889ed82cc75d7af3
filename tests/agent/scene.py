"""What the tests on real hosts share: a host with an underlay, an agent, and the network that is planned."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deuteron.plan.units import Dhcp, DhcpSubnet, Instance, InstanceAddress, Lease, Network, Port
from tests.agent.host import Agent, Host, eventually
from tests.agent.plan_server import PlanServer

NET = "11111111-2222-3333-4444-555555555555"
FLAT = "ffffffff-2222-3333-4444-555555555555"
DHCP_PORT = "dddddddd-2222-3333-4444-555555555555"


def port_id(number: int) -> str:
    return f"{number:08d}-aaaa-3333-4444-555555555555"


def tap(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


NETWORK = Network(id=NET, type="vxlan", mtu=1450, vni=7, vteps=("10.0.0.2",))
FLAT_NETWORK = Network(id=FLAT, type="flat", mtu=1500, physical_network="external")
DHCP = Dhcp(
    id=NET,
    port=DHCP_PORT,
    mac="02:00:00:00:00:dd",
    mtu=1450,
    addresses=("10.1.0.2/24", "fd00:1::2/64"),
    subnets=(
        DhcpSubnet(id="s4", cidr="10.1.0.0/24", gateway_ip="10.1.0.1", dns_nameservers=("192.0.2.53",)),
        DhcpSubnet(id="s6", cidr="fd00:1::/64", ipv6_address_mode="dhcpv6-stateful"),
    ),
)


def port(number: int) -> Port:
    return Port(id=port_id(number), network=NET, mac=mac(number), mtu=1450)


def lease(number: int, owner: int | None = None) -> Lease:
    return Lease(
        id=port_id(number if owner is None else owner),
        network=NET,
        mac=mac(number if owner is None else owner),
        addresses=(("s4", f"10.1.0.{number}"), ("s6", f"fd00:1::{number}")),
        hostname=f"host-{number}",
    )


def instance(number: int) -> Instance:
    return Instance(
        id=port_id(number),
        network=NET,
        mac=mac(number),
        mtu=1450,
        addresses=(
            InstanceAddress(address=f"10.1.0.{number}/24", dhcp=True, gateway_ip="10.1.0.1"),
            InstanceAddress(address=f"fd00:1::{number}/64", ipv6_address_mode="dhcpv6-stateful"),
        ),
        instance_id=f"uuid-{number}",
        project_id="project",
        hostname=f"vm{number}",
        user_data="aGVsbG8K",
    )


@dataclass
class Scene:
    host: Host
    server: PlanServer
    agent: Agent

    def settled(self, seconds: float = 30) -> None:
        """Wait until the agent says that it has applied the plan."""
        eventually(
            lambda: self.server.applied == self.server.revision, seconds, f"{self.agent.words()[-3000:]}"
        )

    def plug(self, number: int) -> str:
        """Plug a machine into its port, as a hypervisor does; return its namespace."""
        name = f"vm{number}"
        self.host.run(
            f"ip netns add {name}; ip -n {name} link set lo up;"
            f"ip link add {tap(number)} type veth peer name eth0 address {mac(number)} netns {name};"
            f"ip -n {name} link set eth0 up"
        )
        eventually(lambda: port_id(number) in self.server.ports_up)
        return name

    def lease(self, namespace: str, tries: int = 5) -> str:
        """Return what udhcpc says."""
        command = f"udhcpc -i eth0 -n -q -f -s /bin/true -t {tries} -T 1 2>&1"
        return self.host.run(command, namespace, check=False)

    def processes(self) -> list[str]:
        """Return pid and command line of the host's processes, but for those that tests start."""
        found = [line.split(maxsplit=2) for line in self.host.run("ps -eww -o pid=,stat=,args=").splitlines()]
        ignored = ("sleep infinity", "deuteron agent", "ps -eww")
        return [
            f"{pid} {args}"
            for pid, state, args in found
            if state[0] != "Z" and not any(word in args for word in ignored)
        ]


@contextlib.contextmanager
def scene(state_dir: Path, *options: str) -> Iterator[Scene]:
    """Give a host with the underlay address 10.0.0.1 and an unused device eth2; its agent is not started."""
    with contextlib.closing(Host()) as host:
        host.run(
            "ip link add eth0 type veth peer name far0; ip address add 10.0.0.1/24 dev eth0;"
            "ip link set eth0 up; ip link set far0 up; ip link add eth2 type veth peer name far2;"
            "ip link set far2 up"
        )
        server = PlanServer()
        server.serve(host.listen(9696))
        options = ("--local-ip", "10.0.0.1", "--bridge-mappings", "external:eth2", *options)
        agent = Agent(
            host, state_dir, *(options if "--roles" in options else (*options, "--roles", "l2,dhcp,metadata"))
        )
        try:
            yield Scene(host, server, agent)
        finally:
            server.stop()
