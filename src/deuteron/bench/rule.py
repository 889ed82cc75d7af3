"""What a security group costs a host with many ports in it: a rule more, a rule less, a member elsewhere.

All ports of one host are in one group, with devices but nothing behind them, but for one: an instance to
which another host's instance speaks all the time. What the host commits to its nftables is followed there.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.flows import Flow, flow
from deuteron.bench.labs import COMPUTE, Lab
from deuteron.bench.load import Client
from deuteron.bench.processes import cpu_by_command
from deuteron.bench.taps import OWNER, Taps, wait_active
from deuteron.bench.transactions import Transaction, Transactions, watching
from deuteron.lab.probing import Prober
from deuteron.lab.state import Lab as LabFiles

COUNTS = (10, 1000)
"""Ports of the group on the host."""
NETWORKS = 4
ADDED, REMOVED, JOINED = "a rule added", "a rule removed", "a port elsewhere that joins"
SETTLE_SECONDS = 2.0
MILLISECONDS = 500.0
_HOST, _ELSEWHERE = COMPUTE
_SERVED, _ASKING = "served", "asking"
_ECHO = 7


@dataclass
class Found:
    """What was met with one number of ports on the host."""

    ports: int
    changes: dict[str, list[Transaction]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Of each change, from the call until it was committed on the host."""
    cpu: float = 0.0
    """Seconds of processor time of the host for one change, on average."""
    flow: Flow | None = None
    """What the connection to the instance met meanwhile."""


@dataclass(frozen=True)
class _Stage:
    lab: Lab
    client: Client
    networks: Sequence[str]
    group: str
    address: str
    """Of the instance that is spoken to."""
    pid: int
    """Of the host's process 1."""


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Make so many changes of each kind, in one lab. Raises BenchError, LabError."""
    with labs.lab() as lab, ExitStack() as stack:
        stage = _build(lab, stack)
        taps = stack.enter_context(Taps(lab, _HOST))
        there = 1
        for count in COUNTS:
            say(f"rule: {count:,} ports on a host")
            found = Found(count)
            with watching(lab, _HOST) as transactions:
                _add_ports(stage, taps, count - there)
                there = count
                try:
                    _change(stage, transactions, found, runs)
                finally:
                    group.figures += figures(found)
            group.notes.append(
                f"{count:,} ports: a change takes {found.cpu * 1000:.0f} ms of the host's processor"
            )


def _build(lab: Lab, stack: ExitStack) -> _Stage:
    status = lab.status()
    client = stack.enter_context(Client(status["endpoint"]))
    group = client.create("security_group", name="bench")["id"]
    for protocol in ("tcp", "udp"):
        _rule(client, group, protocol=protocol, port_range_min=_ECHO, port_range_max=_ECHO)
    _rule(client, group, remote_group_id=group)
    networks = [_network(client, number) for number in range(NETWORKS)]
    port = client.create("port", network_id=networks[0], security_groups=[group])
    lab.verb("boot", _SERVED, "--host", _HOST, "--port", port["id"])
    lab.verb("boot", _ASKING, "--host", _ELSEWHERE, "--network", networks[0])
    pid = next(host["pid"] for host in status["hosts"] if host["name"] == _HOST)
    return _Stage(lab, client, networks, group, port["fixed_ips"][0]["ip_address"], pid)


def _network(client: Client, number: int) -> str:
    network = client.create("network", name=f"rule-{number}")
    client.create("subnet", network_id=network["id"], ip_version=4, cidr=f"10.{number}.0.0/16")
    return str(network["id"])


def _rule(client: Client, group: str, **what: Any) -> dict[str, Any]:
    return client.create("security_group_rule", security_group_id=group, direction="ingress", **what)


def _port(stage: _Stage, host: str, number: int) -> dict[str, Any]:
    return {
        "network_id": stage.networks[number % len(stage.networks)],
        "security_groups": [stage.group],
        "device_owner": OWNER,
        "device_id": str(uuid.uuid4()),
        "binding:host_id": host,
    }


def _add_ports(stage: _Stage, taps: Taps, count: int) -> None:
    bodies = [_port(stage, _HOST, number) for number in range(count)]
    for begin in range(0, count, 100):
        made = stage.client.call("POST", "/v2.0/ports", {"ports": bodies[begin : begin + 100]})
        for port in made["ports"]:
            taps.plug(port["id"])
    wait_active(stage.client)
    time.sleep(SETTLE_SECONDS)


def _change(stage: _Stage, transactions: Transactions, found: Found, runs: int) -> None:
    prober = Prober(LabFiles(stage.lab.name), _ASKING, [f"udp:{stage.address}", f"tcp:{stage.address}"])
    try:
        prober.wait_ready()
        before = sum(cpu_by_command(stage.pid).values())
        # Members first: `nft monitor` tells nothing of the elements of sets any more when rules were removed.
        for _ in range(runs):
            _join(stage, transactions, found)
        for number in range(runs):
            _add_and_remove(stage, transactions, found, number)
        found.cpu = (sum(cpu_by_command(stage.pid).values()) - before) / (3 * runs)
        found.flow = flow(*prober.stop())
    finally:
        prober.kill()


def _join(stage: _Stage, transactions: Transactions, found: Found) -> None:
    body = _port(stage, _ELSEWHERE, 0)
    made = _timed(transactions, found, JOINED, lambda: stage.client.create("port", **body))
    began = time.monotonic()
    stage.client.call("DELETE", f"/v2.0/ports/{made['id']}")
    transactions.after(began)


def _add_and_remove(stage: _Stage, transactions: Transactions, found: Found, number: int) -> None:
    ports = {"protocol": "tcp", "port_range_min": 8000 + number, "port_range_max": 8000 + number}
    made = _timed(transactions, found, ADDED, lambda: _rule(stage.client, stage.group, **ports))
    path = f"/v2.0/security-group-rules/{made['id']}"
    _timed(transactions, found, REMOVED, lambda: stage.client.call("DELETE", path))


def _timed(transactions: Transactions, found: Found, what: str, do: Callable[[], Any]) -> Any:
    """Do something and note what was committed for it, and when; return what it returns."""
    began = time.monotonic()
    done = do()
    committed = transactions.after(began)
    found.changes.setdefault(what, []).append(committed)
    found.seconds.setdefault(what, []).append(committed.at - began)
    return done


def figures(found: Found) -> list[Figure]:
    """Return the figures with one number of ports."""
    name = f"{found.ports:,} ports of a group on a host"
    result = []
    for what in (ADDED, REMOVED, JOINED):
        seconds = tuple(value * 1000 for value in found.seconds.get(what, ()))
        objects = tuple(float(one.objects) for one in found.changes.get(what, ()))
        result += [
            Figure(f"{name}: {what}, until committed", "ms", seconds, Bound("at most", MILLISECONDS)),
            Figure(f"{name}: {what}, nft objects", "", objects),
        ]
    lost = (float(found.flow.lost),) if found.flow else ()
    survived = (100.0 * found.flow.tcp_survived,) if found.flow else ()
    return [
        *result,
        Figure(f"{name}: packets lost meanwhile", "", lost, Bound("at most", 0, of="every")),
        Figure(f"{name}: TCP survived", "%", survived, Bound("at least", 100, of="every")),
    ]
