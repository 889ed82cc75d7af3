"""Whether a gate is open: for all routers, elections and histories."""

from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.l3.switch import decide
from deuteron.agent.l3.switch.records import Router, Standing

ELECTIONS = ("a", "b")
standings = st.dictionaries(
    st.sampled_from(ELECTIONS), st.sampled_from(["active", "standby", "fault"]), max_size=2
).map(lambda found: {id_: Standing(id_, state, 0.0, "because") for id_, state in found.items()})
routers = st.lists(
    st.builds(
        Router,
        id=st.uuids().map(str),
        number=st.integers(1, 9),
        netns=st.just("n"),
        gate=st.sampled_from(["election", "open", "closed"]),
        election=st.sampled_from([None, *ELECTIONS]),
        draining=st.booleans(),
    ),
    unique_by=lambda router: router.number,
)
numbers = st.frozensets(st.integers(1, 12))


@given(routers, standings, numbers)
def test_open_is_what_may_be_open(
    found: list[Router], known: dict[str, Standing], now: frozenset[int]
) -> None:
    after = decide.standby(found, known, now)
    for router in found:
        standing = known.get(router.election or "")
        is_open = router.number not in after
        if router.gate == "closed":
            assert not is_open
        elif router.gate == "open":
            assert is_open
        elif router.draining or standing is None:
            assert is_open == (router.number not in now)  # as it was
        else:
            assert is_open == (standing.state == "active")


@given(routers, standings, numbers)
def test_deciding_again_changes_nothing(
    found: list[Router], known: dict[str, Standing], now: frozenset[int]
) -> None:
    once = decide.standby(found, known, now)
    assert decide.standby(found, known, once) == once


@given(routers, standings, numbers, numbers)
def test_what_is_unknown_stays_closed(
    found: list[Router], known: dict[str, Standing], now: frozenset[int], gone: frozenset[int]
) -> None:
    mine = {router.number for router in found}
    after = decide.standby(found, known, now, gone - mine)
    assert after - mine == now - mine - gone


@given(routers, standings)
def test_a_decision_has_a_reason(found: list[Router], known: dict[str, Standing]) -> None:
    for router in found:
        verdict, reason = decide.gate(router, known.get(router.election or ""))
        assert verdict in (decide.OPEN, decide.CLOSED, decide.KEEP)
        assert reason


@given(routers, numbers)
def test_every_open_router_is_announced_again_once_a_minute(found: list[Router], now: frozenset[int]) -> None:
    seconds = range(7, 7 + decide.REMIND_SECONDS)
    announced = [router.id for second in seconds for router in decide.to_remind(found, now, second)]
    open_ones = [router.id for router in found if router.number not in now and not router.draining]
    assert sorted(announced) == sorted(open_ones)
