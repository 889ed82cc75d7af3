"""The filter against frames, by the kernel's own machine; what is read from them; who answers by ARP."""

import json
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.lab.listener import Frame, concerning, parsed
from deuteron.lab.whohas import question

GATEWAY, VM, PEER = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:03"
ARP, IPV4, IPV6 = b"\x08\x06", b"\x08\x00", b"\x86\xdd"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def vxlan(source: str, destination: str, type_: bytes, payload: bytes, port: int = 4789) -> bytes:
    ends = socket.inet_aton("10.20.0.14") + socket.inet_aton("10.20.0.15")
    outer = bytes(12) + IPV4 + bytes.fromhex("45000000000000004011") + b"\0\0" + ends
    udp = struct.pack("!HHHH", 50000, port, 0, 0)
    return outer + udp + bytes(8) + mac(destination) + mac(source) + type_ + payload


def arp(operation: int, sender: str, target: str) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + mac(VM) + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target)


def neighbour(kind: int, target: str) -> bytes:
    head = b"\x60" + bytes(5) + bytes([58, 255]) + bytes(32)
    return head + bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + socket.inet_pton(socket.AF_INET6, target)


FRAMES = [
    (vxlan(GATEWAY, VM, IPV4, bytes(40)), True, ""),
    (vxlan(VM, GATEWAY, IPV4, bytes(40)), True, ""),
    (vxlan(VM, PEER, IPV4, bytes(40)), False, ""),
    (vxlan(VM, PEER, IPV6, bytes(40)), False, ""),
    (vxlan(VM, "ff:ff:ff:ff:ff:ff", ARP, arp(1, "10.1.0.9", "10.1.0.1")), True, "10.1.0.1"),
    (vxlan(VM, PEER, ARP, arp(2, "10.1.0.9", "10.1.0.1")), True, "10.1.0.9"),
    (vxlan(VM, PEER, IPV6, neighbour(135, "fe80::1")), True, "fe80::1"),
    (vxlan(VM, PEER, IPV6, neighbour(136, "2001:db8::1")), True, "2001:db8::1"),
    (vxlan(VM, PEER, IPV6, neighbour(134, "2001:db8::1")), False, ""),
]


def run_filter(code: bytes, frame: bytes) -> bool:
    """Do what the kernel does with a filter: read, compare, jump."""
    lines = list(struct.iter_unpack("HBBI", code))
    at = value = 0
    while True:
        operation, yes, no, k = lines[at]
        at += 1
        if operation == 0x06:
            return bool(k)
        if operation == 0x15:
            at += yes if value == k else no
            continue
        size = {0x20: 4, 0x28: 2, 0x30: 1}[operation]
        if k + size > len(frame):
            return False
        value = int.from_bytes(frame[k : k + size], "big")


@pytest.mark.parametrize(("frame", "taken", "about"), FRAMES)
def test_frames_are_filtered_and_read(frame: bytes, taken: bool, about: str) -> None:
    assert run_filter(concerning([GATEWAY]), frame) is taken
    found = parsed("u-net1", frame)
    assert found is not None
    assert (found.by, found.to, found.about) == ("10.20.0.14", "10.20.0.15", about)
    assert {found.source, found.destination} <= {GATEWAY, VM, PEER, "ff:ff:ff:ff:ff:ff"}


def test_what_is_no_vxlan_is_nothing() -> None:
    other = vxlan(GATEWAY, VM, IPV4, bytes(40), port=53)
    assert parsed("u-net1", other) is None
    assert not run_filter(concerning([GATEWAY]), other)


@given(st.binary(max_size=150), st.integers(0, len(FRAMES) - 1))
def test_whatever_comes_the_filter_and_the_reader_end(noise: bytes, which: int) -> None:
    for frame in (noise, FRAMES[which][0][: len(noise)], FRAMES[which][0] + noise):
        run_filter(concerning([GATEWAY, PEER]), frame)
        parsed("u-net1", frame)


@pytest.fixture
def cable() -> Iterator[str]:
    """A namespace with two ends of a cable, `near` and `far`; who is asked is in another namespace."""
    name = f"B{uuid.uuid4().hex[:8]}"
    other = f"{name}o"
    script = f"""
        ip netns add {name} && ip netns add {other}
        ip -n {name} link add near type veth peer name far netns {other}
        ip -n {name} link set near up; ip -n {other} link set far up
        ip -n {other} address add 203.0.113.7/24 dev far
    """
    try:
        subprocess.run(["sh", "-ec", script], check=True)
        yield name
    finally:
        for namespace in (name, other):
            subprocess.run(["ip", "netns", "delete", namespace], check=False)


@pytest.mark.lab
def test_the_listener_prints_each_kind_once(cable: str) -> None:
    inside = ["ip", "netns", "exec", cable]
    other = ["ip", "netns", "exec", f"{cable}o"]
    argv = [*inside, sys.executable, "-m", "deuteron.lab.listener", "any", GATEWAY]
    listener = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert listener.stdout is not None
    assert listener.stdout.readline() == "listening\n"
    send = "import socket, sys; s = socket.socket(17, 3); s.bind(('far', 0))\n"
    send += "for frame in sys.argv[1:]: s.send(bytes.fromhex(frame))"
    frames = [frame.hex() for frame, _, _ in FRAMES]
    subprocess.run([*other, sys.executable, "-c", send, *frames, *frames], check=True)
    lines = [json.loads(line) for line in listener.communicate(timeout=30)[0].splitlines()]
    assert listener.returncode == 0
    for line in lines:
        assert line.pop("at") > 0
    assert [Frame(**line) for line in lines] == [parsed("near", frame) for frame, taken, _ in FRAMES if taken]


@pytest.mark.lab
def test_who_has_an_address_is_told_by_the_port_of_the_answer(cable: str) -> None:
    ask = [sys.executable, "-m", "deuteron.lab.whohas", "external", "02:00:00:00:00:01", "203.0.113.1"]
    bridge = "ip link add external type bridge; ip link set near master external; ip link set external up"
    inside = ["ip", "netns", "exec", cable]
    subprocess.run([*inside, "sh", "-ec", bridge], check=True)
    done = subprocess.run(
        [*inside, *ask, "203.0.113.7", "203.0.113.8"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"203.0.113.7": ["near"], "203.0.113.8": []}


def test_a_question_is_an_arp_request_to_everybody() -> None:
    asked = question(mac(VM), socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2"))
    assert asked[:6] == b"\xff" * 6
    assert asked[12:14] == ARP
    assert asked[38:42] == socket.inet_aton("10.0.0.2")
    assert asked[6:12] == mac(VM)
