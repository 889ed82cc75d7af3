"""The speed of the API: SQLite and PostgreSQL, an empty database and one with 10,000 ports."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deuteron.bench import postgres
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.load import Client, Request, at_once, one_by_one
from deuteron.bench.processes import cpu_seconds
from deuteron.bench.server import Server, server

CLIENTS = 8
BULK = 100
PORTS_PER_SECOND = {"sqlite": 300.0, "postgresql": 200.0}
DATABASES = tuple(PORTS_PER_SECOND)


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the defaults are those of the promised figures."""

    burst: int = 500
    """Ports created by all clients together in one run."""
    bulks: int = 10
    """Creations of 100 ports in one call; their ports are those that are listed."""
    calls: int = 50
    """Calls of each other operation."""
    filled: int = 10_000
    """Ports in the database that is not empty."""


def measure(
    group: Group,
    runs: int,
    say: Callable[[str], None],
    databases: Sequence[str] = DATABASES,
    sizes: Sizes = Sizes(),
) -> None:
    """Measure every operation on every database, empty and filled.

    A database that cannot be had is named in the notes. Raises BenchError when a call fails.
    """
    for database in databases:
        for filled in (0, sizes.filled):
            label = f"{database}, {filled:,} ports" if filled else f"{database}, empty"
            say(f"api: {label}")
            try:
                with _database(database) as url, server(url) as process, Client(process.endpoint) as client:
                    case = _Case(label, process, client, _prepare(client, filled), sizes)
                    found = _measure(case, runs, PORTS_PER_SECOND[database])
            except postgres.MissingError as error:
                group.notes.append(f"{label}: not measured: {error}")
            else:
                group.figures += found.figures
                group.notes += found.notes


@contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "postgresql":
        with postgres.cluster() as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(prefix="deuteron-bench-") as directory:
            yield f"sqlite:///{Path(directory, 'deuteron.db')}"


@dataclass(frozen=True)
class _Cloud:
    """What stands before anything is measured."""

    network: str
    """Where the clients create ports; holds those of the filled database."""
    external: str


def _prepare(client: Client, filled: int) -> _Cloud:
    network = _network(client, "10.0.0.0/8")
    external = client.create(
        "network",
        name="external",
        **{"router:external": True, "provider:network_type": "flat", "provider:physical_network": "external"},
    )
    client.create("subnet", network_id=external["id"], ip_version=4, cidr="198.18.0.0/15", enable_dhcp=False)
    one_by_one(client, [_bulk(network, BULK)] * (filled // BULK))
    return _Cloud(network, external["id"])


def _network(client: Client, cidr: str) -> str:
    network = client.create("network", name="bench")
    client.create("subnet", network_id=network["id"], ip_version=4, cidr=cidr)
    return str(network["id"])


def _bulk(network: str, count: int) -> Request:
    return Request.of("POST", "/v2.0/ports", {"ports": [{"network_id": network, "name": "bench"}] * count})


@dataclass(frozen=True)
class _Case:
    """One database in one state, served."""

    label: str
    process: Server
    client: Client
    cloud: _Cloud
    sizes: Sizes


def _measure(case: _Case, runs: int, at_least: float) -> Group:
    client, sizes = case.client, case.sizes
    found = Group("")

    def add(name: str, seconds: Sequence[float], limit: float | None = None) -> None:
        found.figures.append(operation(f"{case.label}: {name}", seconds, limit))

    _bursts(found, case, runs, at_least)
    listed = _network(client, "10.0.0.0/16")
    add(f"{BULK} ports in one create", one_by_one(client, [_bulk(listed, BULK)] * sizes.bulks), 200)
    path = f"/v2.0/ports?network_id={listed}"
    add(f"list of {sizes.bulks * BULK:,} ports", one_by_one(client, [Request("GET", path)] * sizes.calls), 50)
    ports = client.call("GET", f"{path}&fields=id&limit={sizes.calls}")["ports"]
    paths = [f"/v2.0/ports/{port['id']}" for port in ports]
    add("port show", one_by_one(client, [Request("GET", path) for path in paths]))
    changes = [Request.of("PUT", path, {"port": {"name": f"bench-{i}"}}) for i, path in enumerate(paths)]
    add("port update", one_by_one(client, changes))
    for name, seconds, limit in _routers(client, case.cloud, sizes.calls):
        add(name, seconds, limit)
    return found


def _bursts(found: Group, case: _Case, runs: int, at_least: float) -> None:
    """Create ports from all clients at once; add the rate, the single calls, and who used the processor."""
    endpoint, pid = case.process.endpoint, case.process.pid
    body = {"port": {"network_id": case.cloud.network, "name": "bench"}}
    requests = [Request.of("POST", "/v2.0/ports", body)] * case.sizes.burst
    before = cpu_seconds(pid)
    loads = [at_once(endpoint, CLIENTS, requests) for _ in range(runs)]
    seconds = sum(load.seconds for load in loads)
    of_server = (cpu_seconds(pid) - before) / seconds
    of_clients = sum(load.client_cpu for load in loads) / seconds
    name = f"{case.label}: port create from {CLIENTS} clients"
    rates = tuple(len(load.latencies) / load.seconds for load in loads)
    each = tuple(latency * 1000 for load in loads for latency in load.latencies)
    found.figures.append(Figure(name, "/s", rates, Bound("at least", at_least)))
    found.figures.append(Figure(f"{name}, each", "ms", each))
    found.notes.append(f"{name}: the server took {of_server:.0%} of a core, the clients {of_clients:.0%}")


def _routers(client: Client, cloud: _Cloud, count: int) -> Iterator[tuple[str, list[float], float | None]]:
    new = Request.of("POST", "/v2.0/routers", {"router": {"name": "bench", "ha": True}})
    yield "router create", one_by_one(client, [new] * count), 20
    routers = [router["id"] for router in client.call("GET", "/v2.0/routers?name=bench&fields=id")["routers"]]
    subnets = [_subnet(client) for _ in routers]
    interfaces = [
        Request.of("PUT", f"/v2.0/routers/{router}/add_router_interface", {"subnet_id": subnet["id"]})
        for router, subnet in zip(routers, subnets, strict=True)
    ]
    yield "router add interface", one_by_one(client, interfaces), 20
    gateway = {"external_gateway_info": {"network_id": cloud.external}}
    client.call("PUT", f"/v2.0/routers/{routers[0]}", {"router": gateway})
    ports = [client.create("port", network_id=subnets[0]["network_id"]) for _ in range(count)]
    addresses: list[dict[str, Any]] = [
        {"floating_network_id": cloud.external, "port_id": port["id"]} for port in ports
    ]
    floating = [Request.of("POST", "/v2.0/floatingips", {"floatingip": content}) for content in addresses]
    yield "floating IP create", one_by_one(client, floating), None


def _subnet(client: Client) -> dict[str, Any]:
    network = client.create("network", name="bench")
    return client.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/16")


def operation(name: str, seconds: Sequence[float], limit: float | None = None) -> Figure:
    """Return the figure of calls made one after the other, in ms; `limit` bounds their median."""
    milliseconds = tuple(value * 1000 for value in seconds)
    bound = Bound("at most", limit) if limit is not None else None
    rate = len(seconds) / sum(seconds) if seconds else None
    return Figure(name, "ms", milliseconds, bound, rate)
