import pytest

from deuteron.bench.api import Sizes, measure, operation
from deuteron.bench.figures import Group

TINY = Sizes(burst=16, bulks=1, calls=2, listed=(10, 120), filled=200)


def test_an_operation_is_in_milliseconds_with_a_rate() -> None:
    found = operation("port show", [0.010, 0.020, 0.030], 20)
    assert found.samples == pytest.approx((10, 20, 30))
    assert found.rate == pytest.approx(50)
    assert found.verdict == "ok"


def test_a_tiny_run_on_sqlite_measures_everything() -> None:
    said: list[str] = []
    group = Group("api")
    measure(group, 1, said.append, ["sqlite"], TINY)
    assert said == ["api: sqlite, empty", "api: sqlite, 200 ports", "api: sqlite, 200 ports, http_basic"]
    names = [figure.name for figure in group.figures]
    of_each = [name.removeprefix("sqlite, empty: ") for name in names if "empty" in name]
    assert names == [f"{case.removeprefix('api: ')}: {name}" for case in said for name in of_each]
    assert {"list of 120 ports", "list of 120 ports, 8 clients", "memory of the server"} <= set(of_each)
    assert all(figure.samples and min(figure.samples) > 0 for figure in group.figures)
    costs = [note for note in group.notes if "processor time for a call" in note]
    assert [note.partition(": ")[0] for note in costs] == [case.removeprefix("api: ") for case in said]
    assert all("of a core" in note for note in group.notes if note not in costs)
