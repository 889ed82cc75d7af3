"""A host that comes back must hear who is active before it takes part."""

import socket
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from deuteron.agent.l3 import hold_down
from deuteron.agent.l3.hold_down import HoldDown
from deuteron.agent.system import ip, netns
from deuteron.plan.units import Election, Peer

pytestmark = pytest.mark.lab

Send = Callable[[str, int], None]


@pytest.fixture
def election() -> Iterator[tuple[Election, Send]]:
    """An election, and a way to send an advert (from an address, for a VRID) into its HA network."""
    network = f"hd{uuid.uuid4().hex[:8]}"
    inside, peer = f"qha-{network}", f"hd-{network}"
    try:
        netns.create(inside, peer)
        ip.batch([f"link add ha netns {inside} type veth peer name ha netns {peer}"])
        ip.batch(["addr add 169.254.192.1/18 dev ha", "link set ha up"], inside)
        ip.batch(
            ["addr add 169.254.192.2/18 dev ha", "addr add 169.254.192.3/18 dev ha", "link set ha up"], peer
        )

        def send(source: str, vrid: int) -> None:
            with netns.entered(peer):
                speaker = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
            with speaker:
                speaker.bind((source, 0))
                speaker.sendto(bytes([0x31, vrid, 200, 0, 0, 2, 0, 0]), ("169.254.192.1", 0))

        yield (
            Election(
                id="e",
                ha_network=network,
                vni=1,
                mtu=1450,
                vrid=7,
                priority=250,
                advert_ms=20,
                mac="02:00:00:00:00:01",
                address="169.254.192.1/18",
                peers=(Peer(host="b", address="169.254.192.2", mac="02:00:00:00:00:02", vtep="192.0.2.2"),),
                joined=True,
            ),
            send,
        )
    finally:
        netns.delete(inside, peer)


def test_one_advert_of_the_election_ends_it_and_no_other_does(election: tuple[Election, Send]) -> None:
    unit, send = election
    held = HoldDown(unit)
    try:
        assert not held.is_over()
        send("169.254.192.2", 8)  # another election
        send("169.254.192.3", 7)  # no candidate
        time.sleep(0.2)
        assert not held.is_over()
        send("169.254.192.2", 7)
        time.sleep(0.2)
        assert held.is_over()
    finally:
        held.close()


def test_silence_ends_it_too(election: tuple[Election, Send], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold_down, "PATIENCE", 0.1)
    held = HoldDown(election[0])
    try:
        assert not held.is_over()
        time.sleep(0.2)
        assert held.is_over()
    finally:
        held.close()
