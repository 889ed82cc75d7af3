"""25 and 200 redundant routers: how soon they forward, what they cost, what an agent's restart does to them.

A router forwards when an instance behind it has got an answer from the outside host: through the overlay, the
router's active twin, address translation and the external network. One namespace on a compute host holds such
an instance behind each router (see forwarding.py).
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import fmean

from deuteron.bench import labs
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.instances import Instances
from deuteron.bench.labs import Cloud, Lab
from deuteron.bench.memory import pss_by_command
from deuteron.bench.processes import BenchError
from deuteron.bench.restart import Restart, restart_agent
from deuteron.bench.stage import CANDIDATES

COUNTS = (25, 200)
BUILD_SECONDS = {25: 10.0}
"""Bounds from the first API call to the last router that forwards."""
MEBIBYTES = 2.0
RESYNC_SECONDS = 10.0
SETTLE_SECONDS = 5.0
"""Before memory is looked at: daemons have read their files, what was only needed once is freed."""
RESTART_AT = 200
"""Routers with which an agent is restarted."""
_NAMED_COMMANDS = 6

Growth = dict[str, float]
"""MiB that one router added on one host, by command."""


@dataclass(frozen=True)
class Build:
    """How long it took; seconds from the first API call."""

    calls: float
    """To the last call's answer."""
    last: float
    """To the last router that forwarded."""


@dataclass
class Found:
    """What the runs with one number of routers gave."""

    count: int
    builds: list[Build] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    """Of each network host in each run."""
    restarts: list[Restart] = field(default_factory=list)


def measure(group: Group, runs: int, say: Callable[[str], None]) -> None:
    """Build routers, in a fresh lab for each count and run. Raises BenchError, LabError."""
    for count in COUNTS:
        found = Found(count)
        try:
            for number in range(runs):
                say(f"scale: {count} routers, run {number + 1} of {runs}")
                with labs.lab() as lab:
                    _run(lab, found, say)
        finally:
            group.figures += figures(found)
            group.notes += notes(found)


def _run(lab: Lab, found: Found, say: Callable[[str], None]) -> None:
    client = lab.client()
    cloud = labs.external_network(client)
    time.sleep(SETTLE_SECONDS)
    before = _weigh(lab)
    with Instances(lab) as instances:
        found.builds.append(_build(cloud, instances, found.count))
        say(f"scale: the last one forwards {found.builds[-1].last:.2f} s after the first call")
        time.sleep(SETTLE_SECONDS)
        carried = {host: _routers_on(lab, host) for host in before}
        found.growth += growth(before, _weigh(lab), carried)
        if found.count == RESTART_AT:
            found.restarts.append(restart_agent(lab, client, "scale-0", CANDIDATES))
            say(f"scale: an agent's restart took {found.restarts[-1].seconds:.2f} s")


def _build(cloud: Cloud, instances: Instances, count: int) -> Build:
    started = time.monotonic()
    for number in range(count):
        network = cloud.client.create("network", name=f"scale-{number}")
        cidr = f"10.{number // 256}.{number % 256}.0/24"
        subnet = cloud.client.create("subnet", network_id=network["id"], ip_version=4, cidr=cidr)
        labs.ha_router(cloud, f"scale-{number}", subnet["id"])
        instances.add(labs.instance_port(cloud.client, network["id"]), subnet)
    calls = time.monotonic() - started
    answers = instances.all_answers(timeout=60 + count)
    return Build(calls, max(answers) - started)


def _weigh(lab: Lab) -> dict[str, dict[str, int]]:
    """Return the bytes of each network host, by command."""
    hosts = {host["name"]: host["pid"] for host in lab.status()["hosts"]}
    try:
        return {name: pss_by_command(pid) for name, pid in hosts.items() if name.startswith("net")}
    except ProcessLookupError as error:
        raise BenchError(str(error)) from error


def _routers_on(lab: Lab, host: str) -> int:
    return lab.verb("exec", host, "--", "ip", "netns", "list").count("qrouter-")


def growth(
    before: Mapping[str, Mapping[str, int]],
    after: Mapping[str, Mapping[str, int]],
    carried: Mapping[str, int],
) -> list[Growth]:
    """Return what a router added on each host that carries any, from the bytes before and after."""
    found = []
    for host, routers in carried.items():
        if not routers:
            continue
        commands = before[host].keys() | after[host].keys()
        found.append(
            {
                command: (after[host].get(command, 0) - before[host].get(command, 0)) / routers / 2**20
                for command in commands
            }
        )
    return found


def figures(found: Found) -> list[Figure]:
    """Return the figures of one number of routers."""
    name = f"{found.count} HA routers"
    seconds = BUILD_SECONDS.get(found.count)
    bound = Bound("at most", seconds) if seconds else None
    samples = tuple(sum(one.values()) for one in found.growth)
    result = [
        Figure(
            f"{name}: first call to last forwarding", "s", tuple(build.last for build in found.builds), bound
        ),
        Figure(f"{name}: the API calls of it", "s", tuple(build.calls for build in found.builds)),
        Figure(f"{name}: memory of one on a host", "MiB", samples, Bound("at most", MEBIBYTES, of="every")),
    ]
    if found.count == RESTART_AT:
        restarts = found.restarts
        applied = tuple(one.seconds for one in restarts)
        lost = tuple(float(one.lost) for one in restarts)
        result += [
            Figure(
                f"{name}: agent restart, until all applied", "s", applied, Bound("at most", RESYNC_SECONDS)
            ),
            Figure(f"{name}: agent restart, packets lost", "", lost, Bound("at most", 0, of="every")),
        ]
    return result


def notes(found: Found) -> list[str]:
    """Say how time and memory divide."""
    if not found.builds or not found.growth:
        return []
    each = fmean(build.last for build in found.builds) / found.count * 1000
    total: Counter[str] = Counter()
    for one in found.growth:
        total.update({command: value / len(found.growth) for command, value in one.items()})
    parts = ", ".join(f"{command} {value:.2f}" for command, value in total.most_common(_NAMED_COMMANDS))
    return [f"{found.count} HA routers: {each:.0f} ms for each; MiB of one by process: {parts}"]
