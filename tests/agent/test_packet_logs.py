"""Packets that are written down: what is said of them, and on the wire."""

import socket
import struct
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.firewall import rules
from deuteron.agent.firewall.rules import Profile
from deuteron.agent.l3 import services
from deuteron.agent.packetlog.describe import describe, ends
from deuteron.agent.packetlog.lines import concerned, lines
from deuteron.agent.packetlog.manager import PacketLogs
from deuteron.agent.packetlog.reader import Reader
from deuteron.agent.system import netns, nft
from deuteron.agent.system.nflog import Packet
from deuteron.plan.units import Log, Logged, SecurityGroup, Services
from tests.agent.firewall.scene import Guarded, eventually, group, group_id, guarded, port, rule, v4, v6
from tests.agent.l3 import scene as l3
from tests.agent.scene import Scene, port_id

ALL = Log(id="all", project="one")
DROPS = Log(id="drops", project="one", event="DROP")
OF_GROUP = Log(id="of-group", project="two", event="ACCEPT", group=group_id(1))
LOGS = (ALL, DROPS, OF_GROUP)
LIMIT = "rate 100/second burst 25 packets"
ETHERNET = bytes.fromhex("020000000001020000000002")
SYN = struct.pack("!HHIIBBHHH", 5000, 22, 7, 0, 0x50, 2, 1000, 0, 0)
IPV4 = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 63, 6, 0, b"\x0a\0\0\5", b"\x0a\0\0\6")
IPV6 = struct.pack("!IHBB", 6 << 28, 8, 58, 64) + socket.inet_pton(socket.AF_INET6, "fd00::1") * 2


def packet(ethertype: int, data: bytes, link: bytes = b"") -> Packet:
    return Packet(prefix="", mark=0, ethertype=ethertype, link=link, data=data)


def test_packets_in_words() -> None:
    asked = packet(0x0800, IPV4 + SYN, ETHERNET + b"\x08\x00")
    assert describe(asked) == (
        "ethernet(dst='02:00:00:00:00:01',ethertype=2048,src='02:00:00:00:00:02')"
        "ipv4(dst='10.0.0.6',proto=6,src='10.0.0.5',tos=0,total_length=40,ttl=63,version=4)"
        "tcp(ack=0,bits=2,dst_port=22,seq=7,src_port=5000)"
    )
    assert ends(asked) == ("10.0.0.5", "10.0.0.6", 6, 5000, 22)
    assert describe(packet(0x86DD, IPV6 + b"\x80\0\0\0")) == (
        "ipv6(dst='fd00::1',nxt=58,src='fd00::1',hop_limit=64,payload_length=8,version=6)"
        "icmpv6(code=0,type=128)"
    )


@given(st.sampled_from([0x0800, 0x86DD, 0x0806]), st.binary(max_size=80), st.binary(max_size=16))
def test_whatever_a_packet_is(ethertype: int, data: bytes, link: bytes) -> None:
    assert "\n" not in describe(packet(ethertype, data, link))
    ends(packet(ethertype, data, link))


@given(st.integers(0, 60))
def test_a_packet_that_is_cut_off(length: int) -> None:
    assert describe(packet(0x0800, (IPV4 + SYN)[:length])) in describe(packet(0x0800, IPV4 + SYN))


def test_which_logs_a_packet_belongs_to() -> None:
    assert concerned(LOGS, "DROP") == [ALL, DROPS]
    assert concerned(LOGS, f"ACCEPT {group_id(1)}") == [ALL, OF_GROUP]
    assert concerned(LOGS, f"ACCEPT {group_id(2)}") == [ALL]
    assert [*lines("DROP", LOGS, "vm_port=p", "x()")] == [
        "action=DROP project_id=one log_resource_ids=['all', 'drops'] vm_port=p pkt=x()",
        "action=DROP project_id=two log_resource_ids=['of-group'] vm_port=p pkt=x()",
    ]


def test_verdicts_are_the_same() -> None:
    judged = SecurityGroup(id="g", rules=(rule(protocol=6), rule("egress")))
    plain, logged = rules.of_group(judged, "g"), rules.of_logged_group(judged, "g", LIMIT)
    for way in ("in", "out"):
        lines_ = logged.chains["inet", f"logged-{way}-g"]
        assert (
            tuple(one.replace("goto accepted-g", "accept") for one in lines_)
            == plain.chains["inet", f"{way}-g"]
        )
    assert logged.chains["inet", "accepted-g"][-1] == "accept"
    profile = rules.of_profile(Profile(("g", "h"), "p", ("g",), dropped=True), 7, stateful=True)
    assert profile.chains["inet", "in-p7"] == ("jump logged-in-g", "jump in-h", "goto dropped")
    assert profile.chains["inet", "out-p7"] == ("jump logged-out-g", "jump out-h", "goto dropped")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "packets.log"


