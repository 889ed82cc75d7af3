import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.conftest import Command

pytestmark = pytest.mark.lab


def host(command: Command, name: str) -> dict[str, Any]:
    found = json.loads(command.ok("status", "--json"))["hosts"]
    shown: dict[str, Any] = next(one for one in found if one["name"] == name)
    return shown


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def reaches(command: Command, target: str) -> bool:
    return command("exec", "alpha", "--", "ping", "-c1", "-W1", target).returncode == 0


def test_a_host_has_its_own_of_everything(bare: Command) -> None:
    assert bare.inside("alpha", "hostname").strip() == "alpha"
    assert bare.inside("alpha", "ls /sys/class/net").split() == ["eth-ext", "eth-mgmt", "eth-under", "lo"]
    assert bare.inside("alpha", "cat /proc/1/cmdline | tr '\\0' ' '").split()[-1].endswith("init.json")
    assert sorted(bare.inside("alpha", "ls /run").split()) == ["lock", "netns"]
    bare.inside("alpha", "ip netns add qrouter-x")
    bare.inside("beta", "ip netns add qrouter-x")  # the same name on another host
    assert bare.inside("beta", "ls /run/netns").split() == ["qrouter-x"]


def test_the_machine_keeps_its_own_variable_files_and_the_host_sees_them(bare: Command) -> None:
    assert "dpkg" in bare.inside("alpha", "ls /var/lib").split()
    assert bare.inside("alpha", "test -f /var/lib/dpkg/status && echo yes").strip() == "yes"


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_exec_passes_the_exit_status_on(bare: Command, script: str, status: int) -> None:
    assert bare("exec", "alpha", "--", "sh", "-c", script).returncode == status


def test_exec_says_when_there_is_nothing_to_run_or_nowhere(bare: Command) -> None:
    assert bare("exec", "alpha", "--", "/no/such/program").returncode == 127
    assert bare("exec", "alpha", "--", "/etc/passwd").returncode == 126
    nowhere = bare("exec", "gamma", "--", "true")
    assert nowhere.returncode == 125
    assert "no host or instance 'gamma'" in nowhere.stderr
    assert bare("exec", "alpha").returncode == 125


def test_exec_passes_input_and_output_and_arguments(bare: Command) -> None:
    done = bare("exec", "alpha", "--", "sh", "-c", 'cat; echo "$1" >&2', "x", "a b --json", text="said\n")
    assert (done.stdout, done.stderr) == ("said\n", "a b --json\n")


