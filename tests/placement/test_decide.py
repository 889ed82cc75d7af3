"""Placement is sticky, spread, and never doubles."""

from hypothesis import given
from hypothesis import strategies as st

from deuteron.placement.decide import Candidate, Choice, Unfit, choose

NAMES = [f"net{i}" for i in range(6)]


def hosts(*names: str, zone: str = "nova", **loads: int) -> dict[str, Candidate]:
    return {name: Candidate(name=name, zone=zone, load=loads.get(name, 0)) for name in names}


fits = st.sets(st.sampled_from(NAMES)).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.builds(
                Candidate,
                name=st.just(name),
                zone=st.sampled_from(["a", "b"]),
                load=st.integers(0, 9),
                leads=st.integers(0, 9),
            )
            for name in names
        }
    )
)
lists = st.lists(st.sampled_from(NAMES), unique=True)


names = st.sets(st.sampled_from(NAMES))


@given(st.integers(1, 4), lists, fits, names, st.lists(st.sampled_from(["a", "b"])))
def test_whatever_the_cloud(
    wanted: int, current: list[str], fit: dict[str, Candidate], silent: set[str], zones: list[str]
) -> None:
    unfit = Unfit(silent=silent)
    choice = choose(wanted, current, fit, unfit, zones)
    assert len(set(choice.hosts)) == len(choice.hosts) <= wanted, (
        "never two on one host, never more than wanted"
    )
    assert len([h for h in choice.hosts if h in fit]) == min(wanted, len(fit)), "as many as there are"
    assert all(host in fit or (host in silent and host in current) for host in choice.hosts)
    kept = [host for host in current if host in fit][:wanted]
    assert [host for host in choice.hosts if host in kept] == kept, "sticky, and in order"
    assert not any(h in fit for h in choice.hosts) or choice.hosts[0] in fit, "a live one leads"
    assert choice.reason
    again = choose(wanted, choice.hosts, fit, unfit, zones)
    assert again.hosts == choice.hosts, "done is done"


@given(st.integers(1, 4), lists, fits, names, names, names)
def test_whatever_is_asked_for(
    wanted: int,
    current: list[str],
    fit: dict[str, Candidate],
    silent: set[str],
    asked: set[str],
    disabled: set[str],
) -> None:
    silent, disabled = silent - set(fit), disabled - set(fit) - silent
    unfit = Unfit(silent=silent, disabled=disabled)
    choice = choose(wanted, current, fit, unfit, (), asked)
    assert len(set(choice.hosts)) == len(choice.hosts)
    there = set(choice.hosts) & set(fit)
    assert there >= asked & set(fit), "what is asked for is there"
    assert len(there - asked) <= wanted
    assert len(there) >= min(wanted, len(fit)), "as many as there are"
    assert not set(choice.hosts) - set(current) or len(there) <= max(wanted, len(asked & set(fit)) + wanted)
    left = set(choice.hosts) - set(fit)
    assert left <= (silent | disabled) & set(current)
    assert not (left & disabled) or not fit, "disabled is left, if there is anybody else"
    if not fit:
        assert set(choice.hosts) >= disabled & set(current), "rather disabled than nobody"
    again = choose(wanted, choice.hosts, fit, unfit, (), asked)
    assert again.hosts == choice.hosts, "done is done"


@given(st.integers(1, 4), lists, fits, names, names, names)
def test_whatever_is_left_or_waited_for(
    wanted: int,
    current: list[str],
    fit: dict[str, Candidate],
    silent: set[str],
    leaving: set[str],
    waited_for: set[str],
) -> None:
    silent, leaving = silent - set(fit), leaving - set(fit)
    awaited = {name: Candidate(name=name, zone="a") for name in silent & waited_for & set(current)}
    choice = choose(wanted, current, fit, Unfit(silent=silent, awaited=awaited, leaving=leaving))
    assert len(set(choice.hosts)) == len(choice.hosts) <= wanted
    there = [host for host in choice.hosts if host in fit]
    assert list(choice.hosts[: len(there)]) == there, "those who are fit lead"
    served = bool(set(current) & set(fit))
    if served:
        dead = [host for host in current if host in awaited]
        room = max(0, wanted - len([host for host in current if host in fit]))
        assert len(set(choice.hosts) & set(dead)) == min(room, len(dead)), "who may come back keeps its place"
    else:
        assert len(there) == min(wanted, len(fit)), "with nobody left there is nothing to wait for"
    kept = set(choice.hosts) & leaving - silent
    assert kept <= set(current)
    assert not kept or set(fit) <= set(choice.hosts), "left, unless there is nobody else"
    again = choose(wanted, choice.hosts, fit, Unfit(silent=silent, awaited=awaited, leaving=leaving))
    assert set(again.hosts) == set(choice.hosts) or not served, "done is done"


