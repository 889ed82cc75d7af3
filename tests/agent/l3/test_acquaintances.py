"""Whom a router knows is told to the port that is to send from now on."""

from deuteron.agent.l3 import acquaintances
from deuteron.agent.l3.wanted import Device

KNOWN = {
    "qr-a": {"10.1.0.11": "m1", "10.1.0.12": "m2"},
    "sg-a": {"10.1.0.12": "m3"},
    "qr-b": {"10.2.0.1": "m4"},
}


def device(inside: str, bridge: str) -> Device:
    return Device(inside, inside, f"tap{inside[3:]}", bridge, "mac", 1450, ())


QR, SG, OTHER = device("qr-a", "brq1"), device("sg-s", "brq1"), device("qr-b", "brq2")
TAPS = {one.tap: {"master": one.bridge} for one in (QR, SG, OTHER)}


def test_a_port_that_comes_knows_whom_the_one_beside_it_knew() -> None:
    pairs = acquaintances.successions([QR, OTHER, SG], ["qr-a", "qr-b"], TAPS)
    assert pairs == [("qr-a", "sg-s")]
    assert acquaintances.introduce(pairs, KNOWN, ["sg-s"]) == [
        "neighbour replace 10.1.0.11 lladdr m1 nud stale dev sg-s",
        "neighbour replace 10.1.0.12 lladdr m2 nud stale dev sg-s",
    ]
    assert acquaintances.introduce(pairs, KNOWN, ["qr-a"]) == []


def test_a_port_that_goes_tells_the_one_that_stays() -> None:
    pairs = acquaintances.successions([QR, OTHER], ["qr-a", "qr-b", "sg-s"], TAPS)
    assert pairs == [("sg-s", "qr-a")]
    known = {"sg-s": {"10.1.0.11": "new", "10.1.0.13": "m5"}, "qr-a": {"10.1.0.11": "m1"}}
    assert acquaintances.introduce(pairs, known, ["qr-a"]) == [
        "neighbour replace 10.1.0.13 lladdr m5 nud stale dev qr-a"
    ]


def test_what_stays_as_it_is_tells_nobody() -> None:
    assert acquaintances.successions([QR, SG, OTHER], ["qr-a", "sg-s", "qr-b"], TAPS) == []
    assert acquaintances.successions([QR, OTHER], [], {}) == []
