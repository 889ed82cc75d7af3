from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from deuteron.drill import acts, effects
from deuteron.drill.acts import Act
from deuteron.drill.walk import AT_ONCE_GAP_MS, Damage, after, expected, repairs, walk

seeds = st.integers(0, 2**32)


@given(seeds, st.integers(1, 60))
def test_at_most_one_candidate_is_impaired_and_in_the_end_nothing_is(seed: int, rounds: int) -> None:
    damage = Damage()
    steps = list(walk(seed, rounds))
    for step, _ in steps:
        for act in step.acts:
            assert act.who in acts.NOUNS
            if act.do in ("power off", "cut"):
                hit = damage.controller if act.who == "controller" else damage.candidate
                assert not hit, f"{act} while {damage}"
            if act.do in ("power on", "heal"):
                assert act in repairs(damage)
            if act.do == "freeze":
                assert not damage.candidate
            damage = after(damage, act)
        # Who is cut off from whom, only the server can see.
        assert not (damage.candidate in ("underlay", "external") and damage.controller)
    assert damage == Damage()
    assert rounds <= len(steps) <= rounds + 2


@given(seeds)
def test_the_same_seed_walks_the_same_way_however_far(seed: int) -> None:
    assert list(islice(walk(seed, 40), 20)) == list(islice(walk(seed, 20), 20))


def test_every_failure_is_met_sooner_or_later() -> None:
    met = {(act.do, act.what) for step, _ in walk(1, 2000) for act in step.acts}
    assert {("cut", network) for network in acts.CUTTABLE} <= met
    assert {("kill", process) for process in ("agent", "switch", "server", "keepalived", "haproxy")} <= met
    assert {("power off", ""), ("freeze", ""), ("move", "")} <= met


def test_a_takeover_by_a_host_that_is_hit_at_the_same_time_may_take_longer() -> None:
    dead, killed = Act("power off", "active"), Act("kill", "standby", "switch")
    assert expected([dead]) == effects.TAKEOVER
    assert expected([dead, killed]).gap_ms == AT_ONCE_GAP_MS
    assert expected([killed, Act("kill", "standby", "agent")]).gap_ms == 0
