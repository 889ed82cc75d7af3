"""Distributed routers and what is around them: a lab for all that is to be seen of them on the wire.

    blue (compute1: vm1; compute3: vm4) - r - red (compute1: vm2; compute2: vm3)
    blue                                - d - grey (compute2: vm6)
    green (compute2: vm5)               - c, which is central

r is redundant and the gateway of blue and red, d of grey; blue's instances are told the way to grey by d.
compute3 has no external network. All routers have a gateway to the external network.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from deuteron.lab import enter, hosts
from deuteron.lab import lab as labs
from tests.system.cloud import Cloud, Json, until

HOSTS = """
[hosts.controller]
networks = ["management"]
services = ["server"]
[hosts.net1]
networks = ["management", "underlay", "external"]
roles = ["l2", "l3", "dhcp", "metadata"]
agent_mode = "dvr_snat"
[hosts.net2]
networks = ["management", "underlay", "external"]
roles = ["l2", "l3", "dhcp", "metadata"]
agent_mode = "dvr_snat"
[hosts.compute1]
networks = ["management", "underlay", "external"]
roles = ["l2", "l3", "metadata"]
agent_mode = "dvr"
[hosts.compute2]
networks = ["management", "underlay", "external"]
roles = ["l2", "l3", "metadata"]
agent_mode = "dvr"
[hosts.compute3]
networks = ["management", "underlay"]
roles = ["l2", "l3", "metadata"]
agent_mode = "dvr_no_external"
[hosts.outside]
networks = ["external"]
services = ["echo"]
external = ["203.0.113.1/24", "2001:db8:113::1/64"]
loopback = ["198.51.100.1/32", "2001:db8:51::1/128"]
"""
NEXT_HOP, BEHIND_IT = "203.0.113.2", "192.0.2.77"
"""Another router of the outside, and who is reached by it alone."""
PLACES = {
    "vm1": ("compute1", "blue"),
    "vm2": ("compute1", "red"),
    "vm3": ("compute2", "red"),
    "vm4": ("compute3", "blue"),
    "vm5": ("compute2", "green"),
    "vm6": ("compute2", "grey"),
}
FLOATING = ("vm1", "vm3", "vm4", "vm5", "vm6")


@dataclass(frozen=True)
class Land:
    """All that was built, by name."""

    cloud: Cloud
    external: str
    networks: Mapping[str, str]
    subnets: Mapping[str, list[str]]
    routers: Mapping[str, str]
    ports: Mapping[str, str]
    addresses: Mapping[str, tuple[str, ...]]
    """IPv4, IPv6."""
    floating: Mapping[str, Json]

    def location(self, name: str) -> Json:
        """Return where the floating IP of an instance is served."""
        found: Json = self.cloud.api.get(f"/v1/floatingips/{self.floating[name]['id']}/location")
        return found

    def floating_ip(self, name: str) -> str:
        """Return the floating IP of an instance."""
        return str(self.floating[name]["floating_ip_address"])

    def reaches(self, place: str, *targets: str) -> None:
        """Wait until all these answer, and have nobody complain."""
        for target in targets:
            self.cloud.reaches(place, target)

    def sees(self, place: str, target: str) -> str:
        """Return as whom an instance sees another one that asks its floating IP."""
        script = "timeout 10 tcpdump -nnlqi eth0 -c 1 'icmp[icmptype] == icmp-echo' 2>&1"
        command = enter.command(labs.locate(self.cloud.lab, target), ["sh", "-c", script])
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
            assert listener.stdout is not None
            while "listening" not in listener.stdout.readline():
                pass
            self.cloud.reaches(place, self.floating_ip(target))
            return listener.stdout.readline().split()[2]

    @contextmanager
    def other_mode(self, host: str, mode: str) -> Iterator[None]:
        """Have a host's agent run with another agent_mode for the time of the block."""
        cloud = self.cloud
        config = json.loads((cloud.lab.host_directory(host) / "init.json").read_text())
        argv = list(config["services"]["agent"])
        argv[argv.index("--agent-mode") + 1] = mode
        settings = [f"{key}={value}" for key, value in config["environment"].items()]
        before = cloud.started(host)
        cloud.service(host, "stop", "agent")
        log = (cloud.disk(host) / "log" / "agent.log").open("a")
        pid = labs.locate(cloud.lab, host)
        with log, subprocess.Popen(enter.command(pid, ["env", *settings, *argv]), stderr=log) as agent:
            try:
                cloud.wait_for_new_agents(before)
                yield
            finally:
                before = cloud.started(host)
                agent.terminate()
                agent.wait()
                cloud.service(host, "start", "agent")
        cloud.wait_for_new_agents(before)


