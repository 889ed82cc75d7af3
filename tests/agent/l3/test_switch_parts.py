"""The parts of the switch that need no election: frames, records, pipes, netlink, the gate's sets."""

import ipaddress
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3.switch import announce, records
from deuteron.agent.l3.switch.adverts import giving_up
from deuteron.agent.l3.switch.pipes import Pipe
from deuteron.agent.l3.switch.records import Election, Places, Port, Router, Standing
from deuteron.agent.system import netlink

names = st.text("abcdef0123456789-", min_size=1, max_size=12)
ports = st.builds(
    Port,
    device=names,
    mac=st.just("fa:16:3e:00:00:01"),
    addresses=st.lists(st.ip_addresses().map(str), max_size=3).map(tuple),
)


routers = st.builds(
    Router,
    id=names,
    number=st.integers(1, 1 << 31),
    netns=names,
    election=st.none() | names,
    draining=st.booleans(),
    ports=st.lists(ports, max_size=3).map(tuple),
    twins=st.lists(names, max_size=3).map(tuple),
)
elections = st.builds(
    Election,
    id=names,
    netns=names,
    vrid=st.integers(1, 255),
    peers=st.dictionaries(names, names),
    address=names,
    priority=st.integers(0, 255),
)
standings = st.builds(Standing, id=names, state=names, since=st.floats(0, 1e10), cause=st.text())


@given(routers, elections, standings)
def test_records_come_back(router: Router, election: Election, standing: Standing) -> None:
    with tempfile.TemporaryDirectory() as directory:
        places = Places(Path(directory))
        places.make()
        assert records.write(places.router("r"), router)
        assert not records.write(places.router("r"), router)
        records.write(places.election("e"), election)
        records.write(places.standing("s"), standing)
        assert records.read(places.router("r"), Router) == router
        assert records.read(places.election("e"), Election) == election
        assert records.read(places.standing("s"), Standing) == standing


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"id": 1}', '{"ports": [{}]}', "\0" * 20])
def test_an_unreadable_record_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=str(file)):
        records.read(file, Router)


def test_a_missing_record_is_none(tmp_path: Path) -> None:
    assert records.read(tmp_path / "r.json", Router) is None


