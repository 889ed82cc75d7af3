"""Many instances at once: their ports created, bound to hosts, plugged and ACTIVE, and what that costs.

Each of several clients does what a compute service does for an instance: it creates the port, binds it to a
host, has its device plugged there, and goes on with the next. The ports are in a few networks with DHCP, all
in the project's default security group, whose rules name the group itself: every host hears of every port.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from deuteron.bench import labs
from deuteron.bench.figures import Figure, Group
from deuteron.bench.labs import Lab
from deuteron.bench.load import Client, in_turns
from deuteron.bench.processes import cpu_by_command
from deuteron.bench.taps import OWNER, Taps, wait_active

CLIENTS = 8
NETWORKS = 10
PORTS = 500
CONTROLLER = "controller"
_NAMED_COMMANDS = 6


@dataclass(frozen=True)
class Storm:
    """What one took; seconds from the first call."""

    calls: float
    """Until the last call was answered."""
    active: float
    """Until the last port was ACTIVE."""
    cpu: Mapping[str, float]
    """Seconds of processor time, by command, of the server's host and of all that have agents."""


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Let storms rage, each in a fresh lab. Raises BenchError, LabError."""
    storms: list[Storm] = []
    try:
        for number in range(runs):
            say(f"storm: {PORTS} ports, run {number + 1} of {runs}")
            with labs.lab() as lab:
                storms.append(_storm(lab))
            say(f"storm: all ACTIVE after {storms[-1].active:.1f} s")
    finally:
        group.figures += figures(storms)
        group.notes += notes(storms)


def _storm(lab: Lab) -> Storm:
    status = lab.status()
    hosts = [host for host in status["hosts"] if "agent" in host["services"]]
    pids = {host["name"]: host["pid"] for host in status["hosts"] if host["services"]}
    with ExitStack() as stack:
        taps = [stack.enter_context(Taps(lab, host["name"])) for host in hosts]
        clients = [stack.enter_context(Client(status["endpoint"])) for _ in range(CLIENTS)]
        networks = [_network(clients[0], number) for number in range(NETWORKS)]
        before = _cpu(pids)
        started = time.monotonic()
        in_turns(clients, range(PORTS), lambda client, number: _boot(client, number, networks, taps))
        calls = time.monotonic() - started
        wait_active(clients[0])
        active = time.monotonic() - started
        after = _cpu(pids)
        return Storm(calls, active, {name: seconds - before.get(name, 0) for name, seconds in after.items()})


def _network(client: Client, number: int) -> str:
    network = client.create("network", name=f"storm-{number}")
    client.create("subnet", network_id=network["id"], ip_version=4, cidr=f"10.{number}.0.0/16")
    return str(network["id"])


def _boot(client: Client, number: int, networks: Sequence[str], taps: Sequence[Taps]) -> None:
    host = taps[number % len(taps)]
    network = networks[number // len(taps) % len(networks)]
    port = client.create("port", network_id=network, device_owner=OWNER, device_id=str(uuid.uuid4()))
    client.call("PUT", f"/v2.0/ports/{port['id']}", {"port": {"binding:host_id": host.host}})
    host.plug(port["id"])


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    """Return the seconds of processor time so far, by command, of the server's host and of all others."""
    total: dict[str, float] = defaultdict(float)
    for host, pid in pids.items():
        where = "controller" if host == CONTROLLER else "hosts"
        for command, seconds in cpu_by_command(pid).items():
            total[f"{where}: {command}"] += seconds
    return total


def figures(storms: Sequence[Storm]) -> list[Figure]:
    """Return the figures of these storms."""
    name = f"{PORTS} ports from {CLIENTS} clients"
    return [
        Figure(f"{name}: first call to last ACTIVE", "s", tuple(one.active for one in storms)),
        Figure(f"{name}: the API calls of it", "s", tuple(one.calls for one in storms)),
    ]


def notes(storms: Sequence[Storm]) -> list[str]:
    """Say where the processor time went."""
    total: dict[str, float] = defaultdict(float)
    for one in storms:
        for command, seconds in one.cpu.items():
            total[command] += seconds / len(storms)
    most = sorted(total.items(), key=lambda item: -item[1])[:_NAMED_COMMANDS]
    return (
        [f"seconds of processor time: {', '.join(f'{name} {value:.1f}' for name, value in most)}"]
        if most
        else []
    )
