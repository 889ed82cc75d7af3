"""Who is what just now, as the kernels of the hosts say: drills name roles, not hosts."""

from collections.abc import Mapping

from deuteron.drill import invariants, planned
from deuteron.drill.invariants import Subject
from deuteron.drill.seen import Host
from deuteron.drill.stage import CLIENT, PLACED, Stage


def of(stage: Stage, subject: Subject, hosts: Mapping[str, Host]) -> dict[str, tuple[str, ...]]:
    """Return the hosts of each role of acts.NOUNS; `hosts` with what their kernels hold.

    A standby is one that could take over now; the DHCP server is one that does not carry the router. Of
    several in a role that is one host's, the first has it.
    """
    active = tuple(invariants.forwarding(subject, hosts))
    standbys = [name for name in stage.candidates() if hosts[name].whole and name not in active]
    namespace = f"qdhcp-{stage.networks['blue']}"
    serving = [name for name, host in hosts.items() if namespace in host.namespaces and name not in active]
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
        "drained host": tuple(planned.drained(stage)) if hosts[stage.controller()].state == "on" else (),
    }
