"""What a port in networks of distributed routers costs: 200 simulated hosts that follow plans, 10,000 ports.

Each router has two networks, whose ports are on a few of the hosts. Then single ports are added: how many
hosts hear of one, in how many bytes, and how soon.
"""

import random
import selectors
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.load import Client
from deuteron.bench.processes import BenchError, cpu_seconds
from deuteron.bench.server import Server, server

QUIET_SECONDS = 0.3
"""Nothing more comes of a change when no host heard of anything for so long."""
PLANS_TIMEOUT = 300.0
"""Seconds until all hosts have their first plan."""
BYTES_PER_HOST = 1000.0
MILLISECONDS = 200.0
_SNAT_HOSTS = 3
_BULK = 100
_SEED = 1
_ENVIRONMENT = {"DEUTERON_SERVER__AGENT_DOWN_TIME": "86400"}
"""Nobody reports again: a host that only follows its plan is not dead."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the defaults are those of the promised figures."""

    hosts: int = 200
    routers: int = 100
    ports: int = 10_000
    spread: int = 20
    """On how many hosts the ports of one router's networks are."""
    added: int = 50


@dataclass(frozen=True)
class Place:
    """A network, and where its ports are."""

    network: str
    project: str
    hosts: list[str]


@dataclass
class Heard:
    """What came of one change."""

    hosts: Counter[str] = field(default_factory=Counter)
    """Bytes of plan by host."""
    last: float = 0.0


