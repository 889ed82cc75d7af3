"""What ports are held to, measured on a host."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deuteron.plan.units import Limit, Qos, Remote
from tests.agent.conftest import here
from tests.agent.host import eventually
from tests.agent.scene import NETWORK, Scene, mac, port, port_id, tap

__all__ = ["here"]

pytestmark = pytest.mark.lab
FLOW = str(Path(__file__).with_name("flow.py"))
SHAPER = f"ifb{port_id(1)[:11]}"


def _unit(**more: Any) -> Qos:
    return Qos(id=port_id(1), mtu=1450, **more)


class Flow:
    """A machine doing something."""

    def __init__(self, here: Scene, number: int, *words: str) -> None:
        argv = here.host.argv([sys.executable, "-I", FLOW, *words], f"vm{number}")
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        if words[0] not in ("source", "say"):
            assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def result(self) -> Any:
        try:
            return json.loads(self.line())
        finally:
            self.process.kill()
            self.process.wait()


def _start(here: Scene) -> None:
    here.server.put(NETWORK, port(1), port(2))
    here.agent.start()
    for number in (1, 2):
        name = here.plug(number)
        here.host.run(
            f"ip -n {name} link set eth0 mtu 1450; ip -n {name} address add 10.1.0.{number}/24 dev eth0"
        )
        here.host.run(f"ip -n {name} address add fd00:1::{number}/64 dev eth0 nodad")


def _qdiscs(here: Scene) -> list[tuple[str, str]]:
    found = json.loads(here.host.run("tc -j qdisc show"))
    return sorted((one["dev"], one["kind"]) for one in found if one["kind"] in ("tbf", "htb"))


def _put(here: Scene, *units: Any) -> None:
    here.server.put(*units)
    here.settled()


def test_bandwidth_in_both_directions(here: Scene) -> None:
    _start(here)
    limits = (
        Limit(direction="egress", rate=4000, burst=400),
        Limit(direction="ingress", rate=8000, burst=800),
    )
    _put(here, _unit(bandwidth=limits))
    sinks = [Flow(here, 2, "sink", "5001", "2"), Flow(here, 1, "sink", "5001", "2")]
    sources = [Flow(here, 1, "source", "10.1.0.2", "5001"), Flow(here, 2, "source", "10.1.0.1", "5001")]
    sent, received = (sink.result() for sink in sinks)
    for source in sources:
        source.process.kill()
        source.process.wait()
    assert 1500 < sent < 4800
    assert 3000 < received < 9600
    assert _qdiscs(here) == sorted([(tap(1), "tbf"), (SHAPER, "tbf")])


def test_limits_come_and_go(here: Scene) -> None:
    _start(here)
    both = (Limit(direction="egress", rate=4000), Limit(direction="ingress", rate=8000))
    _put(here, _unit(bandwidth=both))
    here.host.run(f"ip link delete {tap(1)}; ip netns delete vm1")
    here.plug(1)
    here.server.put(_unit(bandwidth=both[1:]))
    here.settled()
    assert _qdiscs(here) == [(tap(1), "tbf")]
    assert SHAPER not in here.host.run("ip link show")
    assert "mirred" not in here.host.run(f"tc filter show dev {tap(1)} ingress")
    _put(here, _unit(bandwidth=both[:1], dscp=8))
    assert _qdiscs(here) == [(SHAPER, "tbf")]
    assert "mirred" in here.host.run(f"tc filter show dev {tap(1)} ingress")
    here.agent.kill()
    here.server.delete(f"qos/{port_id(1)}")
    here.agent.start()
    here.settled()
    assert _qdiscs(here) == []
    assert "ifb" not in here.host.run("ip link show")
    assert "deuteron_qos" not in here.host.run("nft list tables")


def test_somebody_elses_queue_stays(here: Scene) -> None:
    _start(here)
    here.host.run(f"tc qdisc add dev {tap(1)} root handle 1: htb")
    _put(here, _unit(bandwidth=(Limit(direction="ingress", rate=8000),)))
    assert "that is not ours: remove it" in here.server.problems[f"qos/{port_id(1)}"]
    assert _qdiscs(here) == [(tap(1), "htb")]


def test_marks_and_packet_rates(here: Scene) -> None:
    _start(here)
    _put(here, _unit(dscp=26, packets=(Limit(direction="ingress", rate=1, burst=1),)))
    marks = Flow(here, 2, "marks", "5002")
    for address in ("10.1.0.2", "fd00:1::2"):
        Flow(here, 1, "say", address, "5002").result()
    assert marks.result() == [26, 26]
    counted = Flow(here, 1, "count", "5003")
    seconds = Flow(here, 2, "say", "10.1.0.1", "5003", "6000").result()
    assert 900 <= counted.result() <= 1200 + 1100 * seconds
    _put(here, _unit())
    assert "deuteron_qos" not in here.host.run("nft list tables")


def _outer_marks(here: Scene, inner: str) -> list[str]:
    """Return the type of service of a tunnel's packet on the underlay, and of the one inside."""
    words = ["timeout", "20", "tcpdump", "-nnvlc", "1", "-i", "far0", "udp port 4789"]
    with here.host.popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as listener:
        assert listener.stdout is not None
        while "listening" not in listener.stdout.readline():
            pass
        here.host.run(f"ping -c 1 -W 0.1 -Q {inner} 10.1.0.9", "vm1", check=False)
        return re.findall(r"\(tos (\S+),", listener.stdout.read())


def test_tunnels_bear_the_mark_of_what_they_carry_where_that_is_wanted(here: Scene) -> None:
    here.host.run(f"ip neigh add 10.0.0.2 lladdr {mac(2)} dev eth0")
    here.server.put(Remote(id="far", network=NETWORK.id, mac=mac(9), vtep="10.0.0.2"))
    _start(here)
    here.host.run(f"ip -n vm1 neigh add 10.1.0.9 lladdr {mac(9)} dev eth0")
    _put(here, _unit(dscp=26))
    assert _outer_marks(here, "0x20") == ["0x0", "0x68"]
    before = here.host.links()["vxlan-7"]["ifindex"]
    here.agent.kill()
    here.agent.environment(DEUTERON_AGENT__DSCP_INHERIT="true")
    here.agent.start()
    eventually(lambda: _outer_marks(here, "0x20") == ["0x68", "0x68"])
    _put(here, _unit())
    assert _outer_marks(here, "0x20") == ["0x20", "0x20"], "what the instance says itself, too"
    assert here.host.links()["vxlan-7"]["ifindex"] == before
