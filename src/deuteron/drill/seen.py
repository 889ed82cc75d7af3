"""What is so: in the server's view, in each host's plan, and in each host's kernel."""

import http.client
import json
import subprocess
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from deuteron.drill.stage import OUTSIDE, Stage, ask, run, running
from deuteron.lab import lab as labs
from deuteron.lab import wires
from deuteron.lab.topology import LabError

PLAN_SECONDS = 5.0
_SCRIPT = r"""
echo "== namespaces"; ls /run/netns
echo "== devices"; ip -o link show
echo "== standby"; nft -n list set bridge deuteron_gate standby 2>&1
echo "== floating"
for name in $(ls /run/netns | grep ^fip-); do
    ip -n "$name" -o route show | sed -n 's/^\([0-9.]*\) .* dev fpr-.*/\1/p'
done
echo "== central"
for name in $(ls /run/netns | grep -e ^qrouter- -e ^snat-); do
    ip -n "$name" -o -4 address show | sed -n 's/.* qg-.* inet \([0-9.]*\)\/32 .*/\1/p'
done
echo "== processes"; ps -eo pid=,ppid=,args=
echo "== daemons"
for file in /run/deuteron/daemons/*.json; do
    [ -e "$file" ] && echo "$file $(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$file")"
done
true
"""


@dataclass(frozen=True)
class Host:
    """A host as its process 1 and the lab's cables say, and what its kernel holds if it is on."""

    state: str
    """on, off or frozen."""
    cut: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    gated: frozenset[int] | None = None
    """Numbers of the routers that are standby here; None when there is no gate."""
    floating: frozenset[str] = frozenset()
    """Floating IPs that are served here by distributed parts of routers."""
    central: frozenset[str] = frozenset()
    """Floating IPs that twins of central parts have here, gated or not."""
    processes: dict[int, tuple[int, str]] = field(default_factory=dict)
    """pid -> (parent, command line)."""
    daemons: dict[str, int] = field(default_factory=dict)
    """Name -> recorded pid."""

    @property
    def whole(self) -> bool:
        """Whether it is on and no cable is cut."""
        return self.state == "on" and not self.cut

    @property
    def managed(self) -> bool:
        """Whether its agent can hear the server and be heard."""
        return self.state == "on" and "management" not in self.cut


@dataclass(frozen=True)
class View:
    """What the API says."""

    status: dict[str, Any]
    agents: list[dict[str, Any]]
    l3_agents: list[dict[str, Any]]
    """Those that carry the router."""
    dhcp: dict[str, list[str]]
    """Network -> living hosts that serve it."""
    ports: list[dict[str, Any]]
    history: list[dict[str, Any]]
    plans: dict[str, list[dict[str, Any]]]
    """Host -> units, of the hosts that were asked about."""


def hosts(stage: Stage, *, kernels: bool) -> dict[str, Host]:
    """Return the hosts of the cloud; with what their kernels hold only when asked. Raises LabError."""
    names = set(stage.hosts())
    found = {
        one["name"]: Host(state=one["state"], cut=frozenset(one["cut"]))
        for one in labs.status(stage.lab)["hosts"]
        if one["name"] in names
    }
    if not kernels:
        return found
    look = [name for name in stage.agents() if found[name].state == "on"]
    with ThreadPoolExecutor(2) as pool:
        for name, seen in zip(look, pool.map(lambda name: kernel(stage, name), look), strict=True):
            found[name] = _parsed(found[name], seen)
    return found


def kernel(stage: Stage, host: str) -> dict[str, list[str]]:
    """Return what the kernel of a host holds, in lines: kind -> lines. Raises LabError."""
    found: dict[str, list[str]] = {}
    kind = ""
    for line in run(stage.lab, host, "sh", "-c", _SCRIPT).splitlines():
        if line.startswith("== "):
            kind = line[3:]
            found[kind] = []
        elif line.strip():
            found[kind].append(line)
    return found


