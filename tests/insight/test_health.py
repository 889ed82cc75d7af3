"""How things are, and why: what a person is told who asks at night."""

from collections.abc import Sequence

from deuteron.insight.health import claims, of_network, of_router, standbys
from deuteron.insight.picture import Candidate, Member, Router, Uplink
from deuteron.insight.status import of_picture
from tests.insight.pictures import DIED, NOW, dead, host, network, picture, redundant, said, single

THREE = [host("a"), host("b"), host("c")]


def test_a_router_with_all_its_hosts_is_well() -> None:
    one = redundant("r", "a", "b", "c")
    found = of_router(picture(THREE, one), one)
    assert (found.level, found.why, found.standby) == ("OK", (), ["b", "c"])


def test_a_dead_standby_degrades_and_is_named_with_its_time() -> None:
    one = redundant("r", "a", "b", "c")
    found = of_router(picture([host("a"), dead("b"), host("c")], one), one)
    assert (found.level, found.standby) == ("DEGRADED", ["c"])
    assert [(why.text, why.since) for why in found.why] == [("b is silent", DIED)]


def test_an_active_host_that_is_silent_but_heard_by_a_standby_goes_on() -> None:
    one = redundant("r", "a", "b")
    found = of_router(picture([dead("a"), host("b")], one), one)
    assert found.level == "DEGRADED"
    assert found.why[0].text == "a is silent, but b still hears that it is active"


def test_nobody_left_is_broken() -> None:
    one = redundant("r", "a", "b")
    found = of_router(picture([dead("a"), dead("b")], one), one)
    assert (found.level, found.standby) == ("BROKEN", [])
    legacy = single("l", "a")
    assert of_router(picture([dead("a"), host("b")], legacy), legacy).level == "BROKEN"
    placed_nowhere = redundant("n", "a", candidates=[], active=None)
    assert of_router(picture(THREE), placed_nowhere).why[0].text == "no host carries it"


def test_a_standby_does_not_count_while_it_cannot_take_over() -> None:
    one = redundant("r", "a", "b")
    well = picture([host("a"), host("b")], one)
    assert standbys(well, one) == ["b"]
    assert standbys(said(well, "a/b", "b", state="fault", cause="the switch is dead"), one) == []
    assert standbys(said(well, "a/b", "b", yields_to="a"), one) == []
    for changed in (
        host("b", problems={"router/r": "no such device"}),
        host("b", problems={"election/a/b": "keepalived died"}),
        host("b", drain="drained"),
        host("b", disabled=frozenset({"l3"})),
    ):
        assert standbys(picture([host("a"), changed], one), one) == []
    unbuilt = [Candidate(host="a", election="a/b"), Candidate(host="b", election="a/b", built=False)]
    assert standbys(well, redundant("r", "a", "b", candidates=unbuilt)) == []


def test_a_standby_without_the_way_out_that_the_active_host_has_does_not_count() -> None:
    one = redundant("r", "a", "b", external="ext")

    def uplink(ok: bool, network_id: str = "ext") -> dict[str, Sequence[Uplink]]:
        return {"uplinks": [Uplink(network=network_id, address="203.0.113.1", ok=ok, since=DIED)]}

    found = of_router(picture([host("a", **uplink(True)), host("b", **uplink(False))], one), one)
    assert (found.level, found.standby) == ("DEGRADED", [])
    assert found.why[0].text == "b: the next hop 203.0.113.1 does not answer it"
    dead_everywhere = picture([host("a", **uplink(False)), host("b", **uplink(False))], one)
    assert standbys(dead_everywhere, one) == ["b"]
    other_network = [host("a", **uplink(True, "other")), host("b", **uplink(False, "other"))]
    assert standbys(picture(other_network, one), one) == ["b"]


def test_as_many_hosts_as_there_are_is_enough_but_one_is_not() -> None:
    one = redundant("r", "a", "b")
    assert of_router(picture([host("a"), host("b")], one), one).level == "OK"
    drained = [host("a"), host("b"), host("c", drain="drained")]
    assert of_router(picture(drained, one), one).level == "OK"
    alone = redundant("r", "a")
    found = of_router(picture([host("a")], alone), alone)
    assert (found.level, found.why[0].text) == ("DEGRADED", "there is no second host that can carry it")


