"""What `make tempest` says of results; the results themselves it alone can have."""

import pytest

from tests.oracle.tempest import RESULT, judge

RESULTS = {"a": "ok", "b": "SKIPPED", "c": "FAILED"}


@pytest.mark.parametrize(
    ("must", "failing", "code", "said"),
    [
        ((), {"c"}, 0, "1 of 3 passed, 0 wrong"),
        ((), (), 1, "not passed: c"),
        ((), {"a", "c"}, 1, "passed after all: a"),
        ((), {"c", "not run"}, 0, "0 wrong"),
        (["a[id-1,smoke]"], {"c"}, 0, "0 wrong"),
        (["a[id-1]", "b[id-2]"], {"c"}, 1, "not passed: b"),
        (["a[id-1]", "missing[id-3]"], {"c"}, 1, "not passed: missing"),
    ],
)
def test_what_is_wrong(
    must: list[str], failing: set[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(RESULTS, must, failing) == code
    assert said in capsys.readouterr().out


def test_lines_of_results() -> None:
    for line, test, result in (
        ("{0} a.B.test_c [0.1s] ... ok", "a.B.test_c", "ok"),
        ("{1} a.B.test_c [0.1s] ... FAILED", "a.B.test_c", "FAILED"),
        ("{1} setUpClass (a.B) ... FAILED", "setUpClass (a.B)", "FAILED"),
        ("{1} setUpClass (a.B) ... SKIPPED: no extension.", "setUpClass (a.B)", "SKIPPED"),
    ):
        found = RESULT.match(line)
        assert found is not None
        assert (found["test"], found["result"]) == (test, result)


def test_nothing_run_is_nothing_proved() -> None:
    assert judge({}, [], set()) == 1
