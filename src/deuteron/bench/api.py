"""The speed of the API: SQLite and PostgreSQL, empty and with 10,000 ports, for anybody and for a user."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deuteron.bench import accounts, postgres
from deuteron.bench.accounts import Access
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.load import Client, at_once, one_by_one
from deuteron.bench.memory import pss
from deuteron.bench.operations import Cloud, Operation, new_port, operations, prepare
from deuteron.bench.processes import cpu_seconds
from deuteron.bench.server import Server, server

CLIENTS = 8
PORTS_PER_SECOND = {"sqlite": 300.0, "postgresql": 200.0}
DATABASES = tuple(PORTS_PER_SECOND)
_ENVIRONMENT = {"DEUTERON_SERVER__L3_HA": "true"}
"""Routers are redundant; only an administrator may ask for it."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the defaults are those of the promised figures."""

    burst: int = 500
    """Ports created by all clients together in one run."""
    bulks: int = 20
    """Creations of 100 ports in one call, of each number of clients."""
    calls: int = 50
    """Calls of each other operation, of each number of clients."""
    listed: tuple[int, ...] = (1_000, 5_000)
    """Ports in the networks that are listed."""
    filled: int = 10_000
    """Ports in the database that is not empty."""


@dataclass(frozen=True)
class _Case:
    """One server with what it serves."""

    label: str
    process: Server
    access: Access
    client: Client
    cloud: Cloud


def measure(
    group: Group,
    runs: int,
    say: Callable[[str], None],
    databases: Sequence[str] = DATABASES,
    sizes: Sizes = Sizes(),
) -> None:
    """Measure every operation on every database: empty, filled, and filled with authentication.

    A database that cannot be had is named in the notes. Raises BenchError when a call fails.
    """
    for database in databases:
        for filled, basic in ((0, False), (sizes.filled, False), (sizes.filled, True)):
            label = (
                f"{database}, {f'{filled:,} ports' if filled else 'empty'}{', http_basic' if basic else ''}"
            )
            say(f"api: {label}")
            try:
                with _case(label, database, filled, basic) as case:
                    cost = [_bursts(group, case, runs, sizes.burst, PORTS_PER_SECOND[database])]
                    every = operations(case.client, case.cloud, sizes.calls, sizes.bulks, sizes.listed)
                    cost += [_measure(group, case, one) for one in every]
                    memory = pss(Path(f"/proc/{case.process.pid}/smaps_rollup").read_text()) / 2**20
                    group.figures.append(Figure(f"{label}: memory of the server", "MiB", (memory,)))
                    group.notes.append(
                        f"{label}: the server's processor time for a call, in ms: {', '.join(cost)}"
                    )
            except postgres.MissingError as error:
                group.notes.append(f"{label}: not measured: {error}")


@contextmanager
def _case(label: str, database: str, filled: int, basic: bool) -> Iterator[_Case]:
    with ExitStack() as stack:
        url = stack.enter_context(_database(database))
        access = stack.enter_context(accounts.http_basic()) if basic else accounts.NOAUTH
        process = stack.enter_context(server(url, {**_ENVIRONMENT, **access.environment}))
        administrator = stack.enter_context(Client(process.endpoint, access.administrator))
        client = stack.enter_context(Client(process.endpoint, access.member))
        yield _Case(label, process, access, client, prepare(administrator, client, filled))


@contextmanager
def _database(kind: str) -> Iterator[str]:
    if kind == "postgresql":
        with postgres.cluster() as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(prefix="deuteron-bench-") as directory:
            yield f"sqlite:///{Path(directory, 'deuteron.db')}"


def _bursts(group: Group, case: _Case, runs: int, burst: int, at_least: float) -> str:
    """Create ports from all clients at once; add the rate, the single calls, and who used the processor.

    Return what one costs the server, in words.
    """
    request = new_port(case.cloud)
    group.figures.append(operation(f"{case.label}: port create", one_by_one(case.client, [request] * burst)))
    endpoint, pid, login = case.process.endpoint, case.process.pid, case.access.member
    before = cpu_seconds(pid)
    loads = [at_once(endpoint, CLIENTS, [request] * burst, login) for _ in range(runs)]
    seconds = sum(load.seconds for load in loads)
    of_server = (cpu_seconds(pid) - before) / seconds
    of_clients = sum(load.client_cpu for load in loads) / seconds
    name = f"{case.label}: port create, {CLIENTS} clients"
    rates = tuple(len(load.latencies) / load.seconds for load in loads)
    each = tuple(latency * 1000 for load in loads for latency in load.latencies)
    group.figures.append(Figure(name, "/s", rates, Bound("at least", at_least)))
    group.figures.append(Figure(f"{name}, each", "ms", each))
    group.notes.append(f"{name}: the server took {of_server:.0%} of a core, the clients {of_clients:.0%}")
    return f"port create {of_server * seconds * 1000 / (runs * burst):.1f}"


def _measure(group: Group, case: _Case, one: Operation) -> str:
    """Carry out the first half of the calls one by one, the other from all clients at once.

    Return what one costs the server, in words.
    """
    half, before = len(one.requests) // 2, cpu_seconds(case.process.pid)
    alone = one_by_one(case.client, one.requests[:half])
    load = at_once(case.process.endpoint, CLIENTS, one.requests[half:], case.access.member)
    cost = (cpu_seconds(case.process.pid) - before) * 1000 / len(one.requests)
    name = f"{case.label}: {one.name}"
    together = tuple(seconds * 1000 for seconds in load.latencies)
    group.figures += [
        operation(name, alone, one.limit),
        Figure(f"{name}, {CLIENTS} clients", "ms", together, rate=len(together) / load.seconds),
    ]
    return f"{one.name} {cost:.1f}"


def operation(name: str, seconds: Sequence[float], limit: float | None = None) -> Figure:
    """Return the figure of calls made one after the other, in ms; `limit` bounds their median."""
    milliseconds = tuple(value * 1000 for value in seconds)
    bound = Bound("at most", limit) if limit is not None else None
    rate = len(seconds) / sum(seconds) if seconds else None
    return Figure(name, "ms", milliseconds, bound, rate)
