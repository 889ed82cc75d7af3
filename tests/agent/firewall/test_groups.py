"""Security groups on the wire: what is let in, what is not, and what a change disturbs."""

import json
import socket
import struct
import time
from typing import Any

import pytest

from deuteron.agent.firewall import tables
from deuteron.plan.units import AddressGroup, SecurityGroup
from tests.agent.firewall.scene import (
    OTHER_NET,
    OTHER_NETWORK,
    Guarded,
    group,
    group_id,
    member,
    port,
    rule,
    v4,
    v6,
)
from tests.agent.host import eventually
from tests.agent.scene import NET, mac, port_id, tap

pytestmark = pytest.mark.lab
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
SYN, ACK = 2, 16
SSH: dict[str, Any] = {"protocol": TCP, "port_min": 22, "port_max": 22}


def test_a_port_is_closed_but_for_what_its_groups_allow(at: Guarded) -> None:
    at.plan(group(1), port(1, 1))
    at.machine(1)
    for where in (22, 80):
        at.serves(1, where)
    at.serves(9, 80)
    assert not at.pings(9, v4(1))
    assert not at.pings(9, v6(1))
    assert at.pings(1, v4(9)), "what it asks for is answered"
    assert at.pings(1, v6(9))
    assert at.does(1, "tcp", v4(9), "80")
    assert at.does(1, "udp", v6(9), "80")

    at.plan(group(1, rule(**SSH), rule(version=6, protocol=UDP, port_min=70, port_max=90)))
    assert at.does(9, "tcp", v4(1), "22")
    assert not at.does(9, "tcp", v4(1), "80")
    assert not at.does(9, "tcp", v6(1), "22")
    assert at.does(9, "udp", v6(1), "80")
    assert not at.does(9, "udp", v6(1), "22")
    assert not at.does(9, "udp", v4(1), "80")

    at.plan(group(1, rule(protocol=ICMP, port_min=8), rule(version=6, protocol=ICMPV6, port_min=128)))
    assert at.pings(9, v4(1))
    assert at.pings(9, v6(1))
    assert not at.does(9, "tcp", v4(1), "22")

    at.plan(group(1, rule(protocol=ICMP, port_min=13, port_max=0)))
    assert not at.pings(9, v4(1))


def test_what_may_go_out(at: Guarded) -> None:
    only_dns = rule("egress", protocol=UDP, port_min=53, port_max=53, remote_prefix=f"{v4(9)}/32")
    at.plan(
        SecurityGroup(id=group_id(1), rules=(only_dns,)),
        port(1, 1),
    )
    at.machine(1)
    at.serves(9, 53)
    assert at.does(1, "udp", v4(9), "53")
    assert not at.does(1, "tcp", v4(9), "53")
    assert not at.does(1, "udp", v6(9), "53")
    assert not at.pings(1, v4(9))


def test_rules_for_prefixes_groups_and_address_groups(at: Guarded) -> None:
    by_prefix = rule(remote_prefix="10.1.0.2/31", **SSH)
    by_group = rule(remote_group=group_id(2), protocol=ICMP)
    by_list = rule(remote_address_group="partners", protocol=UDP)
    at.plan(group(1, by_prefix, by_group, by_list), group(2), port(1, 1), port(2, 2), port(3))
    at.plan(member(2, 2), AddressGroup(id="partners", addresses=("10.1.0.3/32", "fd00::/8")))
    for number in (1, 2, 3):
        at.machine(number)
    at.serves(1, 22)
    assert at.pings(2, v4(1))
    assert not at.pings(9, v4(1))
    assert not at.does(9, "tcp", v4(1), "22")
    assert at.does(2, "tcp", v4(1), "22")
    assert not at.does(9, "udp", v4(1), "22")
    at.plan(AddressGroup(id="partners", addresses=(f"{v4(9)}/32",)))
    assert at.does(9, "udp", v4(1), "22")

    begin = time.monotonic()
    at.scene.server.put(member(9, 2))
    eventually(lambda: at.pings(9, v4(1)), 10)
    assert time.monotonic() - begin < 10, "a new member is let in at once"
    at.scene.server.delete(f"member/{port_id(9)}")
    at.scene.settled()
    assert not at.pings(9, v4(1))
    assert at.pings(2, v4(1))


def test_a_stateless_group_asks_for_rules_both_ways(at: Guarded) -> None:
    at.plan(group(1, stateful=False), port(1, 1))
    at.machine(1)
    at.serves(9, 53)
    at.serves(1, 22)
    assert not at.does(1, "udp", v4(9), "53"), "the answer is not let in"
    answers = rule(protocol=UDP, port_min=1024, port_max=65535)
    at.plan(group(1, answers, rule(**SSH), stateful=False))
    assert at.does(1, "udp", v4(9), "53")
    assert at.does(9, "tcp", v4(1), "22")


def test_established_connections_end_with_the_rule_that_let_them_in(at: Guarded) -> None:
    ssh, web = rule(**SSH), rule(protocol=TCP, port_min=80, port_max=80)
    at.plan(group(1, ssh, web), port(1, 1))
    at.machine(1)
    at.serves(1, 22)
    at.serves(1, 80)
    to_ssh, to_web = at.starts(9, "hold", v4(1), "22"), at.starts(9, "hold", v4(1), "80")
    assert (to_ssh.asked(), to_web.asked()) == ("true", "true")
    at.plan(group(1, web))
    assert (to_ssh.asked(), to_web.asked()) == ("false", "true")
    at.plan(group(1, rule(protocol=TCP)))
    assert to_web.asked() == "true", "another rule allows it"
    assert to_ssh.asked() == "true", "it was only held up"


