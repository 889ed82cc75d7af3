import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.bench.figures import Bound, Figure, Group, median, percentile

SAMPLES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


@given(SAMPLES)
def test_median_is_the_one_of_the_standard_library(samples: list[float]) -> None:
    assert median(samples) == pytest.approx(statistics.median(samples))


@given(SAMPLES, st.floats(0.1, 100))
def test_a_percentile_is_a_sample_that_enough_others_do_not_exceed(
    samples: list[float], percent: float
) -> None:
    found = percentile(samples, percent)
    assert found in samples
    assert sum(s <= found for s in samples) >= len(samples) * percent / 100
    assert sum(s < found for s in samples) < max(len(samples) * percent / 100, 1e-9) + 1


@given(SAMPLES)
def test_the_hundredth_percentile_is_the_maximum(samples: list[float]) -> None:
    assert percentile(samples, 100) == max(samples)


def test_nothing_has_no_median() -> None:
    with pytest.raises(ValueError, match="median"):
        median([])
    with pytest.raises(ValueError, match="percentile"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("bound", "samples", "verdict"),
    [
        (Bound("at most", 100), (90.0, 95.0, 500.0), "ok"),
        (Bound("at most", 100), (101.0, 102.0, 1.0), "missed"),
        (Bound("at least", 300), (299.0, 300.0, 301.0), "ok"),
        (Bound("at least", 300), (299.0,), "missed"),
        (Bound("at most", 0, of="every"), (0.0, 0.0), "ok"),
        (Bound("at most", 0, of="every"), (0.0, 0.0, 1.0), "missed"),
        (Bound("at least", 100, of="every"), (100.0, 0.0, 100.0), "missed"),
        (Bound("at most", 100), (), "not measured"),
        (None, (5.0,), ""),
    ],
)
def test_verdict(bound: Bound | None, samples: tuple[float, ...], verdict: str) -> None:
    assert Figure("x", "ms", samples, bound).verdict == verdict


def test_the_summary_counts_bounds_and_names_those_that_were_missed() -> None:
    good = Figure("a", "ms", (1.0,), Bound("at most", 2))
    bad = Figure("b", "ms", (3.0,), Bound("at most", 2))
    absent = Figure("c", "ms", (), Bound("at most", 2))
    free = Figure("d", "ms", (3.0,))
    assert Group("g", [good, free]).summary == "g: 1 of 1 bounds kept"
    assert Group("g", [good, bad, absent, free]).summary == "g: 1 of 3 bounds kept; not kept: b, c"
    assert Group("g", error="no lab").summary == "g: not measured to the end: no lab"
