import pytest

from deuteron.cli import main
from deuteron.drill.catalogue import DRILLS


def test_the_list_has_every_drill_and_what_it_may_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drill", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(DRILLS) <= set(lines)
    assert "    power off the active host: gap <= 250 ms, TCP survives" in lines


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nonsense"], "there is no drill 'nonsense'"),
        (["--rounds", "0"], "--rounds is at least 1"),
        (["--seed", "1"], "--seed belongs to a random walk"),
        (["move", "--rounds", "2", "--seed", "1"], "--seed belongs to a random walk"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drill", *words]) == 2
    assert complaint in capsys.readouterr().err
