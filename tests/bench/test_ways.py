import os
import subprocess

import pytest

from deuteron.bench import throughput, ways
from deuteron.bench.flows import Flow
from deuteron.lab.modes import MODES
from deuteron.lab.ways import EAST_WEST, FLOATING_IP, SNAT

CALM, CUT = Flow(0, 0.0, True, 10, 1), Flow(35, 70.0, True, 210, 1)


def test_what_does_not_pass_the_host_that_died_loses_nothing() -> None:
    met = {EAST_WEST: CALM, SNAT: CUT, FLOATING_IP: Flow(1, 2.0, True, 10, 1)}
    found = {figure.name: figure for figure in ways.gaps(MODES["dvr-ha"], [met, met])}
    assert found["dvr-ha: power cut, gap, east-west"].verdict == "ok"
    assert found["dvr-ha: power cut, gap, SNAT"].verdict == "ok"
    assert found["dvr-ha: power cut, gap, floating IP"].verdict == "missed"
    assert found["dvr-ha: power cut, TCP survived"].samples == (100.0,) * 6


def test_nobody_promises_anything_where_nobody_stands_by() -> None:
    met = {EAST_WEST: CUT, SNAT: Flow(5000, 10000.0, True, 10000, 1), FLOATING_IP: CUT}
    assert {figure.verdict for figure in ways.gaps(MODES["legacy"], [met])} == {""}
    assert ways.gaps(MODES["ha"], [])[0].verdict == "not measured"


def test_each_transfer_is_held_against_the_one_beside_it() -> None:
    speeds = {"legacy": [4.0] * 5, ways.PLAIN: [8.0] * 5 + [10.0] * 5, "dvr": [5.0] * 5}
    found = {figure.name: figure.samples for figure in ways.throughputs(speeds)}
    assert found["legacy: TCP east-west, of what a bridge and VXLAN alone takes"] == (50.0,) * 5
    assert found["dvr: TCP east-west, of what a bridge and VXLAN alone takes"] == (50.0,) * 5
    assert found["a bridge and VXLAN alone: TCP east-west"] == (8.0,) * 5 + (10.0,) * 5


@pytest.mark.lab
def test_a_plain_bridge_carries_something_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "SECONDS", 0.2)
    with throughput.plain() as alone:
        assert throughput.measure(*alone) > 0.01
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"dplain-{os.getpid()}-" not in listed