def test_an_added_host_comes_on_top_and_counts() -> None:
    fit = hosts("net0", "net1", "net2", "net3")
    first = choose(2, ["net0", "net1"], fit, None, (), ["net3"])
    assert first == Choice(("net0", "net1", "net3"), "asked for: net3")
    del fit["net0"]
    then = choose(2, first.hosts, fit, None, (), ["net3"])
    assert then == Choice(("net1", "net3"), "not able or not wanted there: net0")
    del fit["net3"]
    assert choose(2, then.hosts, fit, None, (), ["net3"]).hosts == ("net1", "net2")


def test_a_disabled_host_is_left_when_there_is_another_one() -> None:
    assert choose(2, ["net0", "net1"], hosts("net1"), Unfit(disabled=["net0"])).hosts == ("net1",)
    assert choose(2, ["net0"], {}, Unfit(disabled=["net0"])).hosts == ("net0",)
    both = Unfit(silent=["net1"], disabled=["net0"])
    assert choose(2, ["net1", "net0"], {}, both).hosts == ("net0", "net1")


def test_a_host_that_is_left_keeps_what_nobody_else_can_carry() -> None:
    leaving = Unfit(leaving=["net0"])
    assert choose(2, ["net0", "net1"], hosts("net1", "net2"), leaving).hosts == ("net1", "net2")
    assert choose(2, ["net0", "net1"], hosts("net1"), leaving) == Choice(
        ("net1", "net0"), "leaving, but there is nobody instead: net0"
    )
    assert choose(1, ["net0"], {}, leaving).hosts == ("net0",)


def test_a_host_that_died_just_now_keeps_its_place_as_long_as_another_one_is_there() -> None:
    dead = Unfit(silent=["net0"], awaited=hosts("net0"))
    assert choose(2, ["net0", "net1"], hosts("net1", "net2"), dead).hosts == ("net1", "net0")
    assert choose(1, ["net0"], hosts("net1"), dead).hosts == ("net1",)


@given(st.integers(1, 3), st.integers(1, 60), st.integers(3, 6))
def test_spread_is_equal(wanted: int, count: int, size: int) -> None:
    load = dict.fromkeys(NAMES[:size], 0)
    leads = dict.fromkeys(NAMES[:size], 0)
    for _ in range(count):
        fit = {n: Candidate(name=n, zone="nova", load=load[n], leads=leads[n]) for n in NAMES[:size]}
        chosen = choose(wanted, (), fit).hosts
        leads[chosen[0]] += 1
        for name in chosen:
            load[name] += 1
    assert max(load.values()) - min(load.values()) <= 1
    assert max(leads.values()) - min(leads.values()) <= 1 + (wanted < size)


def test_a_silent_host_is_replaced_if_there_is_another_one() -> None:
    assert choose(2, ["net0", "net1"], hosts("net1", "net2"), Unfit(silent={"net0"})) == Choice(
        ("net1", "net2"), "silent: net0; carrying least: net2"
    )


def test_a_silent_host_keeps_its_place_if_there_is_no_other() -> None:
    assert choose(2, ["net1", "net0"], hosts("net1"), Unfit(silent={"net0"})) == Choice(
        ("net1", "net0"), "silent, but there is nobody instead: net0"
    )


def test_zones_that_are_asked_for_come_first_then_those_not_used() -> None:
    fit = hosts("a1", "a2", zone="a") | hosts("b1", zone="b", b1=9) | hosts("c1", zone="c")
    assert choose(2, (), fit, None, ["a", "b"]).hosts == ("a1", "b1")
    assert set(choose(3, (), fit).hosts) == {"a1", "b1", "c1"}


def test_nobody_there() -> None:
    assert choose(2, (), {}) == Choice((), "there is no host for it")
