"""The heartbeat's path is cut while both ends live: the server tells them apart, and one yields."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pytest

from deuteron.lab import wires
from deuteron.lab.topology import DEVICES
from tests.system.cloud import Cloud, Json, Standard, agents, until

pytestmark = pytest.mark.lab

UNDERLAY = DEVICES["underlay"]
NOWHERE = "02:00:00:00:00:99"


@contextlib.contextmanager
def parted(cloud: Cloud, one: str, others: list[str]) -> Iterator[Callable[[], None]]:
    """Cut the underlay between a host and others, no cable being pulled; yield what heals it early."""
    topology = cloud.lab.record().topology
    unreachable = {one: others, **{other: [one] for other in others}}

    def write(mac: Callable[[str], str], kind: str) -> None:
        for here, there in unreachable.items():
            lines = [f"{topology.address(host, 'underlay')} lladdr {mac(host)}" for host in there]
            script = [f"ip neigh replace {line} dev {UNDERLAY} nud {kind}" for line in lines]
            cloud.sh(here, "; ".join(script))

    def heal() -> None:
        write(lambda host: topology.mac(host, "underlay"), "reachable")

    write(lambda host: NOWHERE, "permanent")
    try:
        yield heal
    finally:
        heal()


def open_gates(built: Standard) -> set[str]:
    """Return the hosts whose kernel lets the router's frames through."""
    found = set()
    for host in ("net1", "net2", "net3"):
        known = built.cloud.sh(host, f"cat /run/deuteron/switch/routers/{built.router}.json")
        listed = json.loads(built.cloud.sh(host, "nft -j list set bridge deuteron_gate standby"))
        (standby,) = (item["set"] for item in listed["nftables"] if "set" in item)
        if json.loads(known)["number"] not in standby.get("elem", ()):
            found.add(host)
    return found


def said(built: Standard, host: str) -> Json:
    """Return what a host said last of itself in the election of the router."""
    elections = built.cloud.api.get("/v1/status")["elections"]
    found: list[Json] = [one["members"][host] for one in elections if host in one["members"]]
    return max(found, key=lambda member: float(member["since"]))


def whole(built: Standard) -> str:
    """Wait until every candidate takes part; return the active one."""
    hosts = list(built.cloud.states(built.router))
    expected = ["active", *["standby"] * (len(hosts) - 1)]
    until(lambda: sorted(said(built, host)["state"] for host in hosts) == expected, "all take part")
    return next(host for host in hosts if said(built, host)["state"] == "active")


def incidents(cloud: Cloud) -> tuple[int, list[Json]]:
    """Return how many incidents there were, and those that last."""
    status = cloud.api.get("/v1/status")
    return status["incidents_counted"], [one for one in status["incidents"] if one["ended"] is None]


def test_one_of_two_active_hosts_yields_and_returns_as_a_standby(built: Standard) -> None:
    cloud, first = built.cloud, whole(built)
    counted, _ = incidents(cloud)
    others = [host for host in cloud.states(built.router) if host != first]
    with parted(cloud, first, others) as heal:
        until(lambda: incidents(cloud)[0] > counted, "the server has noticed", 10)
        until(lambda: not incidents(cloud)[1], "it is over", 10)
        until(lambda: len(open_gates(built)) == 1, "one gate is open", 5)
        (second,) = cloud.actives(built.router)
        assert second != first
        assert open_gates(built) == {second}
        held_back = f"{second} is active, and its adverts do not arrive here: held back"
        until(lambda: held_back in cloud.problems(first).values(), "it says that it is held back")
        newest = cloud.api.get(f"/v1/routers/{built.router}/history")["history"][0]
        assert newest["cause"] == f"adverts of {first} stopped; it still reports: the heartbeat's path is cut"
        assert 0 < newest["gap_ms"] < 1000
        cloud.kill_service(first, "agent")
        cloud.kill_service(first, "switch")
        time.sleep(3)
        assert open_gates(built) == {second}
        for flow in built.flows:
            cloud.reaches(flow.place, flow.address)
        with cloud.probing(*built.flows, after=4.0) as traffic:
            heal()
            assert whole(built) == second
    built.lossless(traffic)
    for host in agents(cloud):
        until(lambda: not cloud.problems(host), f"{host} has no problem: {cloud.problems(host)}")  # noqa: B023


def test_a_standby_that_is_cut_off_yields(built: Standard) -> None:
    cloud, first = built.cloud, whole(built)
    counted, _ = incidents(cloud)
    lost = next(host for host in cloud.states(built.router) if host != first)
    others = [host for host in agents(cloud) if host != lost]
    with parted(cloud, lost, others):
        until(lambda: incidents(cloud)[0] > counted, "the server has noticed", 10)
        until(lambda: not incidents(cloud)[1], "it is over", 10)
        assert open_gates(built) == {first}
        assert cloud.actives(built.router) == [first]
        for flow in built.flows:
            cloud.reaches(flow.place, flow.address)
    assert whole(built) == first


def test_a_cable_that_is_pulled_on_a_standby_disturbs_nobody(built: Standard) -> None:
    cloud, first = built.cloud, whole(built)
    counted, _ = incidents(cloud)
    lost = next(host for host in cloud.states(built.router) if host != first)
    with cloud.probing(*built.flows, after=4.0) as traffic:
        wires.cut(cloud.lab.name, lost, ["underlay"])
        try:
            until(lambda: said(built, lost)["state"] == "fault", "it has given up")
            assert said(built, lost)["cause"] == f"the underlay device {UNDERLAY} has no carrier"
            time.sleep(3)
            assert open_gates(built) == {first}
        finally:
            wires.heal(cloud.lab.name, lost, ["underlay"])
        assert whole(built) == first
    built.lossless(traffic)
    assert incidents(cloud)[0] == counted


def test_a_cable_that_is_pulled_on_the_active_host_is_a_crash_and_no_more(built: Standard) -> None:
    cloud, first = built.cloud, whole(built)
    counted, _ = incidents(cloud)
    crossing = [flow for flow in built.flows if flow.name != "one network, two hosts"]
    with cloud.probing(*crossing, after=2.0) as traffic:
        wires.cut(cloud.lab.name, first, ["underlay"])
    assert traffic.broken == {}
    assert all(gap < 1000 for gap in traffic.longest_gap_ms.values()), built.story(traffic)
    (second,) = open_gates(built)
    assert second != first
    with cloud.probing(*built.flows, after=4.0) as traffic:
        wires.heal(cloud.lab.name, first, ["underlay"])
        assert whole(built) == second
    built.lossless(traffic)
    assert incidents(cloud)[0] == counted