class Followers(threading.Thread):
    """Follows the plans of many hosts, and counts."""

    def __init__(self, endpoint: str, hosts: list[str]) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        self._rest: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._heard = Heard()
        self._without = set(hosts)
        self._closed = False
        parts = urlsplit(endpoint)
        for host in hosts:
            connection = socket.create_connection((parts.hostname, parts.port))
            connection.sendall(f"GET /agent/v1/hosts/{host}/plan HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            self._selector.register(connection, selectors.EVENT_READ, host)
            self._rest[host] = b""

    def run(self) -> None:
        """Read until closed."""
        while not self._closed:
            for key, _ in self._selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                content = key.fileobj.recv(1 << 20)
                if not content:
                    self._selector.unregister(key.fileobj)
                self._take(key.data, content)

    def _take(self, host: str, content: bytes) -> None:
        *lines, self._rest[host] = (self._rest[host] + content).split(b"\n")
        told = sum(
            len(line) + 1 for line in lines if line.startswith(b'{"op":"') and b'"keepalive"' not in line
        )
        if told:
            if any(b'"in_sync"' in line for line in lines):
                self._without.discard(host)
            with self._lock:
                self._heard.hosts[host] += told
                self._heard.last = time.perf_counter()

    def first(self) -> Heard:
        """Return what was heard when all hosts have their first whole plan. Raises BenchError."""
        end = time.monotonic() + PLANS_TIMEOUT
        while self._without:
            if time.monotonic() > end:
                raise BenchError(f"{len(self._without)} hosts have no plan after {PLANS_TIMEOUT:.0f} s")
            time.sleep(QUIET_SECONDS)
        return self.heard()

    def heard(self) -> Heard:
        """Return what was heard since this was asked last, when nothing more comes."""
        while True:
            with self._lock:
                last = self._heard.last
            if time.perf_counter() - last > QUIET_SECONDS:
                break
            time.sleep(QUIET_SECONDS / 10)
        with self._lock:
            found, self._heard = self._heard, Heard(last=self._heard.last)
        return found

    def close(self) -> None:
        """End all connections."""
        self._closed = True
        self.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()


def measure(group: Group, runs: int, say: Callable[[str], None], sizes: Sizes = Sizes()) -> None:
    """Measure with fresh databases. Raises BenchError when a call fails."""
    found: list[tuple[Heard, float]] = []
    plans: list[float] = []
    cpu = []
    for _ in range(runs):
        with _server() as process, Client(process.endpoint) as client:
            hosts = _hosts(process, sizes)
            say(f"plan: {sizes.ports:,} ports in networks of {sizes.routers} distributed routers")
            networks = _fill(client, hosts, sizes)
            followers = Followers(process.endpoint, hosts)
            followers.start()
            plans += followers.first().hosts.values()
            before = cpu_seconds(process.pid)
            found += _add(client, followers, networks, sizes)
            cpu.append((cpu_seconds(process.pid) - before) / sizes.added * 1000)
            followers.close()
    told = [one.hosts for one, _ in found]
    each = tuple(float(size) for one in told for size in one.values())
    group.figures += [
        Figure("plan of one host, all of it", "bytes", tuple(plans)),
        Figure("a port added: hosts that hear of it", "", tuple(float(len(one)) for one in told)),
        Figure("a port added: to one of them", "bytes", each, Bound("at most", BYTES_PER_HOST, of="every")),
        Figure("a port added: to all of them", "bytes", tuple(float(sum(one.values())) for one in told)),
        Figure(
            "a port added: from the call to the last of them",
            "ms",
            tuple((one.last - began) * 1000 for one, began in found),
            Bound("at most", MILLISECONDS),
        ),
        Figure("a port added: processor time of the server", "ms", tuple(cpu)),
    ]
    group.notes.append(
        f"{sizes.hosts} hosts follow their plans; {sizes.ports:,} ports in {2 * sizes.routers} networks of "
        f"{sizes.routers} distributed routers, those of one router on {sizes.spread} hosts"
    )


@contextmanager
def _server() -> Iterator[Server]:
    with (
        tempfile.TemporaryDirectory(prefix="deuteron-bench-") as directory,
        server(f"sqlite:///{Path(directory, 'deuteron.db')}", _ENVIRONMENT) as process,
    ):
        yield process


def _hosts(process: Server, sizes: Sizes) -> list[str]:
    """Let hosts report once; return their names."""
    names = [f"host-{number}" for number in range(sizes.hosts)]
    with Client(process.endpoint) as client:
        for number, name in enumerate(names):
            snat = number < _SNAT_HOSTS
            report = {
                "started": time.time(),
                "roles": ["l2", "l3", "dhcp"] if snat else ["l2", "l3"],
                "vtep": f"10.255.{number // 250}.{number % 250 + 1}",
                "physical_networks": ["external"],
                "agent_mode": "dvr_snat" if snat else "dvr",
            }
            client.call("POST", f"/agent/v1/hosts/{name}/report", report)
    return names


def _fill(client: Client, hosts: list[str], sizes: Sizes) -> list[Place]:
    """Create routers with their networks and ports, each in a project of its own; return the networks."""
    external = client.create(
        "network",
        **{"router:external": True, "provider:network_type": "flat", "provider:physical_network": "external"},
    )
    client.create("subnet", network_id=external["id"], ip_version=4, cidr="198.18.0.0/15", enable_dhcp=False)
    chance = random.Random(_SEED)
    networks: list[Place] = []
    bodies: list[dict[str, Any]] = []
    for _ in range(sizes.routers):
        gateway = {"network_id": external["id"]}
        router = client.create("router", distributed=True, external_gateway_info=gateway)
        near = chance.sample(hosts, sizes.spread)
        for cidr in ("10.1.0.0/16", "10.2.0.0/16"):
            network = client.create("network", project_id=router["id"])["id"]
            subnet = client.create("subnet", network_id=network, ip_version=4, cidr=cidr)
            path = f"/v2.0/routers/{router['id']}/add_router_interface"
            client.call("PUT", path, {"subnet_id": subnet["id"]})
            networks.append(Place(network, router["id"], near))
            count = sizes.ports // (2 * sizes.routers)
            bodies += [_port(networks[-1], chance) for _ in range(count)]
    for begin in range(0, len(bodies), _BULK):
        client.call("POST", "/v2.0/ports", {"ports": bodies[begin : begin + _BULK]})
    return networks


def _port(place: Place, chance: random.Random) -> dict[str, Any]:
    return {
        "network_id": place.network,
        "project_id": place.project,
        "device_owner": "compute:nova",
        "binding:host_id": chance.choice(place.hosts),
    }


def _add(
    client: Client, followers: Followers, networks: list[Place], sizes: Sizes
) -> Iterator[tuple[Heard, float]]:
    """Add ports one after the other; yield what was heard of each, and when it was asked for."""
    chance = random.Random(_SEED + 1)
    for _ in range(sizes.added):
        body = _port(chance.choice(networks), chance)
        began = time.perf_counter()
        client.create("port", **body)
        time.sleep(QUIET_SECONDS)
        yield followers.heard(), began
