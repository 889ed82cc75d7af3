import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deuteron.agent.system import processes
from deuteron.agent.system.daemons import Daemon, Daemons
from deuteron.agent.system.errors import SystemCommandError
from tests.agent.host import eventually


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Daemons]]:
    """Return what makes the daemons of the next agent on one run directory."""
    every: list[Daemons] = []

    def start(on_change: Callable[[], None] = lambda: None) -> Daemons:
        every.append(Daemons(tmp_path, on_change))
        return every[-1]

    yield start
    for daemons in every:
        for name in daemons.running():
            daemons.stop(name)


def sleeper(run_dir: Path, name: str = "one", seconds: int = 1) -> Daemon:
    # The run directory in the command line is how a process without a record is known as ours.
    (run_dir / "watched").touch()
    argv = ("tail", "-n0", "-s", str(seconds), "-f", str(run_dir / "watched"))
    return Daemon(name=name, argv=argv, unit=f"dhcp/{name}")


def alive(pid: int | None) -> bool:
    return pid is not None and processes.start_time(pid) is not None


def test_the_next_agent_takes_over(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    first = agent()
    first.ensure(sleeper(tmp_path))
    pid = first.pid("one")
    first.ensure(sleeper(tmp_path))
    assert first.pid("one") == pid
    second = agent()
    assert second.running() == {"one"}
    second.ensure(sleeper(tmp_path))
    assert second.pid("one") == pid


def test_a_changed_daemon_is_restarted_an_unchanged_one_never(
    tmp_path: Path, agent: Callable[..., Daemons]
) -> None:
    daemons = agent()
    config = tmp_path / "config"
    config.write_text("a")
    base = sleeper(tmp_path)
    daemon = Daemon(name="one", argv=base.argv, files=(str(config),))
    daemons.ensure(daemon)
    first = daemons.pid("one")
    config.write_text("a")
    daemons.ensure(daemon)
    assert daemons.pid("one") == first
    config.write_text("b")
    daemons.ensure(daemon)
    second = daemons.pid("one")
    assert second != first
    assert not alive(first)
    daemons.ensure(sleeper(tmp_path, seconds=2))
    assert daemons.pid("one") != second


def test_a_death_is_noticed_told_and_made_good(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    told: list[float] = []
    daemons = agent(lambda: told.append(time.monotonic()))
    daemons.ensure(sleeper(tmp_path))
    pid = daemons.pid("one")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: told, 60)
    eventually(lambda: daemons.pid("one") not in (None, pid), 60)
    assert "signal 9" in daemons.problems()["dhcp/one"]


def test_one_that_always_dies_is_tried_ever_more_rarely(
    tmp_path: Path, agent: Callable[..., Daemons]
) -> None:
    daemons = agent()
    daemons.ensure(Daemon(name="bad", argv=("sh", "-c", "echo no such luck; exit 3"), unit="dhcp/bad"))
    eventually(lambda: "3 times" in daemons.problems().get("dhcp/bad", ""), 100)
    assert "exit status 3; no such luck" in daemons.problems()["dhcp/bad"]
    time.sleep(1)
    assert "9 times" not in daemons.problems()["dhcp/bad"]
    daemons.stop("bad")
    assert daemons.problems() == {}


def test_stop_ends_also_who_does_not_listen(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    daemons = agent()
    listens = tmp_path / "listens"
    deaf = f"trap '' TERM; touch {listens}; while :; do sleep 0.1; done"
    daemons.ensure(Daemon(name="deaf", argv=("sh", "-c", deaf)))
    pid = daemons.pid("deaf")
    eventually(listens.exists)
    daemons.stop("deaf")
    assert not alive(pid)
    assert list((tmp_path / "daemons").iterdir()) == list((tmp_path / "log").iterdir()) == []


def test_a_stale_record_is_harmless(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    daemons = agent()
    daemons.ensure(sleeper(tmp_path))
    record = (tmp_path / "daemons" / "one.json").read_text()
    pid = daemons.pid("one")
    daemons.stop("one")
    time.sleep(0.05)  # the kernel tells when a process started in ticks of 10 ms
    bystander = os.posix_spawnp("sleep", ["sleep", "1000"], os.environ)
    try:
        # The pid is somebody else's now.
        (tmp_path / "daemons" / "one.json").write_text(record.replace(f'"pid":{pid}', f'"pid":{bystander}'))
        second = agent()
        assert second.running() == set()
        second.stop("one")
        assert alive(bystander)
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_without_a_record_a_daemon_is_known_by_its_command_line(
    tmp_path: Path, agent: Callable[..., Daemons], damage: str
) -> None:
    first = agent()
    first.ensure(sleeper(tmp_path))
    pid = first.pid("one")
    record = tmp_path / "daemons" / "one.json"
    if damage == "missing":
        record.unlink()
    else:
        record.write_text("{")
    second = agent()
    second.ensure(sleeper(tmp_path))
    assert second.pid("one") == pid
    assert agent().running() == {"one"}


def test_one_that_is_just_starting_is_not_ended_by_what_is_to_reload_it(
    tmp_path: Path, agent: Callable[..., Daemons]
) -> None:
    daemons, script, heard = agent(), tmp_path / "starting", tmp_path / "heard"
    script.write_text(f"sleep 0.1; trap 'touch {heard}' HUP; while :; do sleep 0.05; done")
    daemons.ensure(Daemon(name="starting", argv=("sh", str(script))))
    pid = daemons.pid("starting")
    daemons.reload("starting")
    eventually(heard.exists)
    assert daemons.pid("starting") == pid
    daemons.reload("nobody")


def test_what_cannot_be_started_says_why(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    daemons = agent()
    with pytest.raises(SystemCommandError, match="no-such-daemon"):
        daemons.ensure(Daemon(name="x", argv=("no-such-daemon", "--now")))
    with pytest.raises(SystemCommandError, match="no-such-namespace"):
        daemons.ensure(Daemon(name="x", argv=("sleep", "1"), netns="no-such-namespace"))
    with pytest.raises(SystemCommandError, match="absent"):
        daemons.ensure(Daemon(name="x", argv=("sleep", "1"), files=(str(tmp_path / "absent"),)))
    assert daemons.running() == set()


def test_one_that_is_dismissed_ends_in_its_own_time(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    """A shell that takes long to end is not waited for; but its successor waits for it."""
    daemons = agent()
    script, listens, may_end = tmp_path / "slow", tmp_path / "listens", tmp_path / "may-end"
    script.write_text(
        f"trap 'while [ ! -e {may_end} ]; do sleep 0.1; done; exit 0' TERM\n"
        f"touch {listens}; while :; do sleep 0.1; done"
    )
    slow = Daemon(name="slow", argv=("sh", str(script)))
    daemons.ensure(slow)
    first = daemons.pid("slow")
    eventually(listens.exists)
    daemons.dismiss("slow")
    assert daemons.running() == set()
    assert alive(first)
    threading.Timer(0.3, may_end.touch).start()
    daemons.ensure(slow)
    assert not alive(first)
    assert alive(daemons.pid("slow"))
    assert (tmp_path / "daemons" / "slow.json").exists()
    daemons.dismiss("nobody")


def test_one_that_is_dismissed_leaves_nothing(tmp_path: Path, agent: Callable[..., Daemons]) -> None:
    daemons = agent()
    daemons.ensure(sleeper(tmp_path))
    pid = daemons.pid("one")
    daemons.dismiss("one")
    assert eventually(lambda: not alive(pid) and not (tmp_path / "daemons" / "one.json").exists())
