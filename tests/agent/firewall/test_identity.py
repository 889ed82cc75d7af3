"""Who a machine may say that it is: what is not its own does not leave its port."""

import json
import re
import socket
import struct

import pytest

from tests.agent.firewall.scene import Guarded, eventually, group, link_local, port, rule, v4, v6
from tests.agent.scene import NET, mac, port_id, tap

pytestmark = pytest.mark.lab
MARK = "c0ffee00decade"
ALL_V4, ALL_V6 = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01"


def packed(mac_address: str) -> bytes:
    return bytes.fromhex(mac_address.replace(":", ""))


def ethernet(source: str, target: str, kind: int, body: bytes) -> str:
    return (packed(target) + packed(source) + struct.pack("!H", kind) + body).hex()


def udp4(source: str, target: str, ports: tuple[int, int] = (1111, 2222), sender: str = mac(1)) -> str:
    data = bytes.fromhex(MARK)
    udp = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses
    words = struct.unpack("!10H", header)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return ethernet(sender, ALL_V4, 0x0800, header[:10] + struct.pack("!H", checksum) + header[12:] + udp)


def arp(claims: str, sender: str = mac(1), claimed_mac: str = "") -> str:
    """An ARP reply to all that says who has an address; its end is the mark."""
    body = (
        struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + packed(claimed_mac or sender) + socket.inet_aton(claims)
    )
    body += packed(ALL_V4) + socket.inet_aton("10.1.0.9") + bytes.fromhex(MARK)
    return ethernet(sender, ALL_V4, 0x0806, body)


