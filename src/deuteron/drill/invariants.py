"""What holds whenever things have settled, whatever failed before: pure, over what is seen.

Hosts that are off or cut off are judged leniently: nobody can tell them anything. That one twin forwards, and
only one, holds on all hosts; of a router without standbys, only on those that the server can reach.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from deuteron.drill.seen import Host, View
from deuteron.drill.stage import DHCP_SERVERS, NETWORK_HOSTS
from deuteron.lab.modes import Mode

_ALWAYS = frozenset({"qmeta"})
"""Namespaces of a whole host."""
_OF_PLAN = ("qrouter-", "snat-", "fip-", "qdhcp-", "qha-")
_DEVICES = ("brq", "vxlan-", "tap", "dvr")
_DAEMONS = ("keepalived", "dnsmasq", "haproxy", "radvd")


@dataclass(frozen=True)
class Subject:
    """What is judged."""

    router: str
    mode: Mode
    number: int
    """Of the router: the device group of its ports on every host."""
    controller: str


def in_view(subject: Subject, view: View | None, hosts: Mapping[str, Host]) -> list[str]:
    """Return in words what does not hold as far as the server's view tells, without looking into kernels."""
    controller = hosts[subject.controller]
    if view is None:
        return ["the server does not answer"] if controller.state == "on" else []
    if not controller.managed:
        return []
    seen = {name: host for name, host in hosts.items() if name != subject.controller}
    return [
        *_heard(view, seen),
        *_redundant(subject, view, seen),
        *_served(view, seen),
        *_told(view, hosts),
    ]


def in_kernels(subject: Subject, view: View | None, hosts: Mapping[str, Host]) -> list[str]:
    """Return in words what does not hold in the kernels of the hosts, and between them and the server."""
    seen = {name: host for name, host in hosts.items() if name != subject.controller}
    active = forwarding(subject, seen)
    if len(active) != 1:
        return [f"{len(active)} twins forward: {', '.join(active) or 'on no host'}"]
    if view is None or not hosts[subject.controller].managed:
        return []
    found = [*_agreed(subject.router, active[0], view, seen), *_in_one_place(active[0], view, seen)]
    for name, host in seen.items():
        if host.managed:
            found += [f"{name}: {text}" for text in _follows(view.plans.get(name, []), host)]
    return found


def forwarding(subject: Subject, hosts: Mapping[str, Host]) -> list[str]:
    """Return the hosts whose twin of the router forwards: it is there and no gate holds it."""
    # It may have been converted: the namespace of its central part says what it is now.
    name = f"snat-{subject.router}"
    if not any(name in seen.namespaces for seen in hosts.values()):
        name = f"qrouter-{subject.router}"
    found = [
        host
        for host, seen in hosts.items()
        if name in seen.namespaces and (seen.gated is None or subject.number not in seen.gated)
    ]
    managed = [host for host in found if hosts[host].managed]
    # Without an election nobody but the server could tell a host that another one has taken its place.
    return found if subject.mode.redundant or not managed else managed


def _agreed(router: str, where: str, view: View, hosts: Mapping[str, Host]) -> Iterable[str]:
    """Compare where the router forwards with what the server says, and with where it could."""
    shown = next(one for one in view.status["routers"] if one["id"] == router)
    lost = sorted(hosts[where].cut & {"underlay", "external"})
    if lost and any(hosts[name].whole for name in shown["candidates"]):
        yield f"the router is active on {where}, which has no {' and no '.join(lost)}"
    if not hosts[where].managed:
        return
    if shown["active"] != where:
        yield f"the router forwards on {where}, the server says {shown['active']}"
    if view.history and view.history[0]["to"] != where:
        yield f"the router forwards on {where}, its history ends with {view.history[0]['to']}"


def _in_one_place(where: str, view: View, hosts: Mapping[str, Host]) -> Iterable[str]:
    """Look where each floating IP that is in a plan is served: by the central part, or on one host."""
    told = {str(unit["floating_ip"]) for units in view.plans.values() for unit in units if _floats(unit)}
    for address in sorted(told):
        local = [name for name, host in hosts.items() if address in host.floating]
        central = [where] if address in hosts[where].central else []
        if len(local + central) != 1:
            yield f"floating IP {address} is served on {', '.join(local + central) or 'no host'}"


