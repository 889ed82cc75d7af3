"""A whole lab: up, down, and what is there."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

from deuteron.lab import hosts, topology, wires
from deuteron.lab.client import ApiError, Client
from deuteron.lab.state import Lab, Record, locked
from deuteron.lab.topology import LabError, Topology

AGENTS_SECONDS = 60.0
_PROGRAMS = {
    "ip": "iproute2",
    "bridge": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ping": "iputils-ping",
    "udhcpc": "udhcpc",
}
"""What the lab itself runs, and the Debian package that has it."""
AGENT_TYPES = {
    "l2": "Linux bridge agent",
    "l3": "L3 agent",
    "dhcp": "DHCP agent",
    "metadata": "Metadata agent",
}
"""What an agent's role is called in the list of agents."""


def up(lab: Lab, file: Path | None = None) -> Record:
    """Bring a lab up, or complete one that is; return when the API answers and all agents are alive.

    Raises LabError.
    """
    _check_machine()
    with locked(lab):
        record = _recorded(lab, file)
        wires.create(lab.name)
        off = []
        for host in record.topology.hosts:
            if hosts.pid(lab, host) is None or not hosts.is_ready(lab, host):
                hosts.power_off(lab, host)  # what a killed command left half-made
                off.append(host)
        hosts.start(lab, record, off)
    wait_for_agents(lab, record)
    if record.port:
        _let_everybody_in(Client(endpoint(record)))
    return record


def _let_everybody_in(api: Client) -> None:
    """Open the default security group: instances of a lab are there to be reached. Raises LabError."""
    group = api.find("security_group", "default")["id"]
    for ethertype in ("IPv4", "IPv6"):
        try:
            api.create(
                "security_group_rule", security_group_id=group, direction="ingress", ethertype=ethertype
            )
        except ApiError as error:
            if error.status != 409:  # it is there already
                raise


def down(lab: Lab) -> bool:
    """Remove a lab and all that belongs to it; return whether there was anything. Raises LabError."""
    with locked(lab):
        there = lab.directory.exists() or wires.exist(lab.name)
        while found := hosts.find_all(lab):
            there = True
            hosts.kill(found)
        wires.delete(lab.name)
        lab.forget()
    return there


def power_on(lab: Lab, host: str) -> None:
    """Switch a host on that is off; its services start, its instances do not. Raises LabError."""
    with locked(lab):
        record = lab.record()
        if hosts.pid(lab, hosts.known(record, host)) is not None:
            raise LabError(f"host {host} is on")
        hosts.power_off(lab, host)
        hosts.start(lab, record, [host])


def power_off(lab: Lab, host: str) -> None:
    """Take a host's power. Raises LabError."""
    with locked(lab):
        hosts.known(lab.record(), host)
        hosts.power_off(lab, host)


def endpoint(record: Record) -> str:
    """Return where the API is reached from this machine; "" when no host runs the server."""
    return f"http://127.0.0.1:{record.port}" if record.port else ""


def client(lab: Lab) -> Client:
    """Return a client of the lab's API. Raises LabError."""
    found = endpoint(lab.record())
    if not found:
        raise LabError(f"lab {lab.name!r} has no host that runs the server")
    return Client(found)


def status(lab: Lab) -> dict[str, Any]:
    """Return what there is, as `deuteron lab status --json` shows it. Raises LabError."""
    record = lab.record()
    ports_up = wires.ports_up(lab.name)
    shown: list[dict[str, Any]] = []
    running: set[str] = set()
    for host in record.topology.hosts:
        shown.append(_host_status(lab, record.topology, host, ports_up))
        running.update(shown[-1].pop("instances"))
    instances = [
        {
            "name": name,
            "host": instance.host,
            "state": "running" if name in running else "off",
            "network": instance.network,
            "port": instance.port,
            "device_id": instance.device_id,
            "mac": instance.mac,
            "addresses": list(instance.addresses),
        }
        for name, instance in lab.instances().items()
    ]
    return {"name": lab.name, "endpoint": endpoint(record), "hosts": shown, "instances": instances}


