"""Networks of type vlan: their frames have a tag on the physical network, and none on the bridge."""

import msgspec
import pytest

from deuteron.plan.units import Network
from tests.agent.host import eventually
from tests.agent.scene import FLAT_NETWORK, Scene, port
from tests.agent.test_subports import heard

pytestmark = pytest.mark.lab

RED = Network(
    id="aaaaaaaa-2222-3333-4444-555555555555", type="vlan", mtu=1500, physical_network="external", vlan=7
)
BLUE = msgspec.structs.replace(RED, id="bbbbbbbb-2222-3333-4444-555555555555", vlan=8)
PORTS = tuple(
    msgspec.structs.replace(port(number), network=network.id, mtu=1500)
    for number, network in ((1, RED), (2, BLUE), (3, FLAT_NETWORK))
)


@pytest.fixture
def wired(here: Scene) -> Scene:
    """Two VLANs and what has no tag share a physical device, whose far end is in the namespace "far"."""
    here.host.run("ip netns add far; ip link set far2 netns far name eth0; ip -n far link set eth0 up")
    here.server.put(RED, BLUE, FLAT_NETWORK, *PORTS)
    here.agent.start()
    here.settled()
    assert here.server.problems == {}
    for number in (1, 2, 3):
        here.plug(number)
    return here


def test_each_network_has_its_tag(wired: Scene) -> None:
    assert heard(wired, "far", "vm1", "0", "red") == [[7, "red"]]
    assert heard(wired, "far", "vm3", "0", "plain") == [[0, "plain"]]
    words = ("0", "plain", "7", "red", "8", "blue", "9", "another")
    assert heard(wired, "vm2", "far", *words) == [[0, "blue"]]
    assert heard(wired, "vm1", "vm2", "0", "beside") == []


def test_it_outlives_the_agent_and_leaves_nothing(wired: Scene) -> None:
    before = wired.host.links()
    filters = "tc -j filter show dev eth2 ingress"
    wired.agent.kill()
    wired.server.put(msgspec.structs.replace(RED, vlan=9))
    wired.server.delete(BLUE.key, PORTS[1].key)
    wired.agent.start()
    wired.settled()
    eventually(lambda: heard(wired, "vm1", "far", "7", "old", "9", "new") == [[0, "new"]])
    after = wired.host.links()
    assert after["vlanaaaaaaaa-22"]["ifindex"] == before["vlanaaaaaaaa-22"]["ifindex"]
    assert after["vlanaaaaaaaa-22"]["address"] == after["eth2"]["address"]
    assert "vlanbbbbbbbb-22" not in after

    vxlan = Network(id=RED.id, type="vxlan", mtu=1450, vni=9)
    wired.server.put(vxlan)
    wired.settled()
    assert wired.host.links()["vxlan-9"]["master"] == wired.host.links()["tap00000001-aa"]["master"]
    assert "vlanaaaaaaaa-22" not in wired.host.links()
    assert "bpf" not in wired.host.run(filters)
    assert heard(wired, "far", "vm1", "0", "gone") == []
