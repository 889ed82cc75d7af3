"""The restart of an agent with many routers: how long until it has caught up, and what is lost meanwhile.

That it has caught up is seen through the public API: a router created just after the restart counts as built
on a host when the agent has told that all of its plan up to there is applied, and so all that it had before.
"""

import time
from dataclasses import dataclass

from deuteron.bench import labs
from deuteron.bench.labs import COMPUTE, OUTSIDE, Lab
from deuteron.bench.processes import BenchError
from deuteron.lab.client import Client
from deuteron.lab.probing import Prober
from deuteron.lab.state import Lab as LabFiles

AROUND_SECONDS = 1.0
"""Of undisturbed traffic before and after."""
RESYNC_TIMEOUT = 120.0
INSTANCE = "probe"


@dataclass(frozen=True)
class Restart:
    """What a restart took."""

    seconds: float
    """From the request to restart until the whole plan was applied."""
    lost: int
    """Datagrams, of one every 2 ms through a router that is active on the host."""


def restart_agent(lab: Lab, client: Client, router: str, candidates: int) -> Restart:
    """Restart the agent of the host on which a router (its name) is active. Raises BenchError, LabError.

    The router has an interface on a network of the same name.
    """
    host = labs.settled(client, client.find("router", router)["id"], candidates)
    lab.verb("boot", INSTANCE, "--host", COMPUTE[1], "--network", router)
    prober = Prober(LabFiles(lab.name), INSTANCE, [f"udp:{OUTSIDE}"])
    try:
        prober.wait_ready()
        time.sleep(AROUND_SECONDS)
        started = time.monotonic()
        lab.verb("service", host, "restart", "agent")
        marker = client.create("router", name="marker", ha=True)["id"]
        _wait_until_built(client, marker, host)
        seconds = time.monotonic() - started
        time.sleep(AROUND_SECONDS)
        return Restart(seconds, prober.stop()[0]["lost"])
    finally:
        prober.kill()


def _wait_until_built(client: Client, router: str, host: str) -> None:
    until = time.monotonic() + RESYNC_TIMEOUT
    while True:
        routers = client.get("/v1/status")["routers"]
        built = next(one["built"] for one in routers if one["id"] == router)
        if host in built:
            return
        if time.monotonic() > until:
            raise BenchError(
                f"host {host}: its agent has not caught up {RESYNC_TIMEOUT:.0f} s after its restart"
            )
        time.sleep(0.05)
