"""What breaks when hosts stop: each case by hand, and what must hold of every cloud."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from deuteron.insight import health
from deuteron.insight.audit import TAKEOVER, Audit, audit
from deuteron.insight.picture import Candidate, Picture
from tests.insight.pictures import dead, host, network, picture, redundant, said, single

TWO = [host("a"), host("b")]
THREE = [host("a"), host("b"), host("c")]


def levels(found: Audit) -> list[tuple[str, str]]:
    return [(one.level, one.what) for one in found.findings]


def test_an_active_redundant_router_moves_and_says_how_fast() -> None:
    found = audit(picture(THREE, redundant("r", "a", "b", "c")), ["a"])
    assert found.ok
    assert levels(found) == [("OK", "router r")]
    assert found.findings[0].why == f"moves to b {TAKEOVER}; standing by: c"


def test_without_a_standby_afterwards_it_is_degraded() -> None:
    active = audit(picture(TWO, redundant("r", "a", "b")), ["a"])
    assert (active.ok, levels(active)) == (True, [("DEGRADED", "router r")])
    assert active.findings[0].why == f"moves to b {TAKEOVER}; no standby is left"
    standby = audit(picture(THREE, redundant("r", "a", "b")), ["b"])
    assert standby.findings[0].why == "stays on a; no standby is left"
    assert standby.findings[0].fix == "deuteron drain b"


def test_a_router_that_is_not_redundant_breaks_and_the_fix_names_it() -> None:
    found = audit(picture(TWO, single("billing", "a")), ["a"])
    assert not found.ok
    assert levels(found) == [("BROKEN", "router billing")]
    assert found.findings[0].why.startswith("not redundant, only on a: down for about 10 s until b has it")
    assert found.findings[0].fix == "deuteron move billing b, or for good: openstack router set --ha billing"
    nowhere = audit(picture([host("a")], single("billing", "a")), ["a"])
    assert nowhere.findings[0].why == "not redundant, only on a, and no other host can carry it"


def test_all_hosts_of_a_redundant_router_at_once_break_it() -> None:
    found = audit(picture(THREE, redundant("r", "a", "b")), ["a", "b"])
    assert (found.ok, found.findings[0].fix) == (False, "deuteron move r c")
    assert found.findings[0].why == "no other host carries it"


def test_a_standby_that_could_not_take_over_does_not_save_it() -> None:
    one = redundant("r", "a", "b")
    found = audit(picture([host("a"), dead("b")], one), ["a"])
    assert found.findings[0].why == "no standby could take over: b is silent"
    assert found.findings[0].fix == "bring b back first"
    unwell = said(picture(TWO, one), "a/b", "b", state="fault", cause="the switch is dead")
    assert audit(unwell, ["a"]).findings[0].why == "no standby could take over: b: the switch is dead"


def test_what_stops_elsewhere_is_not_mentioned() -> None:
    found = audit(picture(THREE, redundant("r", "a", "b"), single("l", "b"), network("n", "a", "b")), ["c"])
    assert (found.ok, found.findings) == (True, [])


def test_a_router_on_its_way_is_not_judged() -> None:
    found = audit(picture(TWO, redundant("r", "a", "b", moving_to="b")), ["a"])
    assert (found.findings[0].level, found.findings[0].why) == ("DEGRADED", "on the way to b")


def test_only_hosts_that_carry_it_are_to_be_left() -> None:
    found = audit(picture(THREE, network("n", "a"), network("m", "a")), ["a", "b"])
    assert [one.fix for one in found.findings] == ["deuteron drain a"]


def test_dhcp() -> None:
    three = network("three", "a", "b", "c")
    two = network("two", "a", "b")
    one = network("one", "a")
    found = audit(picture(THREE, three, two, one), ["a"])
    assert levels(found) == [("BROKEN", "network one"), ("DEGRADED", "network two"), ("OK", "network three")]
    assert found.findings[0].why == "no DHCP for about 10 s, until b serves it; leases that are given go on"
    assert found.findings[1].why == "DHCP from b for about 10 s, then also from another host"
    alone = audit(picture(TWO, two), ["a"])
    assert alone.findings[0].why == "DHCP from b alone, no other host can serve it"


def test_instances_stop_with_their_host_which_is_a_fact_and_breaks_no_redundancy() -> None:
    found = audit(picture(TWO, instance_ports={"a": 12, "b": 3}), ["a"])
    assert found.ok
    assert levels(found) == [("NOTE", "12 ports of instances")]


def test_a_host_that_is_silent_is_said_to_be() -> None:
    found = audit(picture([host("a"), dead("b")], redundant("r", "a", "b")), ["b"])
    assert levels(found) == [("DEGRADED", "router r"), ("NOTE", "b")]


def test_the_same_fate_is_told_once() -> None:
    found = audit(picture(THREE, *[single(f"r{number}", "a") for number in range(5)]), ["a"])
    assert levels(found) == [("BROKEN", "5 routers: r0, r1, r2 and 2 more")]
    assert found.findings[0].fix == "deuteron drain a"
    assert found.findings[0].names == ["r0", "r1", "r2", "r3", "r4"]


NAMES = ["a", "b", "c", "d"]


@st.composite
def clouds(draw: st.DrawFn) -> Picture:
    hosts = [
        host(
            name,
            alive=draw(st.booleans()),
            drain=draw(st.sampled_from(["", "", "drained"])),
            roles=draw(st.sampled_from([frozenset({"l2", "l3", "dhcp"}), frozenset({"l2"})])),
        )
        for name in NAMES
    ]
    things: list[Any] = []
    for number in range(draw(st.integers(0, 4))):
        places = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
        make = draw(st.sampled_from([redundant, single]))
        things.append(make(f"r{number}", *(places if make is redundant else places[:1])))
    for number in range(draw(st.integers(0, 3))):
        places = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
        things.append(network(f"n{number}", *places))
    return picture(hosts, *things)


stops = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)


@given(clouds(), stops)
def test_everything_on_a_stopping_host_is_judged_exactly_once(shown: Picture, stopping: list[str]) -> None:
    found = audit(shown, stopping)
    for kind, things in (("router", shown.routers), ("network", shown.networks)):
        told = [id_ for one in found.findings if one.kind == kind for id_ in one.ids]
        places = {
            one.id: [c.host for c in one.candidates] if hasattr(one, "candidates") else list(one.servers)
            for one in things
        }
        assert sorted(told) == sorted(id_ for id_, hosts in places.items() if set(hosts) & set(stopping))
    assert found.ok == all(one.level != "BROKEN" for one in found.findings)


@given(clouds(), stops)
def test_what_is_not_told_to_break_is_still_carried_by_somebody(shown: Picture, stopping: list[str]) -> None:
    """Take the hosts away, let standbys take over, and look."""
    found = audit(shown, stopping)
    broken = {id_ for one in found.findings if one.level == "BROKEN" for id_ in one.ids}
    fine = {id_ for one in found.findings if one.level == "OK" for id_ in one.ids}
    after = msgspec.structs.replace(
        shown,
        hosts={
            name: msgspec.structs.replace(one, alive=one.alive and name not in stopping)
            for name, one in shown.hosts.items()
        },
    )
    for router in shown.routers:
        concerned = {one.host for one in router.candidates} & set(stopping)
        active = next(one for one in router.candidates if one.host == router.active)
        well = [] if health.troubled(after, router, active) else [active]
        well += [Candidate(host=name) for name in health.standbys(after, router)]
        if concerned:
            assert (router.id in broken) == (not well)
            assert (router.id in fine) == (len(well) > 1)
    for one in shown.networks:
        if set(one.servers) & set(stopping):
            assert (one.id in broken) == (not health.of_network(after, one).standby)


@given(clouds(), stops, st.sampled_from(NAMES))
def test_stopping_more_never_breaks_less(shown: Picture, stopping: list[str], more: str) -> None:
    def broken(hosts: list[str]) -> set[str]:
        return {id_ for one in audit(shown, hosts).findings if one.level == "BROKEN" for id_ in one.ids}

    assert broken(stopping) <= broken([*stopping, more])
