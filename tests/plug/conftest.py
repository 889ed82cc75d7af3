"""A host with a server and an agent of its own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.agent.host import Agent, Host, eventually
from tests.api.conftest import Answer, Client

DEUTERON = str(Path(sys.executable).with_name("deuteron"))
Json = dict[str, Any]


class Inside(Client):
    """Asks the server of a host from within the host."""

    def __init__(self, host: Host) -> None:
        super().__init__(9696)
        self._host = host

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        with self._host.network():
            return super().request(method, path, body, headers)


@dataclass
class Machine:
    """A host; `api` speaks to its server."""

    host: Host
    api: Client
    agent: Agent

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `deuteron WORDS`."""
        argv = self.host.argv([DEUTERON, *words])
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)

    def done(self, *words: str) -> str:
        found = self.command(*words)
        assert found.returncode == 0, found.stderr + self.agent.words()[-2000:]
        return found.stdout

    def refused(self, *words: str) -> str:
        found = self.command(*words)
        assert found.returncode == 1, found
        return found.stderr

    def cni(self, command: str, config: Json | str, **environment: str) -> tuple[int, Json]:
        """Call the plugin as a container runtime does."""
        given = {f"CNI_{name.upper()}": value for name, value in environment.items()}
        done = subprocess.run(
            self.host.argv([sys.executable, "-m", "deuteron.cli.cni"]),
            input=config if isinstance(config, str) else json.dumps(config),
            env={"PATH": os.environ["PATH"], "CNI_COMMAND": command, **given},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else {}

    def namespace(self, name: str) -> str:
        self.host.run(f"ip netns add {name}")
        return name

    def port(self, id_: str) -> Json:
        return dict(self.api.shown("port", id_))

    def bridge(self, network: str) -> str:
        return f"brq{network[:11]}"

    def network(self, name: str) -> str:
        """Make a network with an IPv4 and an IPv6 subnet; return its id."""
        id_ = str(self.api.make("network", name=name)["id"])
        self.api.make("subnet", network_id=id_, cidr="10.0.0.0/24", ip_version=4, gateway_ip="10.0.0.1")
        self.api.make("subnet", network_id=id_, cidr="2001:db8::/64", ip_version=6)
        return id_

    def reaches(self, namespace: str, address: str) -> None:
        """Wait until a ping is answered."""
        ping = f"ping -n -c 1 -W 2 {address}"
        eventually(lambda: "1 received" in self.host.run(ping, namespace, check=False), what=ping)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = tmp_path_factory.mktemp("machine")
    with contextlib.closing(Host()) as host:
        host.run(
            "ip link add eth0 type veth peer name far0; ip address add 10.9.0.1/24 dev eth0;"
            "ip link set eth0 up; ip link set far0 up"
        )
        with (directory / "server.log").open("w") as log:
            host.popen([DEUTERON, "server", "--database", f"sqlite:///{directory / 'db'}"], stderr=log)
        agent = Agent(host, directory, "--local-ip", "10.9.0.1", "--roles", "l2")
        agent.start()
        eventually(lambda: _has_agent(host), 60, "no agent")
        yield Machine(host, Inside(host), agent)


def _has_agent(host: Host) -> bool:
    try:
        found = Inside(host).get("/agents")
    except OSError:
        return False
    return any(one["alive"] for one in found.body["agents"])
