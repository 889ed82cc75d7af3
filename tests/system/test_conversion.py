"""A router that is up becomes plain, and redundant again: not one packet lost, every connection survives."""

import pytest

from deuteron.lab import lab as labs
from tests.system.cloud import Standard, until

pytestmark = pytest.mark.lab

CRASH_GAP_MS = 1000.0

OWNERS = {False: "network:router_interface", True: "network:ha_router_replicated_interface"}


def hosts(built: Standard) -> list[str]:
    """The hosts that carry the router."""
    found = built.cloud.api.get(f"/v2.0/routers/{built.router}/l3-agents")["agents"]
    return sorted(agent["host"] for agent in found)


def convert(built: Standard, redundant: bool) -> None:
    """Change the router's mode; wait until it has happened."""
    api, router = built.cloud.api, built.router
    before = len(api.get(f"/v1/routers/{router}/moves")["moves"])
    changed = api.put(f"/v2.0/routers/{router}", {"router": {"ha": redundant}})["router"]
    assert (changed["ha"], changed["status"]) == (redundant, "ACTIVE")

    def done() -> bool:
        moves = api.get(f"/v1/routers/{router}/moves")["moves"]
        return len(moves) > before and not any(move["running"] for move in moves)

    until(done, f"the router is {'redundant' if redundant else 'plain'}")
    move = api.get(f"/v1/routers/{router}/moves")["moves"][0]
    assert move["phase"] == "done", move


def test_there_and_back_without_a_lost_packet(built: Standard) -> None:
    """HA -> legacy -> HA, all flows probed every 2 ms; the router stays where it is active."""
    cloud, active = built.cloud, built.active()
    for redundant, size in ((False, 1), (True, 3)):
        with cloud.probing(*built.flows, after=1.5) as traffic:
            convert(built, redundant)
        built.lossless(traffic)
        assert active in hosts(built)
        assert len(hosts(built)) == size
        owners = {port["device_owner"] for port in cloud.list("port", device_id=built.router)}
        assert OWNERS[redundant] in owners
        assert OWNERS[not redundant] not in owners
    assert cloud.settled(built.router, 3) == active


def test_what_was_converted_fails_over(built: Standard) -> None:
    """A plain router moves without loss, becomes redundant where it is, and survives a power cut then."""
    cloud, first = built.cloud, built.active()
    convert(built, False)
    other = next(host for host in ("net1", "net2", "net3") if host != first)
    with cloud.probing(*built.flows) as traffic:
        cloud.api.post(f"/v1/routers/{built.router}/move", {"host": other})
        until(lambda: hosts(built) == [other], f"the router is on {other}")
    built.lossless(traffic)
    with cloud.probing(*built.flows, after=1.5) as traffic:
        convert(built, True)
    built.lossless(traffic)
    assert cloud.settled(built.router, 3) == other
    crossing = [flow for flow in built.flows if flow.name != "one network, two hosts"]
    with cloud.probing(*crossing, after=3.0) as traffic:
        labs.power_off(cloud.lab, other)
    assert traffic.broken == {}
    assert all(0 < gap < CRASH_GAP_MS for gap in traffic.longest_gap_ms.values()), traffic.longest_gap_ms
    assert cloud.settled(built.router, 2) != other
