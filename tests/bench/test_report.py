import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.bench.figures import Bound, Figure, Group
from deuteron.bench.report import document, number, table

GROUPS = [
    Group(
        "crash",
        [
            Figure("gap, SNAT", "ms", (72.0, 66.5, 81.25), Bound("at most", 100)),
            Figure("TCP survived, SNAT", "%", (100.0, 0.0, 100.0), Bound("at least", 100, of="every")),
            Figure("never seen", "ms", (), Bound("at most", 5)),
        ],
        ["2 ms probe"],
    ),
    Group("api", [Figure("port show", "ms", tuple(float(n) for n in range(1, 101)), None, 19.8)]),
]


def test_table() -> None:
    lines = table(GROUPS).splitlines()
    assert lines[0].split() == ["figure", "bound", "median", "p99", "min..max", "per", "s", "n"]
    assert lines[2].split() == ["gap,", "SNAT", "<=", "100", "ms", "72", "ms", "66.5..81.2", "3", "ok"]
    assert lines[3].split()[3:] == ["all", ">=", "100", "%", "100", "%", "0..100", "3", "missed"]
    assert lines[4].endswith("not measured")
    assert lines[5] == "  2 ms probe"
    assert lines[6] == "crash: 1 of 3 bounds kept; not kept: TCP survived, SNAT, never seen"
    assert lines[8].split() == ["port", "show", "50.5", "ms", "99", "1..100", "19.8", "100"]
    assert lines[9] == "api: 0 of 0 bounds kept"


def test_columns_stand_under_their_headings() -> None:
    lines = table(GROUPS).splitlines()
    end = lines[0].index("bound") + len("bound")
    assert lines[2][:end].endswith("<= 100 ms")
    assert lines[3][:end].endswith("all >= 100 %")


def test_the_document_is_json_with_every_sample() -> None:
    found = json.loads(json.dumps(document(GROUPS)))
    gap, survived, never = found["crash"]["figures"]
    assert gap["samples"] == [72.0, 66.5, 81.25]
    assert (gap["median"], gap["min"], gap["max"], gap["n"]) == (72.0, 66.5, 81.25, 3)
    assert gap["bound"] == {"kind": "at most", "limit": 100, "of": "median"}
    assert survived["verdict"] == "missed"
    assert never["median"] is None
    assert found["api"]["figures"][0]["per_second"] == 19.8


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0123, "0.012"),
        (4.561, "4.56"),
        (78.94, "78.9"),
        (1234.5, "1234"),
        (2.0, "2"),
        (0.0001, "0.0001"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(0.001, 1e6))
def test_a_number_is_close_to_its_value(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=0.01, abs=0.0006)
