"""A host stood still while another one took over: whoever stays says so again when the other one closes."""

import time
from collections.abc import Iterator

import pytest

from tests.agent.l3.hosts import wait_for
from tests.agent.l3.scene import ROUTER, Scene, scene
from tests.agent.l3.test_failover import keepalived, standing

pytestmark = pytest.mark.lab

GAP_AFTER_THAW_MS = 500.0
"""Ten times of what is to be expected; neighbours need three seconds to notice it themselves."""


@pytest.fixture
def built() -> Iterator[Scene]:
    with scene() as made:
        made.build()
        yield made


def test_the_one_that_took_over_is_found_when_the_other_one_closes(built: Scene) -> None:
    """The other one's kernel forwarded all the time, and taught the bridges that the router is there."""
    stays, frozen = built.net1, built.net2
    stays.run(f"kill -9 {keepalived(stays)[0]}")
    built.wait_until(frozen, "active")
    built.wait_until(stays, "standby")
    pids = f"{keepalived(frozen)[1]} {built.switches[frozen.name]}"
    with built.probes(1) as gaps:
        frozen.run(f"kill -STOP {pids}")
        built.wait_until(stays, "active")
        time.sleep(3.5)  # until it has announced itself for the last time
        for address in ("10.0.0.6", "203.0.113.1"):
            frozen.run(f"ip netns exec qrouter-{ROUTER} ping -n -q -c 1 -W 1 {address}", check=False)
        frozen.run(f"kill -CONT {pids}")
        wait_for(lambda: built.gate(frozen) == {1000}, what="its gate is closed")
        time.sleep(2)
    assert (standing(stays)["state"], standing(frozen)["state"]) == ("active", "standby")
    assert built.gate(stays) == set()
    found = {name: gap["gaps"] for name, gap in gaps.items()}
    assert gaps["snat"]["longest_gap_ms"] < GAP_AFTER_THAW_MS, found
    assert gaps["floating"]["longest_gap_ms"] < GAP_AFTER_THAW_MS, found
