"""Many hosts on one machine, with the same server and agents as anywhere.

Without --name the lab is that of the environment variable DEUTERON_LAB, or "default".
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deuteron.lab.topology import NETWORKS, LabError

NO_SUCH_TARGET = 125
"""The exit status of `exec` when there is nothing in which to run the command."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the verbs of the lab."""
    parser.add_argument("--name", default=os.environ.get("DEUTERON_LAB", "default"), help="which lab")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, *arguments: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        for argument in arguments:
            sub.add_argument(argument, metavar=argument.upper())
        return sub

    up = verb("up", "build the lab; return when the API answers and all agents are alive")
    up.add_argument("file", nargs="?", type=Path, metavar="FILE.toml", help="the hosts; seven when not given")
    verb("down", "remove the lab and everything in it")
    verb("status", "show hosts, services and instances").add_argument("--json", action="store_true")
    run = verb("exec", "run a command in a host or an instance", "target")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    boot = verb("boot", "boot an instance: port, DHCP, metadata", "instance")
    boot.add_argument("--host", required=True)
    where = boot.add_mutually_exclusive_group(required=True)
    where.add_argument("--network", metavar="ID|NAME")
    where.add_argument("--port", metavar="ID|NAME")
    boot.add_argument("--user-data", type=Path, metavar="FILE")
    boot.add_argument("--metadata-v6", action="store_true", help="ask for metadata by IPv6 too")
    verb("destroy", "remove an instance", "instance")
    trace = verb("trace", "send a datagram and show its way, as every device saw it", "source", "address")
    shape = trace.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true")
    shape.add_argument("--svg", type=Path, metavar="FILE", help="draw it into this file")
    verb("power-off", "take a host's power, as when its plug is pulled", "host")
    verb("power-on", "give it back", "host")
    verb("freeze", "stop every process of a host; its kernel runs on", "host")
    verb("thaw", "let them go on", "host")
    cut = verb("cut", "pull a host's cable to a network", "host")
    cut.add_argument("network", choices=list(NETWORKS))
    heal = verb("heal", "put the cable back, or all of them", "host")
    heal.add_argument("network", choices=list(NETWORKS), nargs="?")
    service = verb("service", "stop, start or restart a service of a host", "host")
    service.add_argument("action", choices=["stop", "start", "restart"])
    service.add_argument("service", metavar="SERVICE")


def run(arguments: argparse.Namespace) -> int:
    """Run one verb of the lab."""
    try:
        return _RUN[arguments.verb](arguments)
    except LabError as error:
        print(f"deuteron lab: {error}", file=sys.stderr)
        return NO_SUCH_TARGET if arguments.verb == "exec" else 1


def _lab(arguments: argparse.Namespace) -> Any:
    from deuteron.lab.state import Lab

    return Lab(arguments.name)


def _up(arguments: argparse.Namespace) -> int:
    from deuteron.lab import lab

    record = lab.up(_lab(arguments), arguments.file)
    where = lab.endpoint(record)
    print(
        f"lab {arguments.name} is up: {len(record.topology.hosts)} hosts"
        + (f", API at {where}" if where else "")
    )
    return 0


def _down(arguments: argparse.Namespace) -> int:
    from deuteron.lab import lab

    there = lab.down(_lab(arguments))
    print(f"lab {arguments.name} is down" if there else f"there was no lab {arguments.name}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from deuteron.lab import lab

    status = lab.status(_lab(arguments))
    if arguments.json:
        print(json.dumps(status, indent=2))
        return 0
    print(f"lab {status['name']}" + (f"   API {status['endpoint']}" if status["endpoint"] else ""))
    for host in status["hosts"]:
        addresses = " ".join(a.partition("/")[0] for found in host["addresses"].values() for a in found)
        services = " ".join(f"{name}:{s['state']}" for name, s in host["services"].items())
        cut = f"   cut from {', '.join(host['cut'])}" if host["cut"] else ""
        print(f"  {host['name']:<13} {host['state']:<7} {addresses:<36} {services}{cut}")
    for instance in status["instances"]:
        where = f"{instance['state']:<7} {' '.join(instance['addresses']):<36} on {instance['host']}"
        print(f"  {instance['name']:<13} {where}")
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    from deuteron.lab import enter, lab

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise LabError("exec: what is to be run? deuteron lab exec TARGET -- COMMAND...")
    pid = lab.locate(_lab(arguments), arguments.target)
    try:
        return enter.run(pid, command)
    except OSError as error:
        raise LabError(f"{arguments.target}: {error.strerror}") from None


def _boot(arguments: argparse.Namespace) -> int:
    from deuteron.lab import instances

    user_data = None
    if arguments.user_data:
        try:
            user_data = arguments.user_data.read_bytes()
        except OSError as error:
            raise LabError(f"{arguments.user_data}: {error.strerror}") from None
    booted = instances.boot(
        _lab(arguments),
        arguments.instance,
        arguments.host,
        network=arguments.network,
        port=arguments.port,
        user_data=user_data,
        metadata_v6=arguments.metadata_v6,
    )
    print(instances.describe(booted))
    return 0


def _destroy(arguments: argparse.Namespace) -> int:
    from deuteron.lab import instances

    instances.destroy(_lab(arguments), arguments.instance)
    return 0


def _trace(arguments: argparse.Namespace) -> int:
    import msgspec

    from deuteron.lab import picture, trace

    found = trace.trace(_lab(arguments), arguments.source, arguments.address)
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
    elif arguments.svg:
        arguments.svg.write_text(picture.draw(found))
    else:
        print(trace.describe(found))
    return 0 if found.answered else 1


def _power_off(arguments: argparse.Namespace) -> int:
    from deuteron.lab import lab

    lab.power_off(_lab(arguments), arguments.host)
    return 0


def _power_on(arguments: argparse.Namespace) -> int:
    from deuteron.lab import lab

    lab.power_on(_lab(arguments), arguments.host)
    return 0


def _freeze(arguments: argparse.Namespace) -> int:
    from deuteron.lab import hosts

    lab = _lab(arguments)
    hosts.ask(lab, hosts.known(lab.record(), arguments.host), arguments.verb)
    return 0


def _cut(arguments: argparse.Namespace) -> int:
    from deuteron.lab import hosts, wires
    from deuteron.lab.state import locked

    lab = _lab(arguments)
    with locked(lab):
        record = lab.record()
        plugged = record.topology.hosts[hosts.known(record, arguments.host)].networks
        if arguments.network and arguments.network not in plugged:
            raise LabError(f"host {arguments.host} is not on the network {arguments.network}")
        if hosts.pid(lab, arguments.host) is None:
            raise LabError(f"host {arguments.host} is off")
        change = wires.cut if arguments.verb == "cut" else wires.heal
        change(lab.name, arguments.host, [arguments.network] if arguments.network else plugged)
    return 0


def _service(arguments: argparse.Namespace) -> int:
    from deuteron.lab import hosts

    lab = _lab(arguments)
    hosts.ask(lab, hosts.known(lab.record(), arguments.host), arguments.action, name=arguments.service)
    return 0


_RUN: dict[str, Callable[[argparse.Namespace], int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "exec": _exec,
    "boot": _boot,
    "destroy": _destroy,
    "trace": _trace,
    "power-off": _power_off,
    "power-on": _power_on,
    "freeze": _freeze,
    "thaw": _freeze,
    "cut": _cut,
    "heal": _cut,
    "service": _service,
}