def test_exec_forwards_the_signal_that_ends_it(bare: Command) -> None:
    argv = bare.argv(
        "exec", "alpha", "--", "sh", "-c", "trap 'echo ended; exit 3' TERM; echo on; sleep 60 & wait"
    )
    with subprocess.Popen(argv, env=bare.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "on\n"
        process.terminate()
        assert process.stdout.readline() == "ended\n"
        assert process.wait(10) == 3


def test_what_exec_ran_ends_with_it(bare: Command) -> None:
    argv = bare.argv("exec", "alpha", "--", "sleep", "54321")
    with subprocess.Popen(argv, env=bare.environment) as process:
        until(lambda: "54321" in bare.inside("alpha", "ps ax -o args | grep '^sleep' || true"))
        process.kill()
    until(lambda: "54321" not in bare.inside("alpha", "ps ax -o args | grep '^sleep' || true"))


def test_cut_and_heal(bare: Command) -> None:
    assert reaches(bare, "10.20.0.12")
    bare.ok("cut", "beta", "underlay")
    assert not reaches(bare, "10.20.0.12")
    assert reaches(bare, "10.10.0.12")  # the other network stands
    assert host(bare, "beta")["cut"] == ["underlay"]
    bare.ok("cut", "beta", "management")
    assert not reaches(bare, "10.10.0.12")
    bare.ok("heal", "beta", "underlay")
    until(lambda: reaches(bare, "10.20.0.12"))
    bare.ok("heal", "beta")
    until(lambda: reaches(bare, "10.10.0.12"))
    assert host(bare, "beta")["cut"] == []
    wrong = bare("cut", "beta", "external")
    assert (wrong.returncode, "not on the network" in wrong.stderr) == (1, True)


def test_the_internet_answers(bare: Command) -> None:
    bare.inside(
        "alpha", "ip address replace 203.0.113.50/24 dev eth-ext; ip route replace default via 203.0.113.1"
    )
    assert reaches(bare, "203.0.113.1")
    assert reaches(bare, "198.51.100.1")
    python = sys.executable
    say = "import socket; s = socket.socket(type={}); s.settimeout(5); s.connect(('198.51.100.1', 7)); "
    for kind in (1, 2):  # TCP, UDP
        script = say.format(kind) + "s.send(b'hello'); print(s.recv(9))"
        assert bare.ok("exec", "alpha", "--", python, "-c", script) == "b'hello'\n"


def test_frozen_processes_do_nothing_until_they_are_thawed(bare: Command) -> None:
    count = "setsid sh -c 'while :; do echo x >> /run/count; sleep 0.02; done' >/dev/null 2>&1 </dev/null &"
    bare.inside("beta", count)

    def lines() -> int:
        return int(bare.inside("beta", "wc -l < /run/count"))

    until(lambda: lines() > 3)
    bare.ok("freeze", "beta")
    assert host(bare, "beta")["state"] == "frozen"
    still = lines()
    time.sleep(0.5)
    assert lines() == still
    bare.ok("thaw", "beta")
    until(lambda: lines() > still)
    assert host(bare, "beta")["state"] == "on"


def test_power_off_takes_everything_but_the_disk(bare: Command) -> None:
    bare.inside(
        "beta",
        "echo kept > /var/lib/deuteron/kept; touch /run/gone; ip netns add qdhcp-y;"
        " ip link add brq0 type bridge",
    )
    old = host(bare, "beta")["pid"]
    bare.ok("power-off", "beta")
    assert host(bare, "beta")["state"] == "off"
    assert not os.path.exists(f"/proc/{old}/exe")  # noqa: PTH110
    assert bare("exec", "beta", "--", "true").returncode == 125
    assert not reaches(bare, "10.20.0.12")
    bare.ok("power-off", "beta")  # once more changes nothing
    bare.ok("power-on", "beta")
    assert "is on" in bare("power-on", "beta").stderr
    assert bare.inside("beta", "cat /var/lib/deuteron/kept") == "kept\n"
    assert bare("exec", "beta", "--", "test", "-e", "/run/gone").returncode == 1
    assert bare.inside("beta", "ls /run/netns").split() == []
    until(lambda: reaches(bare, "10.20.0.12"))


def test_a_frozen_host_can_be_switched_off(bare: Command) -> None:
    bare.ok("freeze", "beta")
    bare.ok("power-off", "beta")
    bare.ok("power-on", "beta")
    assert host(bare, "beta")["state"] == "on"


def test_a_service_that_ends_is_started_again(bare: Command) -> None:
    def echo() -> dict[str, Any]:
        found: dict[str, Any] = host(bare, "outside")["services"]["echo"]
        return found

    until(lambda: echo()["state"] == "running")
    first = echo()
    bare.ok("exec", "outside", "--", "kill", "-9", str(first["pid"]))
    until(lambda: echo()["state"] == "running" and echo()["pid"] != first["pid"])
    assert echo()["starts"] == first["starts"] + 1
    assert echo()["last_exit"] == -signal.SIGKILL
    bare.ok("service", "outside", "stop", "echo")
    assert echo()["state"] == "stopped"
    bare.ok("service", "outside", "start", "echo")
    until(lambda: echo()["state"] == "running")
    assert "no service 'agent'" in bare("service", "outside", "stop", "agent").stderr


def test_orphans_are_reaped(bare: Command) -> None:
    for _ in range(5):
        bare.inside("alpha", "setsid sh -c 'sleep 0.05' >/dev/null 2>&1 </dev/null &")
    until(lambda: "Z" not in bare.inside("alpha", "ps ax -o stat="))


def test_bad_requests_do_not_harm_process_1(bare: Command) -> None:
    for data in (b"", b"\n", b"nonsense\n", b"[]\n", b'{"do": "hold"}\n', b'{"do": "hold", "argv": 3}\n'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(bare.lab.host_directory("alpha") / "control"))
            connection.sendall(data)
    assert host(bare, "alpha")["state"] == "on"
