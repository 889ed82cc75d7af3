"""How long a router that is built to take over is waited for."""

import json
from pathlib import Path

import pytest

from deuteron.agent.l3.conntrack_sync import arrivals, progress
from deuteron.agent.l3.conntrack_sync.arrivals import PATIENCE, SILENCE, Arrivals, Wait
from deuteron.agent.l3.conntrack_sync.progress import Progress

HERE, BEFORE = (4, 100), (4, 99)


@pytest.mark.parametrize(
    ("found", "seconds", "over"),
    [
        (Progress(HERE, heard=True, whole=True), 0.0, True),
        (Progress(BEFORE, heard=True, whole=True), SILENCE + 1, False),
        (Progress(HERE, heard=True), SILENCE + 1, False),
        (Progress(HERE), SILENCE + 1, False),
        (None, SILENCE + 1, False),
        (Progress(HERE, heard=True), PATIENCE + 1, True),
        (None, PATIENCE + 1, True),
    ],
)
def test_it_is_over_when_all_was_told(found: Progress | None, seconds: float, over: bool) -> None:
    assert Wait("n", 1000.0).over(found, HERE, 1000.0 + seconds) == over


def test_where_nobody_tells_anything_it_is_over_soon() -> None:
    wait = Wait("n", 1000.0)
    assert not wait.over(None, None, 1010.0)
    assert not wait.over(Progress(HERE), HERE, 1011.0)
    assert not wait.over(Progress(HERE), HERE, 1011.0 + SILENCE - 0.1)
    assert wait.over(Progress(HERE), HERE, 1011.0 + SILENCE + 0.1)


def test_what_is_waited_for_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "identity", {"qrouter-a": HERE, "snat-b": HERE}.get)
    told: list[frozenset[str]] = []
    waiting = Arrivals(tmp_path, told.append)
    (tmp_path / "conntrack").mkdir()
    waiting.expect("a", "qrouter-a")
    waiting.expect("b", "snat-b")
    progress.write(tmp_path, {"a": Progress(HERE, heard=True, whole=True), "b": Progress(HERE, heard=True)})
    waiting.look()
    assert told == [{"a"}, {"a", "b"}, {"b"}]
    progress.write(tmp_path, {"b": Progress(HERE, heard=True, whole=True)})
    waiting.look()
    assert told[-1] == frozenset()
    waiting.expect("b", "snat-b")
    waiting.forget("b")
    assert told[-1] == frozenset()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"namespace": []}}', "\0"])
def test_an_unreadable_file_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "conntrack").mkdir()
    progress.place(tmp_path).write_text(text)
    assert progress.read(tmp_path) == {}


def test_a_file_comes_back(tmp_path: Path) -> None:
    (tmp_path / "conntrack").mkdir()
    found = {"a": Progress(HERE, heard=True), "b": Progress(BEFORE)}
    progress.write(tmp_path, found)
    assert progress.read(tmp_path) == found
    assert json.loads(progress.place(tmp_path).read_text())["b"]["whole"] is False