def reverse_arp(operation: int = 3, claimed_mac: str = mac(1)) -> str:
    """What a hypervisor sends for a machine that has just come to it; its end is the mark."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + 2 * (packed(claimed_mac) + bytes(4))
    return ethernet(mac(1), ALL_V4, 0x8035, body + bytes.fromhex(MARK))


def ipv6(source: str, target: str, protocol: int, body: bytes) -> str:
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    pseudo = addresses + struct.pack("!II", len(body), protocol)
    at = 2 if protocol == 58 else 6
    words = pseudo + body + b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:at] + struct.pack("!H", ~total & 0xFFFF) + body[at + 2 :]
    header = struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + addresses
    return ethernet(mac(1), ALL_V6, 0x86DD, header + body)


def icmp6(source: str, kind: int, about: str = "::") -> str:
    body = struct.pack("!BBHI", kind, 0, 0, 0) + socket.inet_pton(socket.AF_INET6, about)
    return ipv6(source, "ff02::1", 58, body + bytes.fromhex(MARK))


def udp6(source: str, ports: tuple[int, int]) -> str:
    data = bytes.fromhex(MARK)
    return ipv6(source, "ff02::1", 17, struct.pack("!HHHH", *ports, 8 + len(data), 0) + data)


OWN6, LOCAL = v6(1), link_local(mac(1))
PASSES = {
    "its own IPv4 address": udp4(v4(1), "255.255.255.255"),
    "its own ARP": arp(v4(1)),
    "a DHCP client": udp4("0.0.0.0", "255.255.255.255", (68, 67)),
    "its own IPv6 address": udp6(OWN6, (1111, 2222)),
    "its link-local address": udp6(LOCAL, (1111, 2222)),
    "a claim of its IPv6 address": icmp6(LOCAL, 136, OWN6),
    "a claim of its link-local address": icmp6(LOCAL, 136, LOCAL),
    "a question before it has an address": icmp6("::", 135, OWN6),
    "a call for routers": icmp6(LOCAL, 133),
    "its arrival": reverse_arp(),
}
DROPPED = {
    "another IPv4 address": udp4("10.1.0.77", "255.255.255.255"),
    "no IPv4 address": udp4("0.0.0.0", "255.255.255.255"),
    "another MAC address": udp4(v4(1), "255.255.255.255", sender=mac(77)),
    "another's ARP": arp("10.1.0.77"),
    "another's MAC address in ARP": arp(v4(1), claimed_mac=mac(77)),
    "a DHCP server": udp4(v4(1), "255.255.255.255", (67, 68)),
    "another IPv6 address": udp6("fd00:1::77", (1111, 2222)),
    "another link-local address": udp6("fe80::77", (1111, 2222)),
    "a DHCPv6 server": udp6(LOCAL, (547, 546)),
    "a router's advertisement": icmp6(LOCAL, 134),
    "a redirect": icmp6(LOCAL, 137, OWN6),
    "a claim of another IPv6 address": icmp6(LOCAL, 136, "fd00:1::77"),
    "a VLAN of its own": ethernet(
        mac(1), ALL_V4, 0x8100, struct.pack("!HH", 5, 0x0800) + bytes.fromhex(MARK)
    ),
    "another's arrival": reverse_arp(claimed_mac=mac(77)),
    "an answer about arrivals": reverse_arp(operation=4),
    "another protocol": ethernet(mac(1), ALL_V4, 0x88CC, bytes.fromhex(MARK) * 8),
}


def test_what_is_its_own_passes_and_nothing_else(at: Guarded) -> None:
    at.plan(group(1), port(1, 1))
    at.machine(1)
    heard = {what for what, frame in {**PASSES, **DROPPED}.items() if at.hears(9, 1, frame, MARK)}
    assert heard == set(PASSES)


def test_allowed_address_pairs_pass(at: Guarded) -> None:
    frames = {
        "its MAC, a prefix": udp4("10.7.3.4", "255.255.255.255"),
        "its MAC, another prefix": udp4("10.8.3.4", "255.255.255.255"),
        "a shared MAC": udp4("10.1.0.100", "255.255.255.255", sender="00:00:5e:00:01:07"),
        "a shared MAC and its own address": udp4(v4(1), "255.255.255.255", sender="00:00:5e:00:01:07"),
        "ARP of the shared address": arp("10.1.0.100", sender="00:00:5e:00:01:07"),
        "ARP of a prefix": arp("10.7.255.1"),
        "a claim in a prefix": icmp6(LOCAL, 136, "fd02:0:0:7000::1"),
        "a claim beside it": icmp6(LOCAL, 136, "fd02:0:0:8000::1"),
    }
    refused = {"its MAC, another prefix", "a shared MAC and its own address", "a claim beside it"}
    pairs = (
        (mac(1), "10.7.0.0/16"),
        (mac(1), "fd02::/49"),
        ("00:00:5e:00:01:07", "10.1.0.100"),
    )
    at.plan(group(1, rule("egress")), port(1, 1, pairs=pairs))
    at.machine(1)
    assert {what for what, frame in frames.items() if at.hears(9, 1, frame, MARK)} == frames.keys() - refused
    at.plan(port(1, 1, pairs=((mac(1), "0.0.0.0/0"), (mac(1), "::/0"))))
    assert at.hears(9, 1, udp4("198.51.100.7", "255.255.255.255"), MARK)
    assert not at.hears(9, 1, DROPPED["a DHCP server"], MARK)
    at.plan(port(1, 1, filtered=False))
    assert at.hears(9, 1, DROPPED["a DHCP server"], MARK), "without port security all passes"


def test_nothing_passes_while_tables_are_written_anew_or_the_agent_restarts(at: Guarded) -> None:
    at.plan(group(1), port(1, 1))
    at.machine(1)
    listening = at.starts(9, "hear", MARK, "4")
    assert listening.says() == "ready"
    flooding = at.starts(1, "send", DROPPED["another IPv4 address"], "6000", "0.0003")
    for number in range(20, 24):
        at.plan(port(number, 1), group(1, rule(protocol=number)))
    at.scene.agent.kill()
    at.scene.agent.start()
    at.scene.settled()
    assert json.loads(flooding.says()) is True
    assert listening.says() == "0"


def test_a_port_that_is_gone_is_mute_until_its_device_has_left(at: Guarded) -> None:
    at.plan(group(1), port(1, 1))
    at.machine(1)
    listening = at.starts(9, "hear", MARK, "3")
    assert listening.says() == "ready"
    flooding = at.starts(1, "send", DROPPED["another IPv4 address"], "5000", "0.0003")
    at.scene.server.delete(f"port/{port_id(1)}")
    at.scene.settled()
    assert json.loads(flooding.says()) is True
    assert listening.says() == "0"
    eventually(lambda: tap(1) not in at.ruleset())


def test_a_port_that_was_deleted_while_the_agent_was_away_is_mute(at: Guarded) -> None:
    at.plan(group(1), port(1, 1))
    at.machine(1)
    at.scene.agent.kill()
    at.scene.agent.log.with_name("plan.ndjson").unlink()
    at.scene.server.delete(f"port/{port_id(1)}")
    at.scene.agent.start()
    at.scene.settled()
    assert at.scene.host.links()[tap(1)]["master"] == f"brq{NET[:11]}", "who plugged it may take it out"
    assert not at.hears(9, 1, PASSES["its own IPv4 address"], MARK)
    at.scene.host.run(f"ip link set {tap(1)} nomaster")
    eventually(lambda: not re.search(tap(1), at.ruleset()))
