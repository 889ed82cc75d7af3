"""What the kernel remembers for the switch: when the last advert came, and that there is no carrier."""

import socket
import struct
import time
import uuid
from collections.abc import Iterator

import pytest

from deuteron.agent.l3.switch import underlay
from deuteron.agent.l3.switch.silence import RULES, Silence
from deuteron.agent.l3.switch.underlay import Underlay
from deuteron.agent.system import ip, netns, nft

pytestmark = pytest.mark.lab

TICKS_MS = 30.0
"""How late an answer may be on a busy machine; the kernel's own clock ticks every 4 ms."""


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """Two namespaces with a cable between them, 169.254.192.1 and .2."""
    names = tuple(f"C-{uuid.uuid4().hex[:8]}-{end}" for end in "ab")
    here, there = names
    try:
        netns.create(here, there)
        ip.batch([f"link add ha netns {here} type veth peer name ha netns {there}"])
        for number, name in enumerate(names, 1):
            ip.batch([f"addr add 169.254.192.{number}/18 dev ha", "link set ha up"], name)
        yield here, there
    finally:
        netns.delete(*names)


def test_the_last_advert_of_an_election_is_remembered(pair: tuple[str, str]) -> None:
    here, there = pair
    nft.apply(RULES, here)
    nft.apply(RULES, here)
    with netns.entered(there):
        speaker = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
    silence = Silence(here, 7, ["169.254.192.2", "169.254.192.3"])
    try:
        with speaker:
            speaker.sendto(bytes([0x31, 8, 200, 0, 0, 2, 0, 0]), ("169.254.192.1", 0))
            assert silence.milliseconds() is None, "that was another election"
            for pause in (0.02, 0.2):
                speaker.sendto(bytes([0x31, 7, 200, 0, 0, 2, 0, 0]), ("169.254.192.1", 0))
                sent = time.monotonic()
                time.sleep(pause)
                found = silence.milliseconds()
                assert found is not None
                assert abs(found - (time.monotonic() - sent) * 1000) < TICKS_MS
        nft.apply(RULES, here)
        assert (silence.milliseconds() or 0) >= 200, "it is remembered when the rules are written again"
    finally:
        silence.close()


def test_without_rules_nothing_is_known(pair: tuple[str, str]) -> None:
    silence = Silence(pair[0], 7, ["169.254.192.2"])
    assert silence.milliseconds() is None
    silence.close()


def test_a_device_is_told_that_there_is_no_carrier_and_so_are_others(pair: tuple[str, str]) -> None:
    here, _ = pair
    ip.batch(
        ["link add vx type vxlan id 5 local 169.254.192.1 dstport 4790 nolearning", "link set vx up"], here
    )
    time.sleep(1.1)  # the kernel tells of carriers once a second at most
    with netns.entered(here):
        told = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    told.bind((0, 1))
    told.settimeout(0.5)
    with told:
        for carrier in (False, True):
            underlay.pass_on(here, "vx", carrier)
            running = None
            while running is not carrier:
                (flags,) = struct.unpack_from("=I", told.recv(1 << 16), 24)
                running = bool(flags & 0x40)
    with pytest.raises(OSError):
        underlay.pass_on(here, "nowhere", True)


def test_a_device_that_is_not_there_has_no_carrier() -> None:
    watched = Underlay()
    assert watched.has_carrier
    watched.watch("nowhere-at-all")
    assert not watched.has_carrier
    watched.watch("lo")
    assert watched.has_carrier
    assert not watched.look(), "nothing has changed"
