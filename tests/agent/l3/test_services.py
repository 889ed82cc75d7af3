"""What routers do besides forwarding, on the wire."""

from collections.abc import Iterator

import pytest

from deuteron.plan.units import FloatingIP, Forwarding
from tests.agent.l3.hosts import wait_for
from tests.agent.l3.scene import ROUTER, Scene, scene

pytestmark = pytest.mark.lab

SHARED = "203.0.113.51"
"""A floating IP of which ports lead to vm."""


@pytest.fixture
def built() -> Iterator[Scene]:
    with scene() as made:
        made.build()
        yield made


def forwarded(**ports: int) -> FloatingIP:
    """Return the floating IP with these ports leading to vm: `p` and the external one = the internal one."""
    return FloatingIP(
        id="f10a0002-0000-4000-8000-00000000000a",
        router=ROUTER,
        floating_ip=SHARED,
        forwardings=tuple(
            Forwarding(
                protocol="tcp",
                external=(int(name[1:]), int(name[1:])),
                fixed_ip="10.0.0.5",
                internal=(to, to),
            )
            for name, to in ports.items()
        ),
    )


def everywhere(made: Scene, *units: FloatingIP) -> None:
    for agent in made.agents.values():
        agent.put(*units)
        assert agent.apply() == {}


def peer_seen_at(made: Scene, port: int) -> str:
    """Return whom vm sees when the outside connects to a port of the shared address; "" if nobody answers."""
    program = (
        "import socket\n"
        f"connection = socket.create_connection(('{SHARED}', {port}), 2)\n"
        "print(connection.recv(100).decode())"
    )
    return made.outside.run("python3 -", stdin=program, check=False).strip()


def test_forwarded_ports_survive_changes_and_a_failover(built: Scene) -> None:
    everywhere(built, forwarded(p7007=7007))
    kept = built.connect(built.outside, None, SHARED)
    everywhere(built, forwarded(p7007=7007, p8000=7008))
    assert peer_seen_at(built, 8000) == "203.0.113.1"
    everywhere(built, forwarded(p8000=7008))
    assert kept.echo()
    everywhere(built, forwarded(p7007=7007, p8000=7008))
    built.net1.power_off()
    built.wait_until(built.net2, "active")
    assert kept.echo()
    wait_for(lambda: peer_seen_at(built, 8000) == "203.0.113.1")
    assert peer_seen_at(built, 8001) == ""
