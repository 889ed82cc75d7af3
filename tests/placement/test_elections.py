"""Who is active, by what members say."""

from hypothesis import given
from hypothesis import strategies as st

from deuteron.placement.elections import Member, active_member, contest, verdict

members = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.builds(Member, state=st.sampled_from(["active", "standby", "fault"]), heard=st.integers(0, 5)),
)


@given(members, st.sampled_from([None, "a", "b", "c"]))
def test_the_last_claim_counts_and_silence_does_not(said: dict[str, Member], before: str | None) -> None:
    active = active_member(said, before)
    claiming = {name: member.heard for name, member in said.items() if member.state == "active"}
    if not claiming:
        assert active == before
    else:
        assert active is not None
        assert claiming[active] == max(claiming.values())
        if before in claiming and claiming[before] == max(claiming.values()):
            assert active == before, "no change without a reason"


claiming = st.builds(
    Member,
    state=st.sampled_from(["active", "standby", "fault"]),
    heard=st.integers(0, 5),
    contested=st.none() | st.integers(0, 5),
    reaches=st.integers(0, 3),
    yields_to=st.sampled_from([None, "a", "b", "c"]),
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), claiming))
def test_one_stays_of_those_that_answer(said: dict[str, Member]) -> None:
    asked = contest(said)
    found = {name for name, m in said.items() if m.state == "active" and m.contested == asked}
    decided = verdict(said)
    if not asked or len(found) < 2:
        assert decided is None
        return
    assert decided is not None
    assert {decided.stays, *decided.others} == found
    best = said[decided.stays]
    for other in decided.others:
        assert (best.reaches, best.heard) >= (said[other].reaches, said[other].heard)
        assert decided.stays in decided.reason


def test_the_one_who_is_cut_off_yields_even_if_it_was_promoted_last() -> None:
    said = {
        "a": Member(state="active", heard=1.0, contested=2.0, reaches=5),
        "b": Member(state="active", heard=2.0, contested=2.0, reaches=0),
    }
    decided = verdict(said)
    assert decided is not None
    assert (decided.stays, decided.others) == ("a", ("b",))
    assert decided.reason == "a stays active: it reaches 5 hosts on the underlay, b 0"


def test_who_yields_is_not_active() -> None:
    said = {
        "a": Member(state="active", heard=1.0),
        "b": Member(state="active", heard=2.0, yields_to="a"),
    }
    assert active_member(said, "b") == "a"
