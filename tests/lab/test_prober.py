import subprocess
import time

import pytest

from deuteron.lab import wires
from deuteron.lab.probing import Prober
from deuteron.lab.topology import LabError
from tests.lab.conftest import Command

pytestmark = pytest.mark.lab


@pytest.fixture
def path(bare: Command) -> Command:
    bare.inside("alpha", "echo 0 > /proc/sys/net/ipv6/conf/eth-ext/disable_ipv6")
    for address in ("203.0.113.50/24", "2001:db8:113::50/64"):
        bare.ok("exec", "alpha", "--", *f"ip address replace {address} dev eth-ext nodad".split())
    return bare


def blocked(command: Command, seconds: float) -> float:
    """Block the outside's port for a while; return for how long it was."""
    rule = f"ip netns exec {wires.namespace(command.lab.name)} bridge link set dev e-outside state".split()
    subprocess.run([*rule, "0"], check=True)
    begin = time.monotonic()
    time.sleep(seconds)
    subprocess.run([*rule, "3"], check=True)
    return time.monotonic() - begin


def test_a_known_gap_is_measured(path: Command) -> None:
    targets = ["udp:203.0.113.1", "icmp:203.0.113.1", "udp:2001:db8:113::1", "icmp:2001:db8:113::1"]
    prober = Prober(path.lab, "alpha", [*targets, "tcp:203.0.113.1"])
    prober.wait_ready()
    time.sleep(0.3)
    real = blocked(path, 0.5) * 1000
    time.sleep(1.5)
    *datagrams, stream = prober.stop()
    for result, target in zip(datagrams, targets, strict=True):
        assert f"{result['kind']}:{result['target']}" == target
        assert result["longest_gap_ms"] == pytest.approx(real, rel=0.1, abs=20)
        assert result["longest_silence_ms"] == pytest.approx(real, rel=0.1, abs=20)
        assert result["lost"] == pytest.approx(real / 2, rel=0.1, abs=10)
        assert result["answered"] + result["lost"] == result["sent"]
        assert result["duplicates"] == 0
    assert stream["survived"]
    assert stream["answered"] == stream["sent"] > 50
    assert stream["longest_stall_ms"] > 400


def test_without_a_gap_nothing_is_lost(path: Command) -> None:
    prober = Prober(path.lab, "alpha", ["udp:203.0.113.1", "icmp:203.0.113.1"])
    prober.wait_ready()
    time.sleep(1)
    for result in prober.stop():
        assert result["lost"] == 0
        assert result["longest_gap_ms"] == 0
        assert result["gaps"] == []
        assert result["sent"] > 300


def test_a_gap_that_does_not_end_is_told(path: Command) -> None:
    prober = Prober(path.lab, "alpha", ["udp:203.0.113.1", "tcp:203.0.113.1"])
    prober.wait_ready()
    try:
        path.ok("cut", "outside", "external")
        time.sleep(0.6)
        udp, tcp = prober.stop()
    finally:
        path.ok("heal", "outside")
    assert udp["longest_gap_ms"] > 400
    assert not tcp["survived"]
    assert "never came back" in tcp["error"]


def test_a_connection_that_is_reset_has_not_survived(path: Command) -> None:
    prober = Prober(path.lab, "alpha", ["tcp:203.0.113.1"])
    prober.wait_ready()
    path.ok("service", "outside", "restart", "echo")
    time.sleep(0.5)
    (stream,) = prober.stop()
    assert not stream["survived"]
    assert stream["error"]


def test_nobody_answers(path: Command) -> None:
    prober = Prober(path.lab, "alpha", ["udp:203.0.113.77"])
    with pytest.raises(LabError, match=r"udp:203\.0\.113\.77 from alpha: no answer"):
        prober.wait_ready(0.5)


def test_five_at_once_leave_the_machine_room(path: Command) -> None:
    probers = [Prober(path.lab, "alpha", ["udp:203.0.113.1"]) for _ in range(5)]
    for prober in probers:
        prober.wait_ready(30)
    time.sleep(2)
    for prober in probers:
        (result,) = prober.stop()
        assert result["lost"] == 0
        assert result["skipped"] < 0.05 * result["sent"]
