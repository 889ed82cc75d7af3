"""What power cuts and moves are measured on: a redundant router and two instances behind it."""

from dataclasses import dataclass

from deuteron.bench import labs
from deuteron.bench.labs import COMPUTE, OUTSIDE, OUTSIDE_HOST, Lab
from deuteron.lab.client import Client

CANDIDATES = 3
"""Hosts that can carry the router, in the default lab."""
INSIDE, SERVED = "inside", "served"
"""The instances: one that goes out by SNAT, one that is reached on a floating IP."""


@dataclass(frozen=True)
class Stage:
    """A lab in which all of that is there and works."""

    lab: Lab
    client: Client
    router: str
    floating_ip: str

    @property
    def ways(self) -> dict[str, tuple[str, str]]:
        """Return how it is used: name -> (who sends, address)."""
        return {"SNAT": (INSIDE, OUTSIDE), "floating IP": (OUTSIDE_HOST, self.floating_ip)}


def build(lab: Lab) -> Stage:
    """Build it through the API and boot the instances. Raises BenchError, LabError."""
    client = lab.client()
    cloud = labs.external_network(client)
    network = client.create("network", name="tenant")
    subnet = client.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    router = labs.ha_router(cloud, "router", subnet["id"])
    for name, host in zip((INSIDE, SERVED), COMPUTE, strict=True):
        lab.verb("boot", name, "--host", host, "--network", network["id"])
    port = next(one["port"] for one in lab.status()["instances"] if one["name"] == SERVED)
    floating = client.create("floatingip", floating_network_id=cloud.external, port_id=port)
    return Stage(lab, client, router["id"], floating["floating_ip_address"])
