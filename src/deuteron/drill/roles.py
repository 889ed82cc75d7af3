"""Who is what just now, as the kernels of the hosts say: drills name roles, not hosts."""

from collections.abc import Mapping

from deuteron.drill import invariants
from deuteron.drill.invariants import Subject
from deuteron.drill.seen import Host
from deuteron.drill.stage import CLIENT, PLACED, Stage

ROLES = {
    "active": "carries the router",
    "standby": "stands by for the router, unharmed; of several the first",
    "other standby": "the second of those",
    "DHCP server": "serves DHCP for the instances; of several the first",
    "compute": "has the instance that talks",
    "controller": "runs the server",
    "all agents": "every host with an agent",
    "all hosts": "those and the controller",
    "dead host": "every host that is off",
    "cut host": "every host with a cable cut",
}
"""Role -> what a host is that has it."""


def of(stage: Stage, subject: Subject, hosts: Mapping[str, Host]) -> dict[str, tuple[str, ...]]:
    """Return the hosts of each role; `hosts` with what their kernels hold."""
    active = tuple(invariants.forwarding(subject, hosts))
    standbys = [name for name in stage.candidates() if hosts[name].whole and name not in active]
    namespace = f"qdhcp-{stage.networks['blue']}"
    serving = [name for name, host in hosts.items() if namespace in host.namespaces]
    return {
        "active": active if len(active) == 1 else (),
        "standby": tuple(standbys[:1]),
        "other standby": tuple(standbys[1:2]),
        "DHCP server": tuple(serving[:1]),
        "compute": (PLACED[CLIENT][0],),
        "controller": (stage.controller(),),
        "all agents": tuple(name for name in stage.agents() if hosts[name].state == "on"),
        "all hosts": tuple(stage.hosts()),
        "dead host": tuple(name for name in stage.hosts() if hosts[name].state == "off"),
        "cut host": tuple(name for name in stage.hosts() if hosts[name].cut),
    }
