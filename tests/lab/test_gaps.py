from hypothesis import given
from hypothesis import strategies as st

from deuteron.lab.gaps import find, longest_silence
from deuteron.lab.prober import Clock

INTERVAL = 0.002


def times(answers: list[bool]) -> tuple[list[float], list[float]]:
    sent = [100 + index * INTERVAL for index in range(len(answers))]
    return sent, [at + 0.0001 if yes else 0.0 for at, yes in zip(sent, answers, strict=True)]


@given(st.lists(st.booleans()))
def test_gaps_are_the_runs_of_what_was_not_answered(answers: list[bool]) -> None:
    gaps = find(*times(answers), INTERVAL)
    lost = [i for gap in gaps for i in range(gap.first, gap.first + gap.packets)]
    assert lost == [i for i, yes in enumerate(answers) if not yes]
    for gap in gaps:
        assert gap.first == 0 or answers[gap.first - 1]
        assert gap.first + gap.packets == len(answers) or answers[gap.first + gap.packets]
        assert abs(gap.milliseconds - gap.packets * INTERVAL * 1000) < 0.001


def test_probes_that_were_not_sent_make_a_gap_longer() -> None:
    sent = [0.0, 0.002, 0.010, 0.012]
    assert find(sent, [1.0, 0.0, 0.0, 1.0], INTERVAL)[0].milliseconds == 10.0


def test_the_longest_silence_is_between_two_arrivals_in_order_of_time() -> None:
    assert longest_silence([]) == longest_silence([3.0]) == 0
    assert longest_silence([3.0, 1.0, 1.5]) == 1500


@given(st.lists(st.floats(0, 0.05), max_size=50))
def test_a_late_clock_skips_slots_and_never_leaves_its_grid(delays: list[float]) -> None:
    clock = Clock(INTERVAL)
    now, sent = 50.0, 0
    for delay in delays:
        due = clock.advance(now)
        sent += 1
        assert due > now - 1e-9
        assert abs((due - 50.0) / INTERVAL - round((due - 50.0) / INTERVAL)) < 1e-6
        now = due + delay
    assert clock.slot == sent + clock.skipped
