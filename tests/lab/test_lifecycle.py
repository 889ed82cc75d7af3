import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deuteron.lab import hosts, wires
from deuteron.lab import lab as labs
from deuteron.lab.state import ROOT
from tests.lab.conftest import Command, new_command

pytestmark = pytest.mark.lab


def traces(command: Command) -> list[str]:
    """Whatever of a lab there is on this machine."""
    name = command.lab.name
    found = [str(path) for path in ROOT.glob(f"{name}*")] if ROOT.exists() else []
    found += [f"process {pid}" for pid in hosts.find_all(command.lab)]
    found += [str(path) for path in Path("/run/netns").glob(f"dlab-{name}-*")]
    for directory in Path("/proc").iterdir():
        try:
            if directory.name.isdigit() and f"/{name}/".encode() in (directory / "cmdline").read_bytes():
                found.append(f"{directory}: {(directory / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found


def links() -> set[str]:
    listing = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return {line.split()[1] for line in listing.splitlines()}


def mounts() -> set[str]:
    return {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}


def test_down_leaves_nothing_behind(fresh: Command, bare_file: Path) -> None:
    before = links(), Path("/var/lib/deuteron").exists()
    fresh.ok("up", str(bare_file))
    assert traces(fresh)
    assert links() == before[0]  # nothing of it in the machine's own namespace
    fresh.ok("exec", "alpha", "--", "ip", "netns", "add", "qrouter-x")
    fresh.ok("exec", "alpha", "--", "sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 </dev/null &")
    assert "is down" in fresh.ok("down")
    assert traces(fresh) == []
    assert (links(), Path("/var/lib/deuteron").exists()) == before
    assert not any(fresh.lab.name in mount for mount in mounts())
    assert "there was no lab" in fresh.ok("down")


def test_up_twice_changes_nothing(bare: Command, bare_file: Path) -> None:
    before = bare.ok("status", "--json")
    bare.ok("up")
    assert bare.ok("status", "--json") == before
    bare_file.write_text(bare_file.read_text().replace("beta", "gamma"))
    refused = bare("up", str(bare_file))
    assert refused.returncode == 1
    assert "another topology" in refused.stderr


@pytest.mark.parametrize("pause", [0.15, 0.2, 0.25, 0.3, 0.4])
def test_a_killed_up_is_completed_by_up_and_removed_by_down(
    fresh: Command, bare_file: Path, pause: float
) -> None:
    for after in ("up", "down"):
        process = subprocess.Popen(
            fresh.argv("up", str(bare_file)), env=fresh.environment, stdout=subprocess.DEVNULL
        )
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if after == "up":
            fresh.ok("up", str(bare_file))
            assert fresh("exec", "alpha", "--", "ping", "-c1", "-W2", "10.20.0.12").returncode == 0
        fresh.ok("down")
        assert traces(fresh) == []


def test_down_finds_a_lab_whose_files_are_lost(fresh: Command, bare_file: Path) -> None:
    fresh.ok("up", str(bare_file))
    fresh.lab.forget()
    assert "there is no lab" in fresh("status").stderr
    fresh.ok("down")
    assert traces(fresh) == []


def test_up_after_the_files_are_lost_begins_anew(fresh: Command, bare_file: Path) -> None:
    fresh.ok("up", str(bare_file))
    old = hosts.find_all(fresh.lab)
    fresh.lab.forget()
    fresh.ok("up", str(bare_file))
    assert len(hosts.find_all(fresh.lab)) == 3
    assert not set(old) & set(hosts.find_all(fresh.lab))


def test_two_labs_do_not_touch_each_other(bare: Command, fresh: Command, bare_file: Path) -> None:
    before = bare.ok("status", "--json")
    fresh.ok("up", str(bare_file))
    fresh.inside("alpha", "hostname > /var/lib/deuteron/mine")
    assert bare("exec", "alpha", "--", "test", "-e", "/var/lib/deuteron/mine").returncode == 1
    # A lab whose name begins like the other's is another lab.
    longer = Command(f"{fresh.lab.name}-x")
    try:
        longer.ok("up", str(bare_file))
        fresh.ok("down")
        assert longer("exec", "alpha", "--", "true").returncode == 0
        assert bare.ok("status", "--json") == before
    finally:
        labs.down(longer.lab)


def test_commands_at_once_wait_for_each_other(fresh: Command, bare_file: Path) -> None:
    commands = [("up", str(bare_file)), ("up", str(bare_file)), ("down",), ("up", str(bare_file)), ("down",)]
    running = [
        subprocess.Popen(fresh.argv(*words), env=fresh.environment, stdout=subprocess.DEVNULL)
        for words in commands
    ]
    assert [process.wait(60) for process in running] == [0] * len(commands)
    fresh.ok("down")
    assert traces(fresh) == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", "A", "x" * 21, "a-"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    command = new_command()
    done = command("--name", name, "status")
    assert done.returncode == 1
    assert "a name is" in done.stderr


def test_seven_hosts_are_up_soon(fresh: Command, tmp_path: Path) -> None:
    names = ["controller", "net1", "net2", "net3", "compute1", "compute2"]
    text = "".join(
        f'[hosts.{n}]\nnetworks=["management","underlay","external"]\nservices=[]\n' for n in names
    )
    (tmp_path / "seven.toml").write_text(
        text + '[hosts.outside]\nnetworks=["external"]\nservices=["echo"]\nexternal=["203.0.113.1/24"]\n'
    )
    begin = time.monotonic()
    fresh.ok("up", str(tmp_path / "seven.toml"))
    assert time.monotonic() - begin < 50  # half a second on a quiet machine
    status = json.loads(fresh.ok("status", "--json"))
    assert len({host["pid"] for host in status["hosts"]}) == 7


def test_a_name_of_a_foreign_bridge_namespace_is_no_obstacle_to_status(fresh: Command) -> None:
    assert not wires.exist(fresh.lab.name)
    done = fresh("status", "--json")
    assert done.returncode == 1
    assert "deuteron lab up" in done.stderr
