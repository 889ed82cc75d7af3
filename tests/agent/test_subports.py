"""Subports of trunks on the wire: frames with a tag are those of another port."""

import json

import msgspec
import pytest

from deuteron.plan.units import Network
from tests.agent.host import eventually
from tests.agent.scene import NETWORK, Scene, port, port_id, tap

pytestmark = pytest.mark.lab

OTHER = "22222222-2222-3333-4444-555555555555"
OTHER_NETWORK = Network(id=OTHER, type="vxlan", mtu=1400, vni=8)
SUBPORT = msgspec.structs.replace(port(2), network=OTHER, mtu=1400, parent=port_id(1), vlan=7)
BESIDE = msgspec.structs.replace(port(3), network=OTHER, mtu=1400)
END = f"sub{port_id(2)[:11]}"
SEEN = """
import json, socket, struct, sys, time
all_, packet, auxdata = socket.htons(3), 263, 8
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, all_)
frames.bind(("eth0", 0))
frames.setsockopt(packet, auxdata, 1)
frames.settimeout(0.2)
print("ready", flush=True)
end, seen = time.monotonic() + float(sys.argv[1]), []
while time.monotonic() < end:
    try:
        data, extra, _, _ = frames.recvmsg(2000, 200)
    except OSError:
        continue
    if data[12:14] == b"\\x88\\xb5":
        tags = [struct.unpack("=IIIHHHH", one)[5] for _, kind, one in extra if kind == auxdata]
        seen.append([tags[0] & 0xFFF, data[14:].rstrip(b"\\0").decode()])
print(json.dumps(seen))
"""
SAY = """
import socket, struct, sys
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
frames.bind(("eth0", 0))
for tag, text in zip(sys.argv[1::2], sys.argv[2::2]):
    tag = b"" if tag == "0" else struct.pack("!HH", 0x8100, int(tag))
    body = b"\\x88\\xb5" + text.encode().ljust(60, b"\\0")
    frames.send(b"\\xff" * 6 + frames.getsockname()[4] + tag + body)
"""


def heard(here: Scene, listener: str, speaker: str, *words: str) -> list[list[object]]:
    """Return (tag, text) of what a machine hears when another says each text with a tag."""
    listening = here.host.popen(["python3", "-c", SEEN, "1.5"], netns=listener, stdout=-1)
    assert listening.stdout
    assert listening.stdout.readline() == "ready\n"
    here.host.popen(["python3", "-c", SAY, *words], netns=speaker).wait(20)
    found: list[list[object]] = json.loads(listening.communicate(timeout=20)[0])
    return found


@pytest.fixture
def trunk(here: Scene) -> Scene:
    here.server.put(NETWORK, OTHER_NETWORK, port(1), SUBPORT, BESIDE)
    here.agent.start()
    here.settled()
    assert port_id(2) not in here.server.ports_up
    here.plug(1)
    here.plug(3)
    return here


def test_frames_with_the_tag_are_those_of_the_subport(trunk: Scene) -> None:
    assert trunk.host.links()[tap(2)]["master"] == f"brq{OTHER[:11]}"
    assert trunk.host.links()[tap(2)]["mtu"] == 1400
    assert port_id(2) in trunk.server.ports_up
    assert heard(trunk, "vm3", "vm1", "0", "plain", "7", "ours", "8", "another") == [[0, "ours"]]
    assert heard(trunk, "vm1", "vm3", "0", "answer") == [[7, "answer"]]


def test_it_outlives_agent_and_guest(trunk: Scene) -> None:
    before = trunk.host.links()[tap(2)]["ifindex"]
    trunk.agent.kill()
    trunk.agent.start()
    trunk.settled()
    assert trunk.host.links()[tap(2)]["ifindex"] == before
    trunk.host.run(f"ip link delete {tap(1)}; ip netns delete vm1")
    trunk.plug(1)
    eventually(lambda: heard(trunk, "vm3", "vm1", "7", "back") == [[0, "back"]])
    assert port_id(2) in trunk.server.ports_up


def test_nothing_is_left_of_it(trunk: Scene) -> None:
    filters = f"tc -j filter show dev {tap(1)} ingress"
    assert "bpf" in trunk.host.run(filters)
    trunk.server.put(msgspec.structs.replace(SUBPORT, vlan=9))
    trunk.settled()
    eventually(lambda: heard(trunk, "vm3", "vm1", "7", "old", "9", "new") == [[0, "new"]])
    trunk.agent.kill()
    trunk.server.delete(SUBPORT.key)
    trunk.agent.start()
    trunk.settled()
    links = trunk.host.links()
    assert tap(2) not in links
    assert END not in links
    assert "bpf" not in trunk.host.run(filters)
