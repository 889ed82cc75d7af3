"""What goes on until it is interrupted: status --watch and events --follow, as processes of their own."""

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from deuteron.placement import events
from tests.cli.conftest import Command
from tests.placement.cloud import Cloud

_MAIN = "import sys; from deuteron.cli import main; sys.exit(main())"


@contextmanager
def running(deuteron: Command, *words: str, out: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """Run the command beside the test; interrupt it at the end if it still runs."""
    argv = [sys.executable, "-c", _MAIN, words[0], "--endpoint", deuteron.endpoint, *words[1:]]
    process = subprocess.Popen(argv, stdout=out, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(100)


@contextmanager
def reporting(cloud: Cloud) -> Iterator[None]:
    """Let the agents report while the test does something else."""
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(0.1):
            for agent in list(cloud.agents.values()):
                agent.step()

    thread = threading.Thread(target=report)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def interrupted(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGINT)
    return process.wait(100)


def until(stream: IO[str], words: str) -> str:
    """Read lines up to one with these words; return it."""
    for line in stream:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")


def test_a_pipe_gets_each_change_once(cloud: Cloud, deuteron: Command) -> None:
    cloud.agent("net1")
    cloud.agent("net2")
    with reporting(cloud), running(deuteron, "status", "--watch") as process:
        assert process.stdout
        until(process.stdout, "all is well: 2 hosts")
        cloud.agents["net2"].silent = True
        until(process.stdout, "net2: silent")
        until(process.stdout, "net2  silent")
        assert interrupted(process) == 1
        assert process.stdout.read().count("---") <= 1, "nothing is repeated that has not changed"


def test_a_screen_is_drawn_anew(cloud: Cloud, deuteron: Command) -> None:
    cloud.agent("net1")
    reading, writing = pty.openpty()
    with reporting(cloud), running(deuteron, "status", "--watch", out=writing) as process:
        os.close(writing)
        shown, end = b"", time.monotonic() + 100
        while shown.count(b"\x1b[H") < 2 and time.monotonic() < end:
            shown += os.read(reading, 65536)
        assert interrupted(process) == 0
    os.close(reading)
    assert shown.count(b"\x1b[H") >= 2
    assert b"all is well: 1 host" in shown


def test_a_server_that_is_away_is_told_and_waited_for(nowhere: Command) -> None:
    with running(nowhere, "status", "--watch") as process:
        assert process.stdout
        until(process.stdout, "the server does not answer: http://127.0.0.1:1")
        assert interrupted(process) == 2


def test_events_are_followed(cloud: Cloud, deuteron: Command) -> None:
    host = events.of_host("net1")
    cloud.call(lambda call: events.note(call.tx, "host_dead", host, "silent for 10 s", host="net1"))
    with running(deuteron, "events", "--follow") as process:
        assert process.stdout
        assert until(process.stdout, "host dead").rstrip().endswith("net1: silent for 10 s")
        cloud.call(lambda call: events.note(call.tx, "host_back", host, "heard again", host="net1"))
        assert until(process.stdout, "host back").rstrip().endswith("net1: heard again")
        assert interrupted(process) == 0


def test_following_needs_a_server_to_begin_with(nowhere: Command) -> None:
    said = nowhere("events", "--follow")
    assert said.status == 2
    assert "does not answer" in said.err
