"""Distributed parts: routing between networks from host to host, and what never leaves a host."""

from collections.abc import Iterator
from functools import partial

import pytest

from tests.agent.l3.distributed.scene import (
    A1,
    A2,
    B1,
    B2,
    GATEWAY,
    A,
    B,
    Instance,
    Scene,
    dvr_mac,
    floating_gateway,
    floating_ip,
    gateway_mac,
    scene,
)
from tests.agent.l3.hosts import wait_for

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def built() -> Iterator[Scene]:
    with scene() as made:
        for instance, host in ((A1, made.c1), (B1, made.c1), (A2, made.c2), (B2, made.c2)):
            made.boot(instance, host)
        made.tell()
        yield made


def test_from_host_to_host(built: Scene) -> None:
    with built.captured(built.c1, built.c2) as frames:
        for source, target in ((A1, B2), (B2, A1), (A1, B1), (A1, A2), (A2, B1)):
            assert built.pings(source, target.address)
            assert built.pings(source, target.address6)
        for number in (1, 2):
            assert built.pings(A1, f"10.{number}.0.1")
            assert built.pings(A1, f"fd00:{number}::1")
    assert any(dvr_mac(built.c1) in frame for frame in frames)
    assert any(dvr_mac(built.c2) in frame for frame in frames)
    for network in (A, B):
        assert not [frame for frame in frames if gateway_mac(network) in frame]
    assert not [frame for frame in frames if "0.1 tell" in frame or "has fd00:1::1," in frame]


def seen(made: Scene, instance: Instance, target: str) -> str:
    """Return which address a TCP server at `target` sees when an instance comes."""
    program = (
        "import socket\n"
        f"connection = socket.create_connection(('{target}', 7008), 5)\n"
        "print(connection.recv(100).decode())"
    )
    host = made.where[instance]
    return host.run(f"ip netns exec {instance.name} python3 -", stdin=program).strip()


def test_north_south(built: Scene) -> None:
    for instance in (A1, B2):
        wait_for(partial(built.pings, instance, "203.0.113.1"))
        assert seen(built, instance, "203.0.113.1") == GATEWAY
        assert built.pings(instance, "2001:db8:ffff::1")
        built.outside.run(f"ping -c 1 -W 2 {instance.address6}")


def test_floating_ips(built: Scene) -> None:
    built.floating = {A1, B1, A2}
    built.tell()
    for instance in sorted(built.floating, key=lambda instance: instance.name):
        address = floating_ip(instance).floating_ip
        built.outside.run(f"ping -c 1 -W 1 {address}")
        assert built.pings(instance, "203.0.113.1")
        assert seen(built, instance, "203.0.113.1") == address
    # Same host, another network; another host; from an instance without one.
    for source, target in ((A1, B1), (A1, A2), (A2, B1), (B2, A1), (B2, A2), (A1, A1)):
        address = floating_ip(target).floating_ip
        assert built.pings(source, address), (source.name, target.name)
        expected = floating_ip(source).floating_ip if source in built.floating else GATEWAY
        assert seen(built, source, address) == expected
    # What is too big for the instance's network is told so, in the name of the floating IP.
    too_big = built.outside.run("ping -M do -s 1470 -c 2 -i 0.2 -W 1 203.0.113.11 2>&1", check=False)
    assert "mtu = 1450" in too_big or "mtu=1450" in too_big, too_big
    # East and west nothing is translated.
    assert seen(built, A1, B2.address) == A1.address
    assert seen(built, B2, A1.address) == B2.address
    assert "203.0.113" not in built.outside.run("ip neigh show nud failed")
    senders = built.outside.run("ip -j neigh")
    assert floating_gateway(built.c1).mac in senders
    assert floating_gateway(built.c2).mac in senders
