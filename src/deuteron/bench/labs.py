"""A lab of our own for the length of a measurement, and the cloud that is built in it."""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from deuteron.bench.processes import BenchError, deuteron
from deuteron.lab.client import Client

COMPUTE = ("compute1", "compute2")
OUTSIDE_HOST = "outside"
OUTSIDE = "203.0.113.1"
"""The outside host: the gateway of the external network; it answers pings, and echoes on port 7."""

VERB_TIMEOUT = 180.0


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    name: str

    def verb(self, *words: str) -> str:
        """Run a verb of `deuteron lab`; return what it prints. Raises BenchError with its complaint."""
        # A session of its own: an interrupt from the keyboard must not stop it half-way, `down` follows.
        done = subprocess.run(
            deuteron("lab", *words),
            env=_environment(self.name),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=VERB_TIMEOUT,
            start_new_session=True,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise BenchError(f"deuteron lab {' '.join(words)}: status {done.returncode}: {said}")
        return done.stdout

    def start(self, place: str, *command: str, errors: IO[str]) -> "subprocess.Popen[str]":
        """Start a command in a host or instance, with pipes to it; whoever starts it ends it.

        What it complains of goes to the file `errors`.
        """
        return subprocess.Popen(
            deuteron("lab", "exec", place, "--", *command),
            env=_environment(self.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )

    def status(self) -> dict[str, Any]:
        """Return what `deuteron lab status --json` tells."""
        found: dict[str, Any] = json.loads(self.verb("status", "--json"))
        return found

    def client(self) -> Client:
        """Return a client of its API."""
        return Client(self.status()["endpoint"], VERB_TIMEOUT)


def _environment(name: str) -> dict[str, str]:
    return {**os.environ, "DEUTERON_LAB": name}


@contextmanager
def lab() -> Iterator[Lab]:
    """Bring up the default lab; take it down whatever happens. Raises BenchError."""
    found = Lab(f"bench-{os.getpid()}")
    try:
        found.verb("up")
        yield found
    finally:
        found.verb("down")


@dataclass(frozen=True)
class Cloud:
    """The external network of a lab."""

    client: Client
    external: str


def external_network(client: Client) -> Cloud:
    """Create the flat external network of the default lab."""
    network = client.create(
        "network",
        name="external",
        **{"router:external": True, "provider:network_type": "flat", "provider:physical_network": "external"},
    )
    client.create(
        "subnet",
        network_id=network["id"],
        ip_version=4,
        cidr="203.0.113.0/24",
        gateway_ip=OUTSIDE,
        enable_dhcp=False,
    )
    return Cloud(client, network["id"])


def ha_router(cloud: Cloud, name: str, subnet: str) -> dict[str, Any]:
    """Create a redundant router with a gateway and one interface."""
    gateway = {"network_id": cloud.external}
    router = cloud.client.create("router", name=name, ha=True, external_gateway_info=gateway)
    cloud.client.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet})
    return router


def ha_states(client: Client, router: str) -> dict[str, str]:
    """Return what each candidate host of a router is for it, of those hosts that are alive."""
    agents = client.get(f"/v2.0/routers/{router}/l3-agents")["agents"]
    return {agent["host"]: agent["ha_state"] for agent in agents if agent["alive"]}


def active_host(states: dict[str, str]) -> str | None:
    """Return the one active host; None if there is none or more than one."""
    found = [host for host, state in states.items() if state == "active"]
    return found[0] if len(found) == 1 else None


def settled(client: Client, router: str, candidates: int, timeout: float = 60.0) -> str:
    """Wait until a router has all its candidates, one of them active; return that one. Raises BenchError."""
    until = time.monotonic() + timeout
    while True:
        states = ha_states(client, router)
        active = active_host(states)
        standby = [host for host, state in states.items() if state == "standby"]
        if active is not None and len(standby) == candidates - 1:
            return active
        if time.monotonic() > until:
            raise BenchError(
                f"router {router} has not settled after {timeout:.0f} s: {states or 'no candidate'}"
            )
        time.sleep(0.1)


def instance_port(client: Client, network: str) -> dict[str, Any]:
    """Create the port of an instance on the first compute host."""
    return client.create(
        "port",
        network_id=network,
        device_owner="compute:nova",
        device_id=str(uuid.uuid4()),
        **{"binding:host_id": COMPUTE[0]},
    )
