"""A lab and the topologies that the tests build in it, all by the public API."""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from deuteron.lab import enter, hosts, instances, scene
from deuteron.lab import lab as labs
from deuteron.lab.client import ApiError, Client
from deuteron.lab.instances import Booted
from deuteron.lab.probing import Prober, alone
from deuteron.lab.scene import GATEWAY, INTERNET, Scene
from deuteron.lab.state import Lab
from deuteron.lab.topology import NETWORKS

Json = dict[str, Any]
T = TypeVar("T")

INTERNET_V6 = "2001:db8:51::1"
EXTERNAL_V6 = "2001:db8:113::/64"
GATEWAY_V6 = "2001:db8:113::1"
ROUTER_INTERFACES = (
    "network:router_interface",
    "network:ha_router_replicated_interface",
    "network:router_interface_distributed",
)
PATIENCE = 60.0
LEAD_SECONDS = 0.5
"""Of undisturbed traffic before and after what is done to it."""


class Flow(NamedTuple):
    """Traffic from a place to an address, by UDP every 2 ms and by one TCP connection."""

    name: str
    place: str
    address: str


STOOD_STILL_MS = 100.0
"""Elections end after 60 ms without an advert: who did not run for longer than this has proven nothing."""


class MachineStoodStill(AssertionError):
    """Packets were lost while the probes themselves could not run: the test measures again."""


@dataclass
class Traffic:
    """What flows met; filled when the probing has ended."""

    udp: dict[str, Json] = field(default_factory=dict)
    tcp: dict[str, Json] = field(default_factory=dict)

    @property
    def lost(self) -> dict[str, list[Json]]:
        """The gaps of each flow that had any: when, how many packets, how long; raises MachineStoodStill."""
        found = {name: result["gaps"] for name, result in self.udp.items() if result["lost"]}
        late = {name: round(result["own_delay_max_ms"]) for name, result in self.udp.items()}
        if found and max(late.values()) > STOOD_STILL_MS:
            raise MachineStoodStill(f"lost {found} when probes were late by (ms) {late}")
        return found

    @property
    def broken(self) -> dict[str, str]:
        """Why a TCP connection did not survive, for those that did not."""
        return {name: result["error"] for name, result in self.tcp.items() if not result["survived"]}

    @property
    def longest_gap_ms(self) -> dict[str, float]:
        """The longest gap of each flow."""
        return {name: result["longest_gap_ms"] for name, result in self.udp.items()}


