"""The way of a packet: put together of what was seen, drawn, and really seen in a lab."""

import xml.etree.ElementTree as ElementTree

from deuteron.lab import picture, trace
from deuteron.lab.capture import Sighting
from deuteron.lab.frames import Packet, Tunnel
from deuteron.lab.topology import NetworkName
from deuteron.lab.trace import Place, Trace, Way

INSIDE = Packet(
    source_mac="02:00:00:00:00:01",
    destination_mac="02:00:00:00:00:02",
    source="10.1.0.5",
    source_port=40000,
    destination="198.51.100.1",
    destination_port=7,
)
OUTSIDE = Packet(
    source_mac="02:00:00:00:00:03",
    destination_mac="02:00:00:00:00:04",
    source="203.0.113.105",
    source_port=40000,
    destination="198.51.100.1",
    destination_port=7,
)
ROUTER = "snat-11111111-2222-4333-8444-555555555555"
HERE, NET1, NET2 = (f"10.20.0.{number}" for number in (15, 12, 13))


def seen(host: str, space: str, *devices: str, packet: Packet = INSIDE, to: str = "") -> list[Sighting]:
    """Return sightings at devices, "tap>" where it left; `to` is the other end of a tunnel."""
    tunnel = Tunnel(source=HERE, destination=to, vni=5) if to else None
    return [
        Sighting(
            at=0,
            host=host,
            space=space,
            device=device.rstrip(">"),
            is_leaving=device.endswith(">"),
            packet=packet,
            tunnel=tunnel if device.rstrip(">") == "eth-under" else None,
        )
        for device in devices
    ]


def in_order(*parts: list[Sighting]) -> list[Sighting]:
    found = [one for part in parts for one in part]
    return [
        Sighting(
            at=at,
            host=one.host,
            space=one.space,
            device=one.device,
            is_leaving=one.is_leaving,
            packet=one.packet,
            tunnel=one.tunnel,
        )
        for at, one in enumerate(found)
    ]


OUTWARD = in_order(
    seen("compute1", "vm1", "eth0>"),
    seen("compute1", "", "tap1", "vxlan-5>", "eth-under>", to=NET1),
    seen("compute1", "", "eth-under>", to=NET2),
    seen("net2", "", "eth-under", "vxlan-5"),  # a standby: its gate drops it
    seen("net1", "", "eth-under", "vxlan-5", "tapq>"),
    seen("net1", ROUTER, "qr-1"),
    seen("net1", ROUTER, "qg-1>", packet=OUTSIDE),
    seen("net1", "", "tapg", "eth-ext>", packet=OUTSIDE),
    seen("outside", "", "eth-ext", packet=OUTSIDE),
)


def test_a_host_is_visited_twice_and_copies_are_told_apart() -> None:
    found = trace.way(OUTWARD, ("outside", ""))
    assert found.hosts == ("compute1", "net1", "outside")
    assert [(v.host, v.space, v.entered, v.left) for v in found.visits] == [
        ("compute1", "vm1", (), ("eth0",)),
        ("compute1", "", ("tap1",), ("vxlan-5", "eth-under")),
        ("net1", "", ("eth-under", "vxlan-5"), ("tapq",)),
        ("net1", ROUTER, ("qr-1",), ("qg-1",)),
        ("net1", "", ("tapg",), ("eth-ext",)),
        ("outside", "", ("eth-ext",), ()),
    ]
    assert [tunnel.destination for tunnel in found.visits[1].tunnels] == [NET1, NET2]
    assert [visit.host for visit in found.aside] == ["net2"]


def test_what_is_not_answered_ends_where_it_was_seen_last() -> None:
    found = trace.way(OUTWARD[:-4], None)  # the router swallows it
    assert (found.visits[-1].space, found.visits[-1].left) == (ROUTER, ())
    assert trace.way([], None) == Way()


def places() -> tuple[Place, ...]:
    both: tuple[NetworkName, ...] = ("management", "underlay", "external")
    return (
        Place(host="net1", networks=both, instances=(), namespaces=(ROUTER, "qdhcp-1")),
        Place(host="net2", networks=both, instances=(), namespaces=(ROUTER,)),
        Place(host="compute1", networks=both, instances=("vm1",), namespaces=()),
        Place(host="outside", networks=("external",), instances=(), namespaces=()),
    )


def traced() -> Trace:
    there = trace.way(OUTWARD, ("outside", ""))
    return Trace(source="vm1", target="198.51.100.1", answered=True, there=there, back=Way(), places=places())


def test_the_words_tell_addresses_where_they_change() -> None:
    assert trace.describe(traced()).splitlines() == [
        "vm1 to 198.51.100.1: answered",
        "",
        "there, by compute1 > net1 > outside",
        "  1  compute1  vm1            eth0                        10.1.0.5:40000 > 198.51.100.1:7",
        "  2  compute1  host           tap1 > vxlan-5 > eth-under  in VXLAN 5 from 10.20.0.15 to"
        " 10.20.0.12, in VXLAN 5 from 10.20.0.15 to 10.20.0.13",
        "  3  net1      host           eth-under > vxlan-5 > tapq",
        "  4  net1      snat-11111111  qr-1 > qg-1                 203.0.113.105:40000 > 198.51.100.1:7",
        "  5  net1      host           tapg > eth-ext",
        "  6  outside   host           eth-ext",
        "  copies ended on net2",
    ]


def test_the_picture_has_a_column_a_host_and_a_number_a_stay() -> None:
    drawn = ElementTree.fromstring(picture.draw(traced()))
    space = "{http://www.w3.org/2000/svg}"
    texts = [element.text for element in drawn.iter(f"{space}text")]
    assert [text for text in texts if text in ("compute1", "net1", "net2", "outside")] == [
        "compute1",
        "net1",
        "net2",
        "outside",
    ]
    assert [text for text in texts if text and text.isdigit()] == ["1", "2", "3", "4", "5", "6"]
    assert texts.count("snat") == 2
    assert not any(text and "11111111" in text for text in texts)
