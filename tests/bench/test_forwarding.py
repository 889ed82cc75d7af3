import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.bench import forwarding
from deuteron.bench.forwarding import Instance, answered, checksum, commands, echo_request

INSTANCE = Instance("0123456789abcdef", "fa:16:3e:00:00:01", "10.0.7.5/24", "10.0.7.1")


def test_the_commands_plug_an_instance_in() -> None:
    assert commands(7, INSTANCE) == [
        "link add i7 address fa:16:3e:00:00:01 mtu 1450 type veth peer name tap0123456789a netns 1",
        "address add 10.0.7.5/24 dev i7",
        "ntable change name arp_cache dev i7 retrans 100",
        "link set i7 up",
        "route add default via 10.0.7.1 dev i7 table 1007",
        "rule add from 10.0.7.5 lookup 1007",
    ]


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_a_request_has_a_right_checksum_and_its_reply_is_recognised(identifier: int, sequence: int) -> None:
    request = echo_request(identifier, sequence)
    assert checksum(request) == 0
    header = b"\x45" + bytes(19)
    assert answered(header + request, identifier) is None
    assert answered(header + b"\0" + request[1:], identifier) == sequence
    assert answered(header + b"\0" + request[1:], identifier ^ 1) is None


@given(st.binary(min_size=20, max_size=60))
def test_any_packet_can_be_heard(packet: bytes) -> None:
    answered(packet, struct.unpack("!H", packet[:2])[0])


HOST = """
set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir /run/netns
mount --make-rshared /run
ip link set lo up
ip address add 203.0.113.1/32 dev lo
echo 1 > /proc/sys/net/ipv4/ip_forward
ip netns add probe
echo ready
exec sleep 600
"""


@pytest.fixture
def host() -> Iterator[int]:
    argv = ["unshare", "--net", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    process = subprocess.Popen([*argv, "sh", "-c", HOST], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
    finally:
        process.kill()
        process.communicate()


def _in(host: int, *command: str) -> list[str]:
    return ["nsenter", "-t", str(host), "-n", "-m", "-p", *command]


@pytest.mark.lab
def test_the_first_answer_is_told_when_the_gateway_begins_to_answer(host: int) -> None:
    program = ["ip", "netns", "exec", "probe", sys.executable, "-I", "-S", forwarding.__file__, "203.0.113.1"]
    search = subprocess.Popen(
        _in(host, *program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert search.stdin
        assert search.stdout
        for number in (1, 2):
            name = f"{number}" * 11
            search.stdin.write(f"{name}-x fa:16:3e:00:00:0{number} 10.0.{number}.5/24 10.0.{number}.1\n")
        taps = ["tap11111111111", "tap22222222222"]
        deadline = time.monotonic() + 20
        while subprocess.run(_in(host, "ip", "link", "show", taps[1]), capture_output=True).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for number, tap in ((2, taps[1]), (1, taps[0])):
            opened = time.monotonic()
            subprocess.run(_in(host, "ip", "link", "set", tap, "up"), check=True)
            subprocess.run(_in(host, "ip", "address", "add", f"10.0.{number}.1/24", "dev", tap), check=True)
            address, seconds = search.stdout.readline().split()
            socket.inet_aton(address)
            assert address == f"10.0.{number}.5"
            assert opened <= float(seconds) <= time.monotonic()
        search.stdin.close()
        assert search.wait(10) == 0
    finally:
        search.kill()
        search.wait()