def troubles(lab: Lab) -> list[str]:
    """Return what is wrong in a lab, in words, as far as can be told: for whoever asks why it failed."""
    found = []
    for host in status(lab)["hosts"]:
        for name, service in host["services"].items():
            if service["state"] == "restarting":
                tail = hosts.log_tail(lab, host["name"], name)
                found.append(f"{name} on {host['name']} ends again and again: {tail}")
    try:
        found += client(lab).get("/v1/status")["problems"]
    except LabError as error:
        found.append(str(error))
    return found


def locate(lab: Lab, target: str) -> int:
    """Return the pid of a process that lives in a host or instance. Raises LabError."""
    record = lab.record()
    if target in record.topology.hosts:
        found = hosts.pid(lab, target)
        if found is None:
            raise LabError(f"host {target} is off")
        return found
    instance = lab.instances().get(target)
    if instance is None:
        raise LabError(f"there is no host or instance {target!r} in this lab")
    init = hosts.pid(lab, instance.host)
    inner = hosts.ask(lab, instance.host, "status")["instances"].get(target) if init else None
    found = hosts.inner_process(init, inner) if init and inner else None
    if found is None:
        raise LabError(f"instance {target} is off")
    return found


def wait_for_agents(lab: Lab, record: Record, seconds: float = AGENTS_SECONDS) -> None:
    """Wait until the API answers and every agent of every host is alive. Raises LabError with what is not."""
    if not record.port:
        return
    wanted = {
        (AGENT_TYPES[role], name)
        for name in record.topology.with_service("agent")
        for role in record.topology.hosts[name].roles
    }
    api = Client(endpoint(record), timeout=2)
    deadline = time.monotonic() + seconds
    while True:
        try:
            agents = api.get("/v2.0/agents")["agents"]
            missing = wanted - {(a["agent_type"], a["host"]) for a in agents if a["alive"]}
            problem = "these agents are not alive: " + ", ".join(f"{k} on {h}" for k, h in sorted(missing))
        except ApiError as error:
            missing, problem = (
                {("", next(record.topology.with_service("server")))},
                f"the API is not up: {error}",
            )
        if not missing:
            return
        if time.monotonic() > deadline or _hopeless(lab, record):
            raise LabError(problem + _why(lab, {host for _, host in missing}))
        time.sleep(0.05)


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise LabError("a lab is made of namespaces: this needs root")
    for program, package in _PROGRAMS.items():
        if not shutil.which(program):
            raise LabError(f"there is no program {program} here: apt-get install {package}")


def _recorded(lab: Lab, file: Path | None) -> Record:
    """Return the lab's record, made now if there is none."""
    if lab.exists():
        record = lab.record()
        if file and topology.load(file) != record.topology:
            raise LabError(
                f"lab {lab.name!r} is up with another topology than {file}: `deuteron lab down` first"
            )
        return record
    wanted = topology.load(file)
    while left := hosts.find_all(lab):  # of a lab whose files were lost
        hosts.kill(left)
    wires.delete(lab.name)
    lab.forget()
    record = Record(topology=wanted)
    lab.save(record)
    return record


def _host_status(lab: Lab, wanted: Topology, host: str, ports_up: set[str]) -> dict[str, Any]:
    spec = wanted.hosts[host]
    found = hosts.pid(lab, host)
    answer: dict[str, Any] = {}
    if found is not None:
        answer = hosts.ask(lab, host, "status")
    state = "off" if found is None else "frozen" if answer["frozen"] else "on"
    return {
        "name": host,
        "state": state,
        "pid": found,
        "roles": list(spec.roles),
        "zone": spec.zone,
        "addresses": {network: list(found) for network, found in wanted.addresses(host).items()},
        "cut": [n for n in spec.networks if found and wires.port(n, host) not in ports_up],
        "services": answer.get("services", {}),
        "instances": answer.get("instances", {}),
    }


def _hopeless(lab: Lab, record: Record) -> bool:
    """Tell whether a service has ended so often that waiting is of no use."""
    for host in record.topology.hosts:
        if hosts.pid(lab, host) is not None:
            services = hosts.ask(lab, host, "status")["services"].values()
            if any(service["starts"] > 4 and not service["pid"] for service in services):
                return True
    return False


def _why(lab: Lab, wrong: set[str]) -> str:
    text = ""
    for host in sorted(wrong)[:2]:
        for service in lab.record().topology.hosts[host].services:
            if tail := hosts.log_tail(lab, host, service):
                text += f"\nthe log of {service} on {host} ends so:\n{tail}"
    return text
