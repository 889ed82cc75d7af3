"""Who is active, by what members say; and when two of them are an incident."""

from hypothesis import given
from hypothesis import strategies as st

from deuteron.placement.elections import Member, active_member
from deuteron.placement.status import claims

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


def test_a_dead_host_that_was_active_is_no_second_one() -> None:
    said = {"a": {"state": "active", "heard": 100.0}, "b": {"state": "active", "heard": 200.0}}
    assert claims(said, {"a": 199.0, "b": 205.0}) == ["b"]
    assert claims(said, {"a": 204.0, "b": 205.0}) == ["a", "b"]
    assert claims(said | {"a": {"state": "standby", "heard": 201.0}}, {"a": 204.0, "b": 205.0}) == ["b"]
    assert claims({}, {}) == []