def answering(stage: Stage) -> dict[str, frozenset[str]]:
    """Ask on the external network for each floating IP; return which hosts answer for it. Raises LabError."""
    topology = stage.lab.record().topology
    asker = (topology.mac(OUTSIDE, "external"), topology.address(OUTSIDE, "external"))
    argv = [sys.executable, "-m", "deuteron.lab.whohas", "external", *asker, stage.floating_ip]
    done = subprocess.run(
        wires.command(stage.lab.name, [*argv, stage.central_ip]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise LabError(f"nobody can be asked on the external network: {done.stderr.strip()}")
    ports: dict[str, list[str]] = json.loads(done.stdout)
    return {ip: frozenset(name.partition("-")[2] for name in by) for ip, by in ports.items()}


def _parsed(host: Host, lines: dict[str, list[str]]) -> Host:
    processes = {}
    for line in lines["processes"]:
        pid, parent, command = (*line.split(None, 2), "")[:3]
        processes[int(pid)] = (int(parent), command)
    daemons = (line.split() for line in lines["daemons"])
    return Host(
        state=host.state,
        cut=host.cut,
        namespaces=frozenset(lines["namespaces"]),
        devices=frozenset(line.split()[1].rstrip(":").partition("@")[0] for line in lines["devices"]),
        gated=gated("\n".join(lines["standby"])),
        floating=frozenset(lines["floating"]),
        central=frozenset(lines["central"]),
        processes=processes,
        daemons={
            words[0].rpartition("/")[2].removesuffix(".json"): int(words[1])
            for words in daemons
            if len(words) == 2
        },
    )


def gated(listing: str) -> frozenset[int] | None:
    """Return the numbers in the set `standby` as nft lists it; None when there is no such set."""
    if "set standby" not in listing:
        return None
    _, found, rest = listing.partition("elements = {")
    words = rest.partition("}")[0].replace(",", " ").split() if found else ()
    return frozenset(int(word, 0) for word in words)


def view(stage: Stage, plans_of: list[str]) -> View | None:
    """Return what the API says; None when it does not answer to all of it."""
    status, agents = ask(stage, "/v1/status"), ask(stage, "/v2.0/agents")
    l3 = ask(stage, f"/v2.0/routers/{stage.router}/l3-agents")
    ports, history = ask(stage, "/v2.0/ports"), ask(stage, f"/v1/routers/{stage.router}/history")
    if not all((status, agents, l3, ports, history)):
        return None
    dhcp: dict[str, list[str]] = {}
    for name, network in stage.networks.items():
        found = ask(stage, f"/v2.0/networks/{network}/dhcp-agents")
        if found is None:
            return None
        dhcp[name] = sorted(agent["host"] for agent in found["agents"] if agent["alive"])
    plans = {host: plan(stage, host) for host in plans_of}
    complete = {host: units for host, units in plans.items() if units is not None}
    if len(complete) < len(plans):
        return None
    return View(
        status=status,
        agents=agents["agents"],
        l3_agents=l3["agents"],
        dhcp=dhcp,
        ports=ports["ports"],
        history=history["history"],
        plans=complete,
    )


def plan(stage: Stage, host: str) -> list[dict[str, Any]] | None:
    """Return the units of a host's plan, as its agent would be told them now; None without an answer."""
    parts = urllib.parse.urlsplit(stage.api.endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PLAN_SECONDS)
    units = []
    try:
        connection.request("GET", f"/agent/v1/hosts/{host}/plan")
        response = connection.getresponse()
        if response.status != 200:
            return None
        while line := response.readline():
            message = json.loads(line)
            if message["op"] == "put":
                units.append(message["unit"])
            elif message["op"] == "in_sync":
                return units
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return None


def evidence(stage: Stage) -> dict[str, Any]:
    """Return everything that may explain what is wrong, as far as it can be had."""
    found: dict[str, Any] = {
        "status": ask(stage, "/v1/status"),
        "history": ask(stage, f"/v1/routers/{stage.router}/history"),
        "moves": ask(stage, f"/v1/routers/{stage.router}/moves"),
        "events": ask(stage, "/v1/events"),
        "kernels": {},
        "logs": {},
    }
    try:
        found["instances"] = sorted(running(stage))
        for name, host in hosts(stage, kernels=False).items():
            if host.state == "on" and name in stage.agents():
                found["kernels"][name] = kernel(stage, name)
    except LabError as error:
        found["error"] = str(error)
    for name in stage.hosts():
        logs = stage.lab.host_directory(name) / "disk" / "log"
        for path in sorted(logs.glob("*.log")):
            if path.stem in ("agent", "switch", "server"):
                found["logs"][f"{name}/{path.stem}"] = path.read_text(errors="replace").splitlines()[-40:]
    return found
