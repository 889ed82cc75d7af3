"""A router leaves a host whose way out does not answer, and stays when it answers nobody."""

import time

import pytest

from deuteron.lab import wires
from deuteron.lab.scene import GATEWAY
from tests.system.cloud import EXTERNAL_V6, GATEWAY_V6, Json, Standard, agents, until

pytestmark = pytest.mark.lab

MOVED_WITHIN = 20.0
"""Seconds; it takes four to six on a machine that does nothing else."""


def uplinks(built: Standard, address: str = GATEWAY) -> dict[str, bool]:
    """Return what the candidates say of a next hop, as far as they know."""
    hosts = built.cloud.api.get("/v1/status")["hosts"]
    said = [(host["name"], one) for host in hosts for one in host["uplinks"]]
    return {name: one["ok"] for name, one in said if one["address"] == address}


def moves(built: Standard) -> list[Json]:
    found: list[Json] = built.cloud.api.get(f"/v1/routers/{built.router}/moves")["moves"]
    return found


def test_it_moves_to_a_host_that_is_answered_and_back_nobody_asks_it(built: Standard) -> None:
    cloud, first = built.cloud, built.active()
    until(lambda: set(uplinks(built).values()) == {True} and len(uplinks(built)) == 3, "all are answered")
    wires.cut(cloud.lab.name, first, ["external"])
    began = time.monotonic()
    try:
        (second,) = until(lambda: [*({*cloud.actives(built.router)} - {first})], "another one is active")
        assert time.monotonic() - began < MOVED_WITHIN
        until(lambda: cloud.actives(built.router) == [second], "it alone is active")
        (move, *_) = moves(built)
        assert move["reason"].startswith(f"uplink of {first} lost: 203.0.113.1 does not answer since")
        assert move["reason"].endswith(f"it answers {second}")
        for flow in built.flows:
            cloud.reaches(flow.place, flow.address)
    finally:
        wires.heal(cloud.lab.name, first, ["external"])
    until(lambda: all(uplinks(built).values()), "all are answered again")
    assert cloud.settled(built.router, 3) == second


def test_nothing_moves_when_the_next_hop_is_dead(built: Standard) -> None:
    cloud, first = built.cloud, built.active()
    known = len(moves(built))
    cloud.sh("outside", "echo 8 >/proc/sys/net/ipv4/conf/all/arp_ignore")  # answer nobody
    try:
        until(lambda: not any(uplinks(built).values()), "nobody is answered")
        time.sleep(3)
        wrong = [one["text"] for one in cloud.api.get("/v1/status")["wrong"]]
        assert wrong.count("the next hop 203.0.113.1 does not answer") == 1
        assert cloud.actives(built.router) == [first]
        assert len(moves(built)) == known
    finally:
        cloud.sh("outside", "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore")
    until(lambda: all(uplinks(built).values()), "all are answered again")
    assert cloud.settled(built.router, 3) == first
    assert len(moves(built)) == known
    for host in agents(cloud):
        until(lambda: not cloud.problems(host), f"{host} has no problem: {cloud.problems(host)}")  # noqa: B023


def test_a_next_hop_of_ipv6_is_asked_too(built: Standard) -> None:
    cloud = built.cloud
    plain = {"ipv6_ra_mode": None, "ipv6_address_mode": None, "enable_dhcp": False}
    cloud.subnet(built.external, EXTERNAL_V6, gateway_ip=GATEWAY_V6, **plain)
    both = cloud.router("both", built.external, [])
    until(lambda: list(uplinks(built, GATEWAY_V6).values()) == [True] * 3, "all are answered")
    cloud.sh("outside", f"ip -6 addr del {GATEWAY_V6}/64 dev eth-ext")
    try:
        until(lambda: list(uplinks(built, GATEWAY_V6).values()) == [False] * 3, "nobody is answered")
        assert list(uplinks(built).values()) == [True] * 3
    finally:
        cloud.sh("outside", f"ip -6 addr add {GATEWAY_V6}/64 dev eth-ext nodad")
    until(lambda: list(uplinks(built, GATEWAY_V6).values()) == [True] * 3, "all are answered again")
    cloud.api.delete(f"/v2.0/routers/{both}")