@given(st.dictionaries(st.integers(1, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back(values: dict[int, bytes]) -> None:
    packed = b"".join(netlink.attribute(kind, value) for kind, value in values.items())
    assert {k: bytes(v) for k, v in netlink.attributes(memoryview(packed)).items()} == values


@given(st.binary(max_size=200))
def test_nonsense_is_no_trouble(data: bytes) -> None:
    list(netlink.messages(data))
    list(netlink.attribute_list(memoryview(data)))


def test_gratuitous_arp() -> None:
    port = Port("qr-1", "fa:16:3e:00:00:01", ("10.0.0.1",))
    (frame,) = announce.frames(port, port.addresses)
    assert len(frame) == 60
    assert frame[:14] == b"\xff" * 6 + bytes.fromhex("fa163e000001") + b"\x08\x06"
    sender, target = frame[28:32], frame[38:42]
    assert sender == target == socket.inet_aton("10.0.0.1")


@given(st.ip_addresses(v=6))
def test_unsolicited_neighbour_advertisement(address: ipaddress.IPv6Address) -> None:
    port = Port("qr-1", "fa:16:3e:00:00:01", (str(address),))
    (frame,) = announce.frames(port, port.addresses)
    assert frame[:6] == b"\x33\x33\x00\x00\x00\x01"
    header, body = frame[14:54], frame[54:]
    pseudo = header[8:40] + struct.pack("!II", len(body), 58)
    total = sum(struct.unpack(f"!{(len(pseudo) + len(body)) // 2}H", pseudo + body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF
    assert body[0] == 136
    assert body[8:24] == address.packed


@given(st.integers(1, 255), st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_an_advert_that_gives_up(
    vrid: int, source: ipaddress.IPv4Address, target: ipaddress.IPv4Address
) -> None:
    packet = giving_up(vrid, str(source), str(target))
    assert packet[:4] == bytes([0x31, vrid, 0, 1])
    assert packet[8:] == bytes([169, 254, 0, vrid])
    pseudo = source.packed + target.packed + struct.pack("!HH", 112, len(packet))
    total = sum(struct.unpack("!12H", pseudo + packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_one_address_of_each_family_is_enough() -> None:
    port = Port("q", "fa:16:3e:00:00:01", ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2"))
    assert announce.first_addresses(port) == ["10.0.0.1", "2001:db8::1"]


def test_a_pipe_tells_states_and_death(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "fifo")
    assert pipe.read() == ([], False)  # nobody has it open for writing
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    assert pipe.read() == ([], True)
    os.write(writer, b'INSTANCE "e" BACKUP 200\nINSTANCE "e" MASTER_RX_LOWER_PRI 200\nINSTANCE "e" MAS')
    assert pipe.read() == (["BACKUP"], True)
    os.write(writer, b"TER 200\n")
    assert pipe.read() == (["MASTER"], True)
    os.write(writer, b'INSTANCE "e" STOP 200\n')
    os.close(writer)
    assert pipe.read() == (["STOP"], False)
    pipe.reopen()
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    assert pipe.read() == ([], True)
    os.close(writer)
    pipe.close()


def test_what_is_in_the_way_of_a_pipe_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "fifo").write_text("a file")
    Pipe(tmp_path / "fifo").close()


@pytest.mark.parametrize(("age", "alive"), [(0, True), (1, True), (4, False), (-1, True)])
def test_the_script_knows_whether_the_switch_is_alive(tmp_path: Path, age: int, alive: bool) -> None:
    script, heartbeat = tmp_path / "alive", tmp_path / "heartbeat"
    script.write_text(records.ALIVE_SCRIPT)
    now = int(time.clock_gettime(time.CLOCK_BOOTTIME))
    heartbeat.write_text(f"{now - age:012d}\n")
    assert (subprocess.run(["sh", str(script), str(heartbeat)], check=False).returncode == 0) == alive


def test_the_script_knows_the_beat(tmp_path: Path) -> None:
    script, heartbeat = tmp_path / "alive", tmp_path / "heartbeat"
    script.write_text(records.ALIVE_SCRIPT)
    assert subprocess.run(["sh", str(script), str(heartbeat)], check=False).returncode
    records.beat(heartbeat)
    assert not subprocess.run(["sh", str(script), str(heartbeat)], check=False).returncode


def test_the_switch_needs_no_more_than_the_standard_library() -> None:
    program = (
        "import sys; from deuteron.agent.l3.switch import service;"
        "sys.exit(any(m.partition('.')[0] in ('msgspec', 'sqlalchemy', 'starlette') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


GATE = """
import subprocess
from deuteron.agent.l3.switch.gate import Gate
many = frozenset(range(1, 5001))
first = Gate()
first.apply(many, frozenset({7}))
second = Gate()  # a switch that comes after
assert (second.standby, second.draining) == (many, {7})
second.apply(many - {1}, frozenset())
first.apply(many - {1, 2}, frozenset({3}))  # which did not know of the change in between
second.read()
assert (second.standby, second.draining) == (many - {1, 2}, {3})
subprocess.run(["nft", "flush", "ruleset"], check=True)
second.read()
assert Gate().standby == many - {1, 2}
subprocess.run(["nft", "delete", "table", "bridge", "deuteron_gate"], check=True)
second.apply(many - {1}, frozenset())
assert Gate().standby == many - {1}
subprocess.run(["nft", "delete", "table", "bridge", "deuteron_gate"], check=True)
subprocess.run(["nft", "add", "table", "bridge", "deuteron_gate"], check=True)
second.read()
assert Gate().standby == many - {1}
"""


@pytest.mark.lab
def test_the_gate_survives_whatever_is_done_to_it() -> None:
    subprocess.run(["unshare", "--net", sys.executable, "-c", GATE], check=True)


def test_places_lists_what_has_files(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.make()
    records.write(places.router("r1"), Router("r1", 1, "n"))
    assert places.routers() == {"r1"}
    assert places.elections() == set()