@dataclass(frozen=True)
class Cloud:
    """A lab that is up, and its API."""

    lab: Lab
    api: Client

    def run(self, place: str, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in a host or instance."""
        command = enter.command(labs.locate(self.lab, place), argv)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def sh(self, place: str, script: str) -> str:
        """Run a script in a host or instance; it must succeed."""
        done = self.run(place, "sh", "-c", script)
        assert done.returncode == 0, f"{place}: {script}: {done.stdout}{done.stderr}"
        return done.stdout

    def pings(self, place: str, target: str) -> bool:
        """Tell whether one ping is answered within a second."""
        return self.run(place, "ping", "-n", "-q", "-c", "1", "-W", "1", target).returncode == 0

    def reaches(self, place: str, target: str, seconds: float = PATIENCE) -> None:
        """Wait until a ping is answered."""
        until(lambda: self.pings(place, target), f"{place} reaches {target}", seconds)

    def service(self, host: str, do: Literal["start", "stop", "restart"], name: str) -> None:
        """Stop (SIGTERM) or start a service of a host."""
        hosts.ask(self.lab, host, do, name=name)

    def kill_service(self, host: str, name: str) -> None:
        """Kill a service of a host with SIGKILL; the host starts it again."""
        pid = hosts.ask(self.lab, host, "status")["services"][name]["pid"]
        assert pid
        self.sh(host, f"kill -9 {pid}")

    def log(self, host: str, service: str) -> str:
        """Return the log of a service."""
        return (self.disk(host) / "log" / f"{service}.log").read_text(errors="replace")

    def disk(self, host: str) -> Path:
        """Return what is /var/lib/deuteron in a host."""
        return self.lab.host_directory(host) / "disk"

    def status(self, host: str) -> Json:
        """Return what /v1/status says of a host."""
        found: list[Json] = self.api.get("/v1/status")["hosts"]
        return next(one for one in found if one["name"] == host)

    def problems(self, host: str) -> dict[str, str]:
        """Return what the agent of a host says is wrong."""
        return dict(self.status(host)["problems"])

    def started(self, *names: str) -> dict[str, float]:
        """Return when the agents of hosts started, as they reported."""
        return {name: self.status(name)["started"] for name in names}

    def answers(self) -> bool:
        """Tell whether the server answers."""
        try:
            return bool(self.api.get("/v1/status"))
        except ApiError:
            return False

    def wait_for_new_agents(self, before: dict[str, float]) -> None:
        """Wait until agents that started after those of `before` report."""
        until(
            lambda: all(now > before[name] for name, now in self.started(*before).items()),
            f"new agents on {', '.join(before)}",
        )

    def boot(self, name: str, host: str, network: str | None = None, port: str | None = None) -> Booted:
        """Boot an instance."""
        return instances.boot(self.lab, name, host, network=network, port=port)

    def destroy(self, *names: str) -> None:
        """Destroy instances."""
        for name in names:
            instances.destroy(self.lab, name)

    def revive(self, name: str) -> Booted:
        """Boot an instance again, on the same host and port, after its host had no power."""
        instance = self.lab.instances()[name]
        assert not instance.own_port
        self.destroy(name)
        return self.boot(name, instance.host, port=instance.port)

    def network(self, name: str, *cidrs: str, **attributes: Any) -> tuple[str, list[str]]:
        """Create a network with subnets, IPv6 ones for SLAAC; return its id and theirs."""
        network = self.api.create("network", name=name, **attributes)["id"]
        return network, [self.subnet(network, cidr) for cidr in cidrs]

    def subnet(self, network: str, cidr: str, **attributes: Any) -> str:
        """Create a subnet, an IPv6 one for SLAAC."""
        slaac = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"} if ":" in cidr else {}
        version = 6 if ":" in cidr else 4
        made = self.api.create(
            "subnet", network_id=network, cidr=cidr, ip_version=version, **{**slaac, **attributes}
        )
        return str(made["id"])

    def external(self, v6: bool = False) -> str:
        """Create the external network; return its id."""
        flat = {"provider:network_type": "flat", "provider:physical_network": "external"}
        network, _ = self.network("external", **flat, **{"router:external": True})
        pool = [{"start": "203.0.113.100", "end": "203.0.113.199"}]
        self.subnet(
            network, NETWORKS["external"], gateway_ip=GATEWAY, enable_dhcp=False, allocation_pools=pool
        )
        if v6:
            plain = {"ipv6_ra_mode": None, "ipv6_address_mode": None, "enable_dhcp": False}
            self.subnet(network, EXTERNAL_V6, gateway_ip=GATEWAY_V6, **plain)
        return network

    def router(
        self, name: str, external: str | None, subnets: Sequence[str], *, ha: bool = True, **gateway: Any
    ) -> str:
        """Create a router with a gateway and interfaces; return its id."""
        info = {"external_gateway_info": {"network_id": external, **gateway}} if external else {}
        router = str(self.api.create("router", name=name, ha=ha, **info)["id"])
        for subnet in subnets:
            self.attach(router, subnet)
        return router

    def attach(self, router: str, subnet: str) -> None:
        """Add an interface to a router."""
        self.api.put(f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet})

    def detach(self, router: str, subnet: str) -> None:
        """Remove an interface of a router."""
        self.api.put(f"/v2.0/routers/{router}/remove_router_interface", {"subnet_id": subnet})

    def floating_ip(self, external: str, port: str) -> Json:
        """Give a port a floating IP."""
        return self.api.create("floatingip", floating_network_id=external, port_id=port)

    def settled(self, router: str, candidates: int = 3) -> str:
        """Wait until a redundant router has one active host and its standbys; return the active one."""
        return scene.settled(Scene(self.api, "", "", router), candidates)

    def states(self, router: str) -> dict[str, str]:
        """Return what each living candidate of a router is."""
        return scene.ha_states(Scene(self.api, "", "", router))

    def actives(self, router: str) -> list[str]:
        """Return the living candidates that are active for a router."""
        return [host for host, state in self.states(router).items() if state == "active"]

    def port(self, id_: str) -> Json:
        """Return a port."""
        found: Json = self.api.get(f"/v2.0/ports/{id_}")["port"]
        return found

    def list(self, kind: str, **query: str) -> list[Json]:
        """List resources, given by their singular name."""
        found: list[Json] = self.api.get(f"/v2.0/{kind}s", **query)[f"{kind}s"]
        return found

    def power_cycle(self, host: str) -> None:
        """Give a host that is off its power back; wait for its agent."""
        before = self.started(host)
        labs.power_on(self.lab, host)
        self.wait_for_new_agents(before)

    def empty(self) -> None:
        """Delete every instance, floating IP, router, network and port."""
        self.destroy(*self.lab.instances())
        for floating_ip in self.list("floatingip"):
            self.api.delete(f"/v2.0/floatingips/{floating_ip['id']}")
        for router in self.list("router"):
            self.api.put(f"/v2.0/routers/{router['id']}", {"router": {"routes": []}})
            for port in self.list("port", device_id=router["id"]):
                if port["device_owner"] in ROUTER_INTERFACES:
                    path = f"/v2.0/routers/{router['id']}/remove_router_interface"
                    self.api.put(path, {"port_id": port["id"]})
            self.api.delete(f"/v2.0/routers/{router['id']}")
        for port in self.list("port"):
            if not port["device_owner"].startswith("network:"):
                self.api.delete(f"/v2.0/ports/{port['id']}")
        for network in self.list("network"):
            if not network["name"].startswith("HA network"):
                self.api.delete(f"/v2.0/networks/{network['id']}")

    @contextmanager
    def probing(self, *flows: Flow, after: float = LEAD_SECONDS) -> Iterator[Traffic]:
        """Probe while the block runs, and some time before and after; fill in the traffic at the end."""
        traffic = Traffic()
        with alone(), probers(self.lab, flows) as started:
            time.sleep(LEAD_SECONDS)
            yield traffic
            time.sleep(after)
            for prober in started:
                prober.end()  # late answers have the same time for all
            for flow, prober in zip(flows, started, strict=True):
                traffic.udp[flow.name], traffic.tcp[flow.name] = prober.stop()


@contextmanager
def probers(lab: Lab, flows: Sequence[Flow]) -> Iterator[list[Prober]]:
    """Start probers; end them whatever happens."""
    started: list[Prober] = []
    try:
        for flow in flows:
            targets = [f"udp:{flow.address}", f"tcp:{flow.address}"]
            started.append(Prober(lab, flow.place, targets))
        for prober in started:
            prober.wait_ready()
        yield started
    finally:
        for prober in started:
            prober.kill()


def until(holds: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Wait until something holds; return it. Fails, saying what it waited for."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := holds():
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def agents(cloud: Cloud) -> list[str]:
    """Return the hosts that have an agent."""
    return list(cloud.lab.record().topology.with_service("agent"))


@contextmanager
def lab(name: str, file: Path | None = None) -> Iterator[Cloud]:
    """Bring a lab up; take it down whatever happens."""
    found = Lab(name)
    try:
        labs.up(found, file)
        yield Cloud(found, labs.client(found))
    finally:
        labs.down(found)


@dataclass(frozen=True)
class Standard:
    """Two networks behind a redundant router, three instances, a floating IP."""

    cloud: Cloud
    external: str
    router: str
    blue: str
    green: str
    ports: dict[str, str]
    """Instance -> port."""
    addresses: dict[str, str]
    """Instance -> fixed IP."""
    floating_ip: str
    """Of vm1."""

    @property
    def flows(self) -> list[Flow]:
        """Every way through the network: SNAT, floating IP, over VXLAN, through the router."""
        return [
            Flow("SNAT", "vm2", INTERNET),
            Flow("floating IP", "outside", self.floating_ip),
            Flow("one network, two hosts", "vm1", self.addresses["vm2"]),
            Flow("network to network", "vm2", self.addresses["vm3"]),
        ]

    @property
    def scene(self) -> Scene:
        """The same, as the demonstration calls it."""
        return Scene(self.cloud.api, self.external, self.blue, self.router)

    def active(self) -> str:
        """Return the host that carries the router, when all candidates are there."""
        return self.cloud.settled(self.router)

    def lossless(self, traffic: Traffic) -> None:
        """Not one packet was lost, no connection broke."""
        assert traffic.lost == {}, self.story(traffic)
        assert traffic.broken == {}

    def story(self, traffic: Traffic) -> str:
        """Return what may explain a loss: who was active, what was done, what the hosts wrote down."""
        told = self.cloud.api.get(f"/v1/routers/{self.router}/history")["history"]
        active = [(entry["at"], entry["to"], entry["cause"]) for entry in told]
        done = [(one["at"], one["text"]) for one in self.cloud.api.get("/v1/events")["events"]]
        logs = [
            f"{host}, {service}:\n{found}"
            for host in self.cloud.lab.record().topology.hosts
            for service in ("agent", "switch")
            if (found := hosts.log_tail(self.cloud.lab, host, service, 15))
        ]
        return "\n".join([f"lost {traffic.lost}", f"active {active}", f"done {done[-20:]}", *logs])


def standard(cloud: Cloud) -> Standard:
    """Build it, and wait until every way is open."""
    external = cloud.external()
    blue, blue_subnets = cloud.network("blue", "10.1.0.0/24")
    green, green_subnets = cloud.network("green", "10.2.0.0/24")
    router = cloud.router("router", external, [*blue_subnets, *green_subnets])
    placed = {"vm1": ("compute1", blue), "vm2": ("compute2", blue), "vm3": ("compute1", green)}
    ports = {n: cloud.api.create("port", name=n, network_id=on) for n, (_, on) in placed.items()}
    for name, (host, _) in placed.items():
        cloud.boot(name, host, port=ports[name]["id"])
    floating_ip = cloud.floating_ip(external, ports["vm1"]["id"])["floating_ip_address"]
    built = Standard(
        cloud=cloud,
        external=external,
        router=router,
        blue=blue,
        green=green,
        ports={name: port["id"] for name, port in ports.items()},
        addresses={name: port["fixed_ips"][0]["ip_address"] for name, port in ports.items()},
        floating_ip=floating_ip,
    )
    for flow in built.flows:
        cloud.reaches(flow.place, flow.address)
    built.active()
    return built