@pytest.fixture
def at(here: Scene, file: Path) -> Iterator[Guarded]:
    here.agent.environment(DEUTERON_NETWORK_LOG__LOCAL_OUTPUT_LOG_BASE=str(file))
    with guarded(here) as found:
        yield found


@pytest.mark.lab
def test_what_a_port_is_let_through_and_what_not(at: Guarded, file: Path) -> None:
    ssh = rule(protocol=6, port_min=22, port_max=22)
    at.plan(group(1, ssh), port(1, 1), port(2, 1), Logged(id=port_id(1), logs=LOGS))
    for number in (1, 2):
        at.machine(number)
        at.serves(number, 22)
    held = at.starts(9, "hold", v4(1), "22")
    assert at.does(9, "tcp", v4(2), "22")

    def written(*parts: str) -> list[str]:
        return [line for line in file.read_text().splitlines() if all(part in line for part in parts)]

    accepted = eventually(lambda: written("action=ACCEPT", "dst_port=22"))
    assert len(accepted) == 2, "the beginning of one connection, for two projects"
    assert f"project_id=one log_resource_ids=['all'] vm_port={port_id(1)} pkt=" in accepted[0]
    assert "project_id=two log_resource_ids=['of-group']" in accepted[1]
    assert f"src='{v4(9)}'" in accepted[0]
    assert not at.does(9, "tcp", v4(1), "80")
    dropped = eventually(lambda: written("action=DROP", "dst_port=80"))
    assert "log_resource_ids=['all', 'drops']" in dropped[0]
    assert at.does(1, "udp", v6(9), "80") is False
    assert eventually(lambda: written("action=ACCEPT", "ipv6(", "udp("))
    assert not at.does(9, "udp", v4(2), "81")
    at.does(9, "probe", v4(1), "82", "1")
    assert 0 < len(written("dst_port=82")) < 400, "not all of 500"

    at.plan(Logged(id=port_id(1), logs=(OF_GROUP,)))
    file.rename(file.with_suffix(".old"))
    assert not at.does(9, "tcp", v4(1), "80")
    assert held.asked() == "true"
    assert at.does(9, "tcp", v4(1), "22")
    assert eventually(lambda: written("action=ACCEPT"))
    assert not written("action=DROP")
    at.scene.server.delete(f"logged/{port_id(1)}")
    at.scene.settled()
    assert "logged-in" not in at.ruleset()
    assert held.asked() == "true"


ROUTE = """
ip netns add {inside}; ip netns add {outside}
ip link add qr-l netns {router} type veth peer name eth0 netns {inside}
ip link add {gateway} netns {router} type veth peer name eth0 netns {outside}
ip -n {router} address add 10.0.0.1/24 dev qr-l; ip -n {router} link set qr-l up
ip -n {router} address add 203.0.113.10/24 dev {gateway}; ip -n {router} link set {gateway} up
ip -n {inside} address add 10.0.0.5/24 dev eth0; ip -n {inside} link set eth0 up
ip -n {inside} route add default via 10.0.0.1
ip -n {outside} address add 203.0.113.1/24 dev eth0; ip -n {outside} link set eth0 up
ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1
"""
NAT = """
table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "qg-*" masquerade; }; }
"""


@pytest.mark.lab
def test_what_a_router_translates() -> None:
    id_ = str(uuid.uuid4())
    router = msgspec.structs.replace(l3.router(), id=id_, services=Services(logs=(ALL,)))
    wanted = services.of(router)
    names = {"inside": f"in-{id_[:8]}", "outside": f"out-{id_[:8]}", "router": f"qrouter-{id_}"}
    netns.create(names["router"])
    written: list[str] = []
    reader = Reader(lambda _: "", written.append)
    manager = PacketLogs(reader)
    try:
        commands = ROUTE.format(**names, gateway=wanted.device)
        subprocess.run(["sh", "-ec", commands], check=True)
        nft.apply(NAT + services.render(wanted, LIMIT), names["router"])
        manager.put(router)
        assert manager.apply() == {}
        reader.start()
        program = (
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 4000));"
            "[s.sendto(b'x', ('203.0.113.1', 9)) for _ in range(3)]"
        )
        subprocess.run(["ip", "netns", "exec", names["inside"], "python3", "-c", program], check=True)
        (line,) = eventually(lambda: written)
        assert line.startswith("action=SNAT project_id=one log_resource_ids=['all'] ")
        assert f" router={id_} source=10.0.0.5:4000 pkt=" in line
        assert "src='203.0.113.10'" in line
        manager.put(msgspec.structs.replace(router, services=Services()))
        assert manager.apply() == {}
        manager.put(msgspec.structs.replace(router, id="another"))
        problems = manager.apply()
        assert "namespace is not there" in problems["router/another"]
    finally:
        for name in names.values():
            netns.delete(name)
