"""Whether a router leaves a host whose way out is silent: only for one that is better off."""

from hypothesis import given
from hypothesis import strategies as st

from deuteron.placement.uplinks import REST_SECONDS, Answers, Facts, decide
from deuteron.plan.units import UplinkReport

FOUR, SIX = ("ext", "203.0.113.1"), ("ext", "2001:db8::1")
HOSTS = ["net1", "net2", "net3"]
NOW = 1000.0


def said(**hosts: dict[tuple[str, str], bool]) -> Answers:
    return {
        name: {w: UplinkReport(network=w[0], address=w[1], ok=ok, since=NOW - 3) for w, ok in ways.items()}
        for name, ways in hosts.items()
    }


def router(ways: set[tuple[str, str]], moved: float | None = None) -> Facts:
    return Facts(active="net1", candidates=HOSTS, ways=frozenset(ways), moved=moved)


def test_it_goes_where_it_is_answered_and_says_why() -> None:
    decision = decide(router({FOUR}), said(net1={FOUR: False}, net2={FOUR: True}), NOW)
    assert decision.target == "net2"
    assert decision.reason == ("uplink of net1 lost: 203.0.113.1 does not answer since 3 s; it answers net2")


def test_nothing_moves_when_the_next_hop_is_dead() -> None:
    everywhere = said(net1={FOUR: False}, net2={FOUR: False}, net3={FOUR: False})
    assert decide(router({FOUR}), everywhere, NOW).target is None


def test_silence_about_a_next_hop_is_no_answer() -> None:
    assert decide(router({FOUR}), said(net1={FOUR: False}), NOW).target is None
    assert decide(router({FOUR}), said(net2={FOUR: True}), NOW).target is None


def test_it_rests_after_a_move() -> None:
    answers = said(net1={FOUR: False}, net2={FOUR: True})
    assert decide(router({FOUR}, NOW - REST_SECONDS + 1), answers, NOW).target is None
    assert decide(router({FOUR}, NOW - REST_SECONDS), answers, NOW).target == "net2"


def test_one_family_is_not_given_for_the_other() -> None:
    answers = said(net1={FOUR: False, SIX: True}, net2={FOUR: True, SIX: False}, net3={FOUR: True, SIX: True})
    assert decide(router({FOUR, SIX}), answers, NOW).target == "net3"


ways = st.dictionaries(st.sampled_from([FOUR, SIX]), st.booleans())


@given(st.dictionaries(st.sampled_from(HOSTS), ways), st.sets(st.sampled_from([FOUR, SIX])))
def test_a_move_makes_it_better_and_never_comes_back(
    health: dict[str, dict[tuple[str, str], bool]], needed: set[tuple[str, str]]
) -> None:
    answers = said(**health)
    decision = decide(router(needed), answers, NOW)
    if decision.target is None:
        return

    def lost(name: str) -> set[tuple[str, str]]:
        return {way for way in needed if not health.get(name, {}).get(way, True)}

    def well(name: str) -> set[tuple[str, str]]:
        return {way for way in needed if health.get(name, {}).get(way, False)}

    assert lost(decision.target) < lost("net1")
    assert well(decision.target) & lost("net1")
    back = Facts(active=decision.target, candidates=HOSTS, ways=frozenset(needed))
    assert decide(back, answers, NOW).target != "net1"
