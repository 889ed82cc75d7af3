import json
from pathlib import Path

import pytest

from deuteron.bench import run
from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.processes import BenchError
from deuteron.cli import bench, main


def _good(group: Group, runs: int, say: run.Say) -> None:
    group.figures.append(Figure("x", "ms", (1.0,) * runs, Bound("at most", 0.5)))


def _bad(group: Group, runs: int, say: run.Say) -> None:
    group.notes.append("before it failed")
    raise BenchError("the lab did not come up")


@pytest.fixture(autouse=True)
def groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GROUPS", {"good": (_good, 3), "bad": (_bad, 1)})
    monkeypatch.setattr(bench, "GROUPS", ("good", "bad"))


def test_a_group_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "figures.json"
    found = run.run(["bad", "good"], None, path, said.append)
    assert [group.error for group in found] == ["the lab did not come up", ""]
    assert found[1].figures[0].samples == (1.0, 1.0, 1.0)
    assert "before it failed" in said[1]
    assert "bad: not measured to the end: the lab did not come up" in said[1]
    assert json.loads(path.read_text())["good"]["figures"][0]["n"] == 3


def test_missed_bounds_are_no_failure_of_the_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "good", "--runs", "2"]) == 0
    assert "missed" in capsys.readouterr().out


def test_what_could_not_be_measured_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 1
    assert "the lab did not come up" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["nonsense"], ["good", "--runs", "0"]])
def test_wrong_arguments(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 2
    assert "groups: good, bad" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_known_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "good", "--json", str(tmp_path / "absent" / "x.json")]) == 1
    captured = capsys.readouterr()
    assert "absent" in captured.err
    assert "good" not in captured.out