def on_the_wire(
    subject: Subject, hosts: Mapping[str, Host], answers: Mapping[str, Collection[str]]
) -> list[str]:
    """Return in words which floating IPs are not answered for by the one host that serves them.

    `answers`: floating IP -> hosts that answer for it on the external network.
    """
    seen = {name: host for name, host in hosts.items() if name != subject.controller}
    active = forwarding(subject, seen)
    excused = {name for name, host in seen.items() if not (subject.mode.redundant or host.managed)}
    found = []
    for address, by in answers.items():
        serving = [name for name, host in seen.items() if address in host.floating]
        serving += [name for name in active if address in seen[name].central]
        audible = {name for name in serving if "external" not in seen[name].cut}
        if set(by) - (excused - audible) != audible:
            told = f"floating IP {address} is answered for by {', '.join(sorted(by)) or 'no host'}"
            found.append(f"{told}, and served on {', '.join(serving) or 'no host'}")
    return found


def _floats(unit: Mapping[str, object]) -> bool:
    return unit["kind"] == "floatingip"


def _heard(view: View, hosts: Mapping[str, Host]) -> Iterable[str]:
    for name, host in hosts.items():
        alive = {agent["alive"] for agent in view.agents if agent["host"] == name}
        if alive != {host.managed}:
            known, real = ("alive" if yes else "dead" for yes in (True in alive, host.managed))
            yield f"{name}: for the server its agents are {known}, and they are {real}"


def _redundant(subject: Subject, view: View, hosts: Mapping[str, Host]) -> Iterable[str]:
    one = next(one for one in view.status["routers"] if one["id"] == subject.router)
    # The agents of a distributed router are those of its distributed parts, too.
    agents = [agent for agent in view.l3_agents if agent["host"] in one["candidates"]]
    states = {agent["host"]: agent["ha_state"] for agent in agents}
    if len(states) != subject.mode.candidates(NETWORK_HOSTS):
        yield f"the router has {len(states)} candidates: {', '.join(sorted(states))}"
    for name, state in states.items() if subject.mode.redundant else ():
        if hosts[name].whole and state not in ("active", "standby"):
            yield f"{name} is {state} for the router"
    active = [name for name, state in states.items() if state == "active" and hosts[name].managed]
    if len(active) > 1:
        yield f"the server takes several for active: {', '.join(active)}"
    missing = [name for name in one["candidates"] if hosts[name].managed and name not in one["built"]]
    if missing:
        yield f"the router is not built on {', '.join(missing)}"
    if one["moving"]:
        yield "the router is still moving"


def _served(view: View, hosts: Mapping[str, Host]) -> Iterable[str]:
    able = [
        agent["host"]
        for agent in view.agents
        if agent["agent_type"] == "DHCP agent" and hosts[agent["host"]].managed
    ]
    for network, serving in view.dhcp.items():
        living = [name for name in serving if hosts[name].managed]
        if len(living) != min(DHCP_SERVERS, len(able)) or len(serving) > DHCP_SERVERS:
            yield f"network {network} is served by {', '.join(serving) or 'nobody'}"
    addresses: dict[tuple[str, str], str] = {}
    for port in view.ports:
        # Every router's port on a hidden HA network shows the address of its host there.
        for fixed in port["fixed_ips"] if port["device_owner"] != "network:router_ha_interface" else ():
            key = (fixed["subnet_id"], fixed["ip_address"])
            if key in addresses:
                yield f"ports {addresses[key]} and {port['id']} both have {fixed['ip_address']}"
            addresses[key] = port["id"]
        bound = hosts.get(port.get("binding:host_id", ""))
        dead = bound is not None and not bound.managed
        counted = port["device_owner"].startswith(("compute:", "network:dhcp", "network:router_gateway"))
        if counted and not dead and port["status"] != "ACTIVE":
            yield f"port {port['id']} ({port['device_owner']}) is {port['status']}"


