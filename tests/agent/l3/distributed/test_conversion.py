"""A router that becomes distributed, and central again, with its traffic going on."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from deuteron.plan import units
from tests.agent.l3.distributed.scene import (
    A1,
    A2,
    B1,
    B2,
    EXTERNAL,
    ROUTER,
    A,
    B,
    Scene,
    central,
    distributed,
    floating_gateway,
    floating_ip,
    interface,
    scene,
)
from tests.agent.l3.hosts import Host, wait_for

pytestmark = pytest.mark.lab

INTERFACES = (interface(A), interface(B))
OLD = central(distributed=False, interfaces=INTERFACES, snat_ports=())
BOTH = central(interfaces=INTERFACES)
FLOATING = floating_ip(A1).floating_ip
GATEWAY_MAC = OLD.gateway.mac if OLD.gateway else ""
PROBES = (
    (A1, f"udp:{B2.address}"),
    (B1, f"udp:{A2.address}"),
    (A2, f"icmp:{B2.address6}"),
    (A2, "udp:203.0.113.1"),
    (B2, "tcp:203.0.113.1"),
    (None, f"tcp:{FLOATING}"),
    (None, f"udp:{FLOATING}"),
)
EAST_WEST = 3


def gateway_remotes(made: Scene) -> list[units.Unit]:
    return [
        units.Remote(id=port.id, network=port.network, mac=port.mac, vtep=made.net.vtep, moves=True)
        for port in INTERFACES
    ]


@pytest.fixture
def made() -> Iterator[Scene]:
    """Give a scene with a central router on net, where B1 is too, and a floating IP of A1."""
    with scene() as found:
        for instance, host in ((A1, found.c1), (A2, found.c2), (B1, found.net), (B2, found.c2)):
            found.boot(instance, host)
        for host in (found.c1, found.c2):
            found.give(host, *found.basics(host), *gateway_remotes(found))
        found.give(found.net, *found.basics(found.net), OLD, floating_ip(A1, distributed=False))
        for instance in found.where:
            wait_for(partial(found.pings, instance, "203.0.113.1"))
        yield found


def answering(made: Scene) -> str:
    """Return the MAC address that answers for the floating IP when somebody asks who does not know it."""
    made.outside.run(f"ip neigh del {FLOATING} dev eth-ext; ping -c 1 -W 2 {FLOATING}")
    found: list[dict[str, str]] = json.loads(made.outside.run(f"ip -j neigh show {FLOATING} dev eth-ext"))
    return found[0]["lladdr"]


def forward(made: Scene) -> None:
    """Make the router distributed, as the server does."""
    made.give(made.net, BOTH)
    for host in made.carriers:
        made.give(host, *made.neighbours(), distributed(host, open=False))
    for host in (made.c1, made.c2):
        made.give(host, distributed(host), gone=[remote.key for remote in gateway_remotes(made)])
    made.give(made.net, distributed(made.net))
    ready = (distributed(made.c1, external=EXTERNAL), floating_gateway(made.c1), floating_ip(A1, silent=True))
    made.give(made.c1, *ready)
    assert answering(made) == GATEWAY_MAC
    made.give(made.c1, floating_ip(A1))
    made.give(made.net, floating_ip(A1, distributed=False, silent=True))
    assert answering(made) == floating_gateway(made.c1).mac
    made.give(made.net, gone=[floating_ip(A1).key])
    made.give(made.net, central())


def back(made: Scene) -> None:
    made.give(made.net, BOTH)
    made.give(made.net, floating_ip(A1, distributed=False, silent=True))
    assert answering(made) == floating_gateway(made.c1).mac
    made.give(made.net, floating_ip(A1, distributed=False))
    made.give(made.c1, floating_ip(A1, silent=True))
    assert answering(made) == GATEWAY_MAC
    made.give(made.c1, distributed(made.c1), gone=[floating_gateway(made.c1).key, floating_ip(A1).key])
    made.give(made.net, distributed(made.net, open=False))
    for host in (made.c1, made.c2):
        made.give(host, distributed(host, open=False), *gateway_remotes(made))
    parts = [f"distributedrouter/{ROUTER}", *(unit.key for unit in made.neighbours())]
    for host in (made.c1, made.c2):
        made.give(host, gone=parts)
    agent = made.agents[made.net.name]
    agent.put(OLD)
    agent.delete(*parts)
    assert agent.apply() == {}, "the name is free when the part has gone: that is no problem to tell"


def nothing_left(made: Scene, host: Host) -> None:
    assert "bridge deuteron_dvr" not in host.run("nft list tables")
    assert "dvr" not in host.run("ip -br link")
    namespaces = host.run("ip netns")
    assert ("qrouter-" in namespaces) == (host is made.net)
    assert "fip-" not in namespaces
    assert "snat-" not in namespaces


def test_there_and_back(made: Scene) -> None:
    for change in (forward, back):
        with made.probed(*PROBES) as found:
            change(made)
        for number, (_, target) in enumerate(PROBES):
            result = found[target]
            if target.startswith("tcp"):
                assert result["survived"], result
            elif number < EAST_WEST:
                assert result["lost"] == 0, result
            else:
                assert result["longest_gap_ms"] < 300, result
    for host in made.carriers:
        nothing_left(made, host)
