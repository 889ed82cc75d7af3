"""A server that is asked over HTTP, with agents that only pretend, and the command."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deuteron import cli
from tests.api.conftest import serve
from tests.placement.cloud import Cloud


@dataclass
class Said:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


class Command:
    """Runs the command against one server; 80 columns."""

    def __init__(self, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.endpoint = endpoint
        self._capsys = capsys

    def __call__(self, *words: str) -> Said:
        self._capsys.readouterr()
        status = cli.main([words[0], "--endpoint", self.endpoint, *words[1:]])
        out, err = self._capsys.readouterr()
        return Said(status, out, err)


@pytest.fixture
def cloud(tmp_path: Path, _prepared_sqlite: Path) -> Iterator[Cloud]:
    """The insides of a server on a fresh database; a host is dead after three seconds of silence."""
    path = tmp_path / "deuteron.db"
    shutil.copy(_prepared_sqlite, path)
    opened = Cloud(f"sqlite:///{path}", agent_down_time=3.0, report_interval=0.5)
    yield opened
    opened.close()


@pytest.fixture
def deuteron(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """The command, with a server of that cloud."""
    monkeypatch.setenv("COLUMNS", "80")
    for client in serve(cloud.db, cloud.settings):
        yield Command(f"http://127.0.0.1:{client.port}", capsys)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command, with no server behind it."""
    monkeypatch.setenv("COLUMNS", "80")
    return Command("http://127.0.0.1:1", capsys)
