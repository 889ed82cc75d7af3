"""The host that carries the router stands still for five seconds, and goes on."""

import time

import pytest

from deuteron.lab import hosts
from tests.system.cloud import Standard, agents, until

pytestmark = pytest.mark.lab

FROZEN_SECONDS = 5.0
GAP_AFTER_THAW_MS = 1000.0
"""Ten times of what is to be expected."""


def test_a_thaw_disturbs_nobody(built: Standard) -> None:
    cloud, first = built.cloud, built.active()
    crossing = [flow for flow in built.flows if flow.name != "one network, two hosts"]
    with cloud.probing(*crossing, after=5.0) as traffic:
        hosts.ask(cloud.lab, first, "freeze")
        time.sleep(FROZEN_SECONDS)
        thawed = time.time()
        hosts.ask(cloud.lab, first, "thaw")
    assert traffic.broken == {}
    after = [gap["ms"] for gaps in traffic.lost.values() for gap in gaps if gap["at"] > thawed - 0.1]
    assert max(after, default=0.0) < GAP_AFTER_THAW_MS, built.story(traffic)
    until(lambda: len(cloud.actives(built.router)) == 1, "one host is active")
    cloud.settled(built.router, 3)
    for host in agents(cloud):
        until(lambda: not cloud.problems(host), f"{host} has no problem: {cloud.problems(host)}")  # noqa: B023
