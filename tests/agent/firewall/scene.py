"""Machines on one host whose ports are filtered, and one on the same networks that is not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deuteron.agent.firewall.identity import link_local
from deuteron.plan.units import Member, Network, Port, SecurityGroup, SecurityRule
from tests.agent.host import eventually
from tests.agent.scene import NET, NETWORK, Scene, mac, port_id, tap

MACHINE = str(Path(__file__).with_name("machine.py"))
OTHER_NET = "99999999-2222-3333-4444-555555555555"
OTHER_NETWORK = Network(id=OTHER_NET, type="vxlan", mtu=1450, vni=9)


def group_id(number: int) -> str:
    return f"{number:08x}-bbbb-3333-4444-555555555555"


def v4(number: int) -> str:
    return f"10.1.0.{number}"


def v6(number: int) -> str:
    return f"fd00:1::{number}"


def port(number: int, *groups: int, network: str = NET, filtered: bool = True, **more: Any) -> Port:
    return Port(
        id=port_id(number),
        network=network,
        mac=mac(number),
        mtu=1450,
        filtered=filtered,
        addresses=more.pop("addresses", (v4(number), v6(number))) if filtered else (),
        security_groups=tuple(group_id(group) for group in groups),
        **more,
    )


def rule(direction: str = "ingress", version: int = 4, **more: Any) -> SecurityRule:
    return SecurityRule(direction=direction, version=version, **more)  # type: ignore[arg-type]


OUT = (rule("egress", 4), rule("egress", 6))


def group(number: int, *rules: SecurityRule, stateful: bool = True) -> SecurityGroup:
    return SecurityGroup(id=group_id(number), rules=(*OUT, *rules), stateful=stateful)


def member(number: int, *groups: int) -> Member:
    return Member(
        id=port_id(number), groups=tuple(group_id(one) for one in groups), addresses=(v4(number), v6(number))
    )


@dataclass
class Guarded:
    """A host with filtered ports."""

    scene: Scene
    helpers: list[subprocess.Popen[str]] = field(default_factory=list)

    def plan(self, *units: Any) -> None:
        """Plan, and wait until it is so."""
        self.scene.server.put(*units)
        self.scene.settled()
        assert self.scene.server.problems == {}

    def machine(self, number: int, *addresses: str) -> None:
        """Plug a machine in; it has these addresses, or those of its number."""
        name = self.scene.plug(number)
        lines = [f"address add {one}/24 dev eth0" for one in addresses or (v4(number),)]
        lines += [] if addresses else [f"address add {v6(number)}/64 dev eth0 nodad"]
        for line in lines:
            self.scene.host.run(f"ip -n {name} {line}")

    def does(self, number: int, *words: str) -> Any:
        """Have a machine do something, and return what it says."""
        done = subprocess.run(
            self.scene.host.argv([sys.executable, "-I", MACHINE, *words], f"vm{number}"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def starts(self, number: int, *words: str) -> "Running":
        """Have a machine begin something."""
        process = self.scene.host.popen(
            [sys.executable, "-I", MACHINE, *words],
            f"vm{number}",
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
        )
        self.helpers.append(process)
        assert process.stdout is not None
        assert process.stdin is not None
        return Running(process, process.stdout, process.stdin)

    def serves(self, number: int, where: int) -> None:
        """Have a machine answer on a port."""
        assert self.starts(number, "serve", str(where)).says() == "ready"

    def pings(self, number: int, address: str) -> bool:
        """Return whether a ping is answered."""
        command = f"ping -n -q -c 1 -W 1 {address} >/dev/null && echo yes"
        return "yes" in self.scene.host.run(command, f"vm{number}", check=False)

    def hears(self, listener: int, speaker: int, frame: str, mark: str) -> bool:
        """Return whether a machine hears what another one puts on the wire; `mark` is part of it."""
        listening = self.starts(listener, "hear", mark, "0.6")
        assert listening.says() == "ready"
        self.does(speaker, "send", frame, "3")
        return int(listening.says()) > 0

    def ruleset(self) -> str:
        return self.scene.host.run("nft list ruleset")


@dataclass
class Running:
    process: subprocess.Popen[str]
    output: IO[str]
    input: IO[str]

    def says(self) -> str:
        return self.output.readline().strip()

    def asked(self) -> str:
        self.input.write("\n")
        self.input.flush()
        return self.says()


@contextmanager
def guarded(scene: Scene) -> Iterator[Guarded]:
    """Start the agent on a host with one network and an unfiltered port 9, and give it."""
    scene.agent.options("--roles", "l2")
    made = Guarded(scene)
    scene.server.put(NETWORK, port(9, filtered=False))
    scene.agent.start()
    scene.settled()
    made.machine(9)
    try:
        yield made
    finally:
        for process in made.helpers:
            process.kill()
            process.wait()


__all__ = ["Guarded", "Running", "eventually", "guarded", "link_local", "tap"]