def build(cloud: Cloud) -> Land:
    """Build it, and wait until every instance has a way out."""
    api, external = cloud.api, cloud.external()
    to_grey = {"destination": "10.4.0.0/24", "nexthop": "10.1.0.254"}
    networks, subnets = {}, {}
    for number, name in enumerate(("blue", "red", "green", "grey"), 1):
        networks[name], _ = cloud.network(name)
        more = {"host_routes": [to_grey]} if name == "blue" else {}
        subnets[name] = [cloud.subnet(networks[name], f"10.{number}.0.0/24", **more)]
    gateway = {"external_gateway_info": {"network_id": external}}
    kinds = {"r": {"ha": True, "distributed": True}, "d": {"distributed": True}, "c": {"ha": True}}
    routers = {
        name: api.create("router", **{"name": name, "ha": False, "distributed": False, **kind, **gateway})[
            "id"
        ]
        for name, kind in kinds.items()
    }
    fixed = [{"subnet_id": subnets["blue"][0], "ip_address": "10.1.0.254"}]
    port = api.create("port", network_id=networks["blue"], fixed_ips=fixed)["id"]
    api.put(f"/v2.0/routers/{routers['d']}/add_router_interface", {"port_id": port})
    for number, name in enumerate(subnets, 1):  # later, so that d is no IPv6 router of blue
        subnets[name].append(cloud.subnet(networks[name], f"fd00:{number}::/64"))
    for name, where in {"r": ("blue", "red"), "d": ("grey",), "c": ("green",)}.items():
        for subnet in (each for one in where for each in subnets[one]):
            cloud.attach(routers[name], subnet)
    _next_hop(cloud)
    ports, addresses = {}, {}
    for name, (host, on) in PLACES.items():
        made = cloud.boot(name, host, networks[on]).instance
        ports[name], addresses[name] = made.port, tuple(sorted(made.addresses, key=lambda a: ":" in a))
    floating = {name: cloud.floating_ip(external, ports[name]) for name in FLOATING}
    land = Land(cloud, external, networks, subnets, routers, ports, addresses, floating)
    for name in ("vm1", "vm3", "vm6"):
        until(partial(_is_distributed, land, name), f"the floating IP of {name} is on its host")
    return land


def _is_distributed(land: Land, name: str) -> bool:
    return bool(land.location(name)["served"] == "distributed")


def _next_hop(cloud: Cloud) -> None:
    """Put another router on the external network, in a namespace of the outside host."""
    cloud.sh(
        "outside",
        "set -e; ip netns add next; ip link add next link eth-ext netns next type macvlan mode bridge;"
        "ip -n next link set lo up; ip -n next link set next up;"
        f"ip -n next address add {NEXT_HOP}/24 dev next; ip -n next address add {BEHIND_IT}/32 dev lo",
    )


def second_port(land: Land, name: str, network: str) -> str:
    """Give an instance another port, on another network; return its IPv4 address."""
    cloud, instance = land.cloud, land.cloud.lab.instances()[name]
    binding = {"device_id": instance.device_id, "device_owner": "compute:nova"}
    port = cloud.api.create(
        "port", network_id=land.networks[network], **binding, **{"binding:host_id": instance.host}
    )
    (address,) = (one["ip_address"] for one in port["fixed_ips"] if "." in one["ip_address"])
    inner = hosts.ask(cloud.lab, instance.host, "status")["instances"][name]
    tap = f"tap{port['id'][:11]}"
    cloud.sh(
        instance.host,
        f"ip link add {tap} mtu 1450 type veth"
        f" peer name eth1 mtu 1450 address {port['mac_address']} netns {inner}; ip link set {tap} up",
    )
    first = instance.addresses[0] if "." in instance.addresses[0] else instance.addresses[1]
    lines = [f"ip address add {address}/24 dev eth1", "ip link set eth1 up"]
    for number, (device, own) in enumerate((("eth0", first), ("eth1", address)), 100):  # an answer goes back
        gateway = own.rpartition(".")[0] + ".1"
        lines.append(f"ip route add default via {gateway} dev {device} table {number}")
        lines.append(f"ip rule add from {own} table {number}")
    cloud.sh(name, "set -e; " + "; ".join(lines))
    until(lambda: cloud.port(port["id"])["status"] == "ACTIVE", "its port is up")
    return str(address)