def test_changes_lose_nothing_of_what_stays_allowed(at: Guarded) -> None:
    anything = rule(protocol=UDP)
    at.plan(group(1, anything), group(2), port(1, 1), port(2, 2))
    at.machine(1)
    at.serves(1, 7)
    probing = at.starts(9, "probe", v4(1), "7", "4")
    assert probing.says() == "ready"
    for turn in range(5):
        at.plan(group(1, anything, rule(protocol=TCP, port_min=turn + 1, port_max=turn + 1)))
        at.plan(group(2, rule(protocol=TCP)), port(3, 1, 2), member(turn + 20, 2))
        at.plan(port(1, 1, 2), group(2))
        at.plan(port(1, 1))
    at.scene.agent.kill()
    at.scene.agent.start()
    result = json.loads(probing.says())
    assert result["sent"] > 500
    assert result["lost"] == 0, result


def test_networks_with_the_same_addresses_do_not_mix(at: Guarded) -> None:
    """The same connection, to all appearances, is let in on one network and not on the other."""
    at.plan(OTHER_NETWORK, port(19, network=OTHER_NET, filtered=False))
    at.plan(group(1, rule(**SSH)), group(2), port(1, 1))
    at.plan(port(11, 2, network=OTHER_NET, addresses=(v4(1),)))
    at.machine(1)
    at.machine(11, v4(1))
    at.machine(19, v4(9))
    at.serves(1, 22)
    at.serves(11, 22)
    held = at.starts(9, "hold", v4(1), "22")
    assert held.asked() == "true"
    assert not at.does(19, "tcp", v4(1), "22")
    assert held.asked() == "true"
    zones = at.scene.host.run("nft list map inet deuteron_firewall zones")
    assert zones.count("brq") == 2


def test_what_is_not_ours_stays(at: Guarded) -> None:
    at.scene.host.run(
        "nft add table inet theirs; nft add chain inet theirs c; nft add rule inet theirs c accept"
    )
    at.plan(group(1), port(1, 1))
    at.machine(1)
    assert "deuteron_firewall" in at.ruleset()
    at.scene.server.delete(f"port/{port_id(1)}", f"securitygroup/{group_id(1)}")
    at.scene.settled()
    eventually(lambda: "deuteron_firewall" not in at.ruleset())
    assert "table inet theirs" in at.ruleset()
    assert "master" not in at.scene.host.links()[tap(1)]


def test_what_is_harmed_is_healed(at: Guarded) -> None:
    at.plan(group(1), port(1, 1))
    at.machine(1)
    at.scene.host.run("nft flush ruleset")
    at.scene.agent.kill()
    at.scene.agent.start()
    eventually(lambda: "deuteron_firewall" in at.ruleset())
    eventually(lambda: not at.pings(9, v4(1)))


def test_a_host_that_cannot_filter_says_so_and_leaves_the_port_unplugged(at: Guarded) -> None:
    at.scene.host.run("mount -t tmpfs tmpfs /proc/sys/net/bridge")
    at.scene.server.put(group(1), port(1, 1))
    device = tap(1)
    at.scene.host.run(
        f"ip netns add vm1; ip link add {device} type veth peer name eth0 address {mac(1)} netns vm1"
    )
    key = f"port/{port_id(1)}"
    eventually(lambda: "modprobe br_netfilter" in at.scene.server.problems.get(key, ""))
    assert "master" not in at.scene.host.links()[device]
    assert port_id(1) not in at.scene.server.ports_up
    at.scene.host.run(f"ip link set {device} master brq{NET[:11]}")  # as some hypervisors do
    eventually(lambda: "master" not in at.scene.host.links()[device])
    at.scene.host.run("umount /proc/sys/net/bridge")
    eventually(lambda: port_id(1) in at.scene.server.ports_up, 60)


def segment(to: str, flags: int, number: int, payload: bytes = b"") -> str:
    """Return a TCP segment of machine 9 to port 80 of machine 1, as a frame to a MAC address."""
    ends = socket.inet_aton(v4(9)) + socket.inet_aton(v4(1))
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, number, flags & ACK, 5 << 4, flags, 64000, 0, 0) + payload
    tcp = tcp[:16] + struct.pack("!H", checksum(ends + struct.pack("!HH", TCP, len(tcp)) + tcp)) + tcp[18:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, TCP, 0) + ends
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    ethernet = bytes.fromhex((to + mac(9)).replace(":", "")) + b"\x08\x00"
    return (ethernet + head + tcp).hex()


def checksum(data: bytes) -> int:
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total: int = sum(words)
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def test_a_connection_whose_answers_took_another_way_goes_on_when_its_guest_comes(at: Guarded) -> None:
    """Machine 1 was elsewhere when 9 began to speak to it by a distributed router, and is here now."""
    at.plan(group(1, rule(protocol=TCP)), port(1, 1))
    at.machine(1)
    at.does(9, "send", segment("02:00:00:00:00:ff", SYN, 1))
    time.sleep(tables.ONE_WAY_SECONDS + 1)
    assert at.hears(1, 9, segment(mac(1), ACK, 2, b"still there"), b"still there".hex())
