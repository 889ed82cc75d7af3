"""The ways of traffic through a router: between its networks, outwards by SNAT, by a floating IP."""

from collections.abc import Mapping
from dataclasses import dataclass

from deuteron.lab import instances, lab, scene
from deuteron.lab.modes import Mode
from deuteron.lab.scene import INTERNET, Scene
from deuteron.lab.state import Lab

EAST_WEST, SNAT, FLOATING_IP = "east-west", "SNAT", "floating IP"
NETWORK_HOSTS = 3
OUTSIDE_HOST = "outside"


@dataclass(frozen=True)
class Stage:
    """A lab with a router between two networks and instances on both compute hosts."""

    lab: Lab
    scene: Scene
    ways: Mapping[str, tuple[str, str]]
    """Name of a way -> (the instance or host that sends, address)."""


def build(where: Lab, mode: Mode) -> Stage:
    """Build it in a lab that is up and empty. Raises LabError."""
    built = scene.build(lab.client(where), mode)
    places = (
        ("vm1", "compute1", built.network),
        ("vm2", "compute2", built.second),
        ("vm3", "compute2", built.network),
    )
    booted = {name: instances.boot(where, name, host, network=on).instance for name, host, on in places}
    ways = {
        EAST_WEST: ("vm1", booted["vm2"].addresses[0]),
        SNAT: ("vm1", INTERNET),
        FLOATING_IP: (OUTSIDE_HOST, scene.floating_ip(built, booted["vm3"].port)),
    }
    return Stage(where, built, ways)