def test_two_active_at_once_are_broken() -> None:
    one = redundant("r", "a", "b")
    shown = said(picture([host("a"), host("b")], one), "a/b", "b", state="active", heard=NOW - 1)
    found = of_router(shown, one)
    assert (found.level, found.why[0].text) == ("BROKEN", "active on a and on b at once")


def test_a_dead_host_that_was_active_is_no_second_one() -> None:
    a = Member(state="active", since=0, cause="", heard=100.0)
    b = Member(state="active", since=0, cause="", heard=200.0)
    assert claims({"a": a, "b": b}, {"a": 199.0, "b": 205.0}) == ["b"]
    assert claims({"a": a, "b": b}, {"a": 204.0, "b": 205.0}) == ["a", "b"]
    stood_down = Member(state="standby", since=0, cause="", heard=201.0)
    assert claims({"a": stood_down, "b": b}, {"a": 204.0, "b": 205.0}) == ["b"]
    assert claims({}, {}) == []


def test_dhcp_needs_servers_that_answer() -> None:
    one = network("n", "a", "b")
    assert of_network(picture(THREE, one), one).level == "OK"
    half = of_network(picture([host("a"), dead("b"), host("c")], one), one)
    assert (half.level, half.why[0].text, half.standby) == ("DEGRADED", "b is silent", ["a"])
    ill = host("a", problems={"dhcp/n": "dnsmasq died"})
    found = of_network(picture([ill, dead("b")], one), one)
    assert found.level == "BROKEN"
    assert [why.text for why in found.why] == ["a: dnsmasq died", "b is silent"]
    single_server = of_network(picture([host("a")], network("n", "a")), network("n", "a"))
    assert single_server.why[0].text == "1 of 2 DHCP servers"


def test_the_status_says_what_is_wrong_once_for_all_with_the_same_reason() -> None:
    routers = [redundant(f"r{number}", "a", "b") for number in range(5)]
    found = of_picture(picture([host("a"), dead("b")], *routers, network("n", "a", "b")))
    assert found.level == "DEGRADED"
    assert found.problems == [
        "b: silent, for 34 s",
        "network n: b is silent, for 34 s",
        "routers r0, r1, r2 and 2 more: b is silent, for 34 s",
    ]
    assert [one.level for one in found.routers] == ["DEGRADED"] * 5
    assert (found.hosts[0].active_routers, found.hosts[1].active_routers) == (5, 0)


def test_a_host_that_was_drained_and_switched_off_is_not_wrong() -> None:
    assert of_picture(picture([host("a"), dead("b", drain="drained")])).wrong == []
    assert of_picture(picture([host("a"), dead("b", drain="draining")])).level == "DEGRADED"


def test_a_problem_has_the_time_when_it_was_told_first() -> None:
    since = {"router/r": DIED, "port/p": DIED}
    ill = host("b", problems={"router/r": "no such device", "port/p": "no tap"}, problems_since=since)
    found = of_picture(picture([host("a"), ill], redundant("r", "a", "b")))
    assert found.problems == [
        "b: port/p: no tap, for 34 s",
        "router r: b: no such device, for 34 s",
    ]


def test_a_distributed_router_needs_no_central_part_without_a_gateway() -> None:
    one = Router(id="d", name="d", ha=False, distributed=True, central=False)
    assert of_router(picture(THREE), one).level == "OK"
    with_gateway = Router(id="d", name="d", ha=False, distributed=True)
    assert of_router(picture(THREE), with_gateway).why[0].text == "no host carries it"


def test_instances_where_a_distributed_router_cannot_be_are_named() -> None:
    hosts = [host("a", agent_mode="dvr_snat"), host("b"), host("c", roles=frozenset({"l2"}))]
    one = single("d", "a", distributed=True, unrouted=["b", "c", "x"])
    found = of_router(picture(hosts, one), one)
    assert (found.level, [why.text for why in found.why]) == (
        "DEGRADED",
        ["instances are not routed on b (agent_mode legacy), c (without the role l3), x (it has no agent)"],
    )


def test_the_standbys_of_a_distributed_router_are_hosts_that_do_snat() -> None:
    hosts = [host("a", agent_mode="dvr_snat"), host("b"), host("c", agent_mode="dvr")]
    one = single("d", "a", ha=True, distributed=True)
    assert of_router(picture(hosts, one), one).why[0].text == "there is no second host that can carry it"