def _told(view: View, hosts: Mapping[str, Host]) -> Iterable[str]:
    """Say which problems are shown that no damage of now explains."""
    damaged = [name for name, host in hosts.items() if not host.whole]
    for problem in view.status["problems"]:
        if not any(name in problem for name in damaged):
            yield f"a problem is shown: {problem}"


def _follows(units: list[dict[str, object]], host: Host) -> Iterable[str]:
    """Compare a host's plan with its kernel: what is missing, what is orphaned."""
    wanted = {prefix: set[str]() for prefix in ("namespace", "device", "daemon")}
    for unit in units:
        _expect(unit, wanted)
    there = {name for name in host.namespaces if name.startswith(_OF_PLAN)}
    yield from _difference("namespace", wanted["namespace"], there - _ALWAYS)
    devices = {name for name in host.devices if name.startswith(_DEVICES)}
    yield from _difference("device", wanted["device"], devices)
    if host.gated is None and any(unit["kind"] == "router" for unit in units):
        yield "there is no gate"
    yield from _daemons(wanted["daemon"], host)


def _expect(unit: Mapping[str, object], wanted: dict[str, set[str]]) -> None:
    """Add what a unit of the plan leaves in the kernel."""
    kind, id_ = unit["kind"], str(unit["id"])
    if kind == "network":
        wanted["device"].add(f"brq{id_[:11]}")
        if unit.get("vni") is not None:
            wanted["device"].add(f"vxlan-{unit['vni']}")
    elif kind == "port":
        wanted["device"].add(f"tap{id_[:11]}")
    elif kind == "dhcp":
        wanted["namespace"].add(f"qdhcp-{id_}")
        wanted["device"].add(f"tap{str(unit['port'])[:11]}")
        wanted["daemon"].add(f"dnsmasq-{id_}")
    elif kind == "election":
        wanted["namespace"].add(f"qha-{unit['ha_network']}")
        wanted["daemon"].add(f"keepalived-{id_}")
    elif kind == "router":
        wanted["namespace"].add(f"{'snat' if unit.get('distributed') else 'qrouter'}-{id_}")
        for port in _ports(unit):
            wanted["device"].add(f"tap{port['id'][:11]}")
    elif kind == "distributedrouter":
        wanted["namespace"].add(f"qrouter-{id_}")
        for port in _ports(unit):
            wanted["device"].add(f"dvr{port['id'][:11]}")
    elif kind == "floatinggateway":
        wanted["namespace"].add(f"fip-{id_}")
        wanted["device"].add(f"tap{str(unit['port'])[:11]}")


def _ports(unit: Mapping[str, Any]) -> Iterable[Mapping[str, str]]:
    """Return the ports of a part of a router."""
    gateway = unit.get("gateway")
    return [*unit.get("interfaces", ()), *unit.get("snat_ports", ()), *([gateway] if gateway else [])]


def _difference(kind: str, wanted: set[str], there: set[str]) -> Iterable[str]:
    for name in sorted(there - wanted):
        yield f"orphan: {kind} {name} is in no plan"
    for name in sorted(wanted - there):
        yield f"{kind} {name} is missing"


def _daemons(wanted: set[str], host: Host) -> Iterable[str]:
    named = {name for name in host.daemons if name.startswith(("keepalived-", "dnsmasq-"))}
    yield from _difference("daemon", wanted, named)
    for name, pid in host.daemons.items():
        if pid not in host.processes:
            yield f"daemon {name} does not run"
    recorded = set(host.daemons.values())
    for pid, (_, command) in host.processes.items():
        words = command.split(None, 1)
        if words and words[0].rpartition("/")[2] in _DAEMONS and not _descends(pid, recorded, host):
            yield f"orphan: process {pid} belongs to no daemon: {command[:80]}"


def _descends(pid: int, recorded: set[int], host: Host) -> bool:
    while pid and pid in host.processes:
        if pid in recorded:
            return True
        pid = host.processes[pid][0]
    return False
