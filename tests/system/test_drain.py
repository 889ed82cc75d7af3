"""A host is drained, loses its power, gets it back: nobody notices; then routers are spread again."""

from collections import Counter
from typing import Any

import pytest

from deuteron.lab import lab as labs
from tests.system.cloud import Standard, until

pytestmark = pytest.mark.lab


def drain(built: Standard, host: str) -> dict[str, Any]:
    """What the server says of the drain of a host."""
    found: dict[str, Any] = built.cloud.api.get(f"/v1/hosts/{host}/drain")
    return found


def dhcp_hosts(built: Standard, network: str) -> set[str]:
    """The hosts that serve DHCP for a network."""
    found = built.cloud.api.get(f"/v2.0/networks/{network}/dhcp-agents")["agents"]
    return {agent["host"] for agent in found}


def test_a_drained_host_is_powered_off_and_on_and_nobody_notices(built: Standard) -> None:
    """Drain, power off, power on, undrain: no packet lost, no connection broken, nothing taken back."""
    cloud, host = built.cloud, built.active()
    with cloud.probing(*built.flows, after=1.0) as traffic:
        cloud.api.post(f"/v1/hosts/{host}/drain", {})
        until(lambda: drain(built, host)["state"] == "drained", f"{host} is empty: {drain(built, host)}")
    built.lossless(traffic)
    assert drain(built, host)["text"] == "safe to power off"
    assert host not in dhcp_hosts(built, built.blue)
    assert len(dhcp_hosts(built, built.blue)) == 2
    second = cloud.settled(built.router, 3)
    assert second != host
    with cloud.probing(*built.flows, after=2.0) as traffic:
        labs.power_off(cloud.lab, host)
    built.lossless(traffic)
    with cloud.probing(*built.flows, after=2.0) as traffic:
        cloud.power_cycle(host)
    built.lossless(traffic)
    assert drain(built, host)["safe"]
    assert cloud.settled(built.router, 3) == second
    cloud.api.post(f"/v1/hosts/{host}/undrain", {})
    assert drain(built, host)["state"] == "none"


def test_routers_are_spread_without_a_lost_packet(built: Standard) -> None:
    """All routers are active on one host; a rebalance spreads them, the one with traffic too."""
    cloud, host = built.cloud, built.active()
    subnet = cloud.network("more", "10.9.0.0/24")[1][0]
    others = [cloud.router(f"r{number}", None, [subnet] if number == 0 else []) for number in range(2)]
    for router in others:
        if cloud.settled(router) != host:
            cloud.api.post(f"/v1/routers/{router}/move", {"host": host})
        until(lambda: cloud.actives(router) == [host], f"{router} is on {host}")  # noqa: B023
    with cloud.probing(*built.flows, after=1.0) as traffic:
        cloud.api.post("/v1/rebalance", {"max_moves": None, "dry_run": False})
        until(lambda: not cloud.api.get("/v1/rebalance")["running"], "the rebalance is done")
    built.lossless(traffic)
    active = Counter(cloud.settled(router) for router in (built.router, *others))
    assert max(active.values()) == 1, active
