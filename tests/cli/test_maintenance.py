"""The commands that empty hosts and spread routers, against a server and agents that pretend."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from deuteron.cli import drain as drain_command
from tests.cli.conftest import Command
from tests.placement.cloud import Cloud
from tests.placement.steps import active, open_on, routers_of


@pytest.fixture
def busy(cloud: Cloud) -> Iterator[Cloud]:
    """A cloud whose agents work by themselves, and have no connections to copy."""
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.01):
            for agent in list(cloud.agents.values()):
                agent.step()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield cloud
    ended.set()
    thread.join()


def wait(cloud: Cloud, *routers: str) -> None:
    """Until all routers are somewhere, told to the server."""
    end = time.monotonic() + 100
    while not all(active(cloud, id_) and open_on(cloud, id_) for id_ in routers):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_host_is_drained_and_used_again(busy: Cloud, deuteron: Command) -> None:
    routers = [busy.create("routers", ha=False, name=f"r{n}")["id"] for n in range(3)]
    wait(busy, *routers)
    said = deuteron("drain", "net1")
    assert said.status == 0, said
    lines = said.out.splitlines()
    assert lines[0] == "net1: to leave: 1 router"
    assert lines[1].endswith("has left")
    assert lines[-1] == "net1: safe to power off"
    assert not any("net1" in routers_of(busy, id_) for id_ in routers)
    assert deuteron("drain", "net1").status == 0, "done is done"
    said = deuteron("undrain", "net1")
    assert (said.status, said.out) == (0, "net1 is used again\n")


def test_what_cannot_leave_is_the_reason(busy: Cloud, deuteron: Command) -> None:
    router = busy.create("routers", ha=False, name="r1")["id"]
    wait(busy, router)
    (host,) = open_on(busy, router)
    for name in sorted(set(busy.agents) - {host}):
        assert deuteron("drain", name).status == 0
    said = deuteron("drain", host)
    assert said.status == 1
    assert "not safe to power off: router r1: there is no other host for it" in said.err
    assert "is to be empty too" in said.err


def test_a_drain_that_is_interrupted_goes_on(
    busy: Cloud, deuteron: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = busy.create("routers", ha=False)["id"]
    wait(busy, router)
    (host,) = open_on(busy, router)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(drain_command, "time", SimpleNamespace(monotonic=time.monotonic, sleep=interrupt))
    said = deuteron("drain", host)
    assert said.status == 130
    assert "goes on" in said.err
    end = time.monotonic() + 100
    while host in routers_of(busy, router):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_routers_are_spread_again(busy: Cloud, deuteron: Command) -> None:
    for host in ("net2", "net3"):
        assert deuteron("drain", host).status == 0
    routers = [busy.create("routers", ha=False, name=f"r{n}")["id"] for n in range(6)]
    wait(busy, *routers)
    for host in ("net2", "net3"):
        deuteron("undrain", host)
    said = deuteron("rebalance", "--dry-run")
    assert said.status == 0
    assert said.out.endswith("moves: 4; nothing was moved\n")
    assert Counter(active(busy, id_) for id_ in routers) == {"net1": 6}
    said = deuteron("rebalance", "--max-moves", "1")
    assert (said.status, said.out.splitlines()[-1]) == (0, "1 move done")
    said = deuteron("rebalance")
    assert said.status == 0, said
    assert said.out.splitlines()[-1] == "3 moves done"
    assert set(Counter(active(busy, id_) for id_ in routers).values()) == {2}
    said = deuteron("rebalance")
    assert said.out == "0 moves done\n"


def test_questions_that_make_no_sense(busy: Cloud, deuteron: Command, nowhere: Command) -> None:
    for verb in ("drain", "undrain"):
        said = deuteron(verb, "net9")
        assert (said.status, said.out) == (1, "")
        assert "There is no host net9" in said.err
        assert nowhere(verb, "net1").status == 1
    assert nowhere("rebalance").status == 1
    assert deuteron("rebalance", "--max-moves", "-1").status == 1
