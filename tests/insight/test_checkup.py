"""Each rule finds what it is for, and nothing else."""

from typing import Any

import msgspec
import pytest

from deuteron.findings import Finding
from deuteron.insight.checkup import check
from deuteron.insight.picture import Election, Host, Picture
from deuteron.settings import ServerSettings
from tests.insight.pictures import NOW, dead, host, network, picture, redundant, said, single

GOOD = ServerSettings(max_l3_agents_per_router=2)
TWO = [host("a", zone="east", vtep="192.0.2.1"), host("b", zone="west", vtep="192.0.2.2")]


def wrong(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in found if one.level != "ok"]


def of(shown: Picture | None = None, **settings: Any) -> list[tuple[str, str]]:
    return wrong(check(msgspec.structs.replace(GOOD, **settings), shown or picture(TWO)))


def test_a_good_cloud_has_nothing_to_mend_and_says_what_was_looked_at() -> None:
    found = check(GOOD, picture(TWO, redundant("r", "a", "b"), network("n", "a", "b")))
    assert wrong(found) == []
    assert {one.group for one in found} == {"settings", "hosts", "redundancy", "HA networks"}
    assert all(one.text for one in found)


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        ({"agent_down_time": 3.0}, "fail", "one lost report makes a dead host"),
        ({"ha_vrrp_advert_ms": 15}, "fail", "steps of 10 ms"),
        ({"ha_vrrp_advert_ms": 2000}, "warn", "that is slow"),
        ({"max_l3_agents_per_router": 1}, "fail", "has no standby"),
        ({"dhcp_agents_per_network": 1}, "warn", "one DHCP server a network"),
        ({"ha_candidate_replacement_delay": 1.0}, "warn", "known to be dead only after 10 s"),
        ({"listen": ("192.0.2.1:9696",)}, "warn", "whoever reaches 192.0.2.1:9696 may do everything"),
        ({"max_l3_agents_per_router": 3}, "warn", "2 hosts can carry routers"),
        (
            {"dhcp_agents_per_network": 3},
            "warn",
            "2 hosts (a, b) can serve DHCP, dhcp_agents_per_network = 3",
        ),
    ],
)
def test_settings_that_contradict(settings: dict[str, Any], level: str, words: str) -> None:
    found = of(**settings)
    assert len(found) == 1
    assert found[0][0] == level
    assert words in found[0][1]


@pytest.mark.parametrize(
    ("changed", "level", "words"),
    [
        (dead("b", zone="west"), "fail", "silent: b"),
        (host("b", zone="west", problems={"dhcp/n": "dnsmasq died"}), "fail", "b: dhcp/n: dnsmasq died"),
        (host("b", zone="west", version="9"), "warn", "different versions: ? on a; 9 on b"),
        (host("b", zone="west", vtep="192.0.2.1"), "fail", "a, b say that they have the same underlay"),
        (host("b", zone="east"), "warn", "all hosts are in zone east"),
    ],
)
def test_hosts(changed: Host, level: str, words: str) -> None:
    found = of(picture([TWO[0], changed]))
    assert len(found) == 1
    assert found[0][0] == level
    assert words in found[0][1]


def test_a_drained_host_is_not_forgotten() -> None:
    drained = host("c", zone="west", drain="drained")
    assert of(picture([*TWO, drained])) == [("warn", "drained, nothing is placed there: c")]


def test_no_host_at_all() -> None:
    assert ("fail", "no agent has ever reported") in of(picture([]))


def test_a_clock_that_is_ahead() -> None:
    shown = picture(TWO, redundant("r", "a", "b"))
    late = said(shown, "a/b", "b", since=NOW + 100, heard=NOW)
    assert of(late) == [("warn", "clocks are ahead of the server's: b by 100 s")]


def test_routers_that_are_not_redundant_and_copies_in_one_zone() -> None:
    three = [*TWO, host("c", zone="west", vtep="192.0.2.3")]
    things: list[Any] = [single("s", "a"), redundant("r", "b", "c"), network("n", "a", "b")]
    found = of(picture(three, *things, routers_on=2))
    assert found == [
        ("warn", "all copies in one zone: router r"),
        ("warn", "not redundant: s"),
    ]


def test_a_physical_network_that_one_host_alone_has() -> None:
    attached = [host("a", zone="east", physical_networks=frozenset({"ext"})), TWO[1]]
    one = redundant("r", "a", "b", attached=frozenset({"ext"}))
    assert ("warn", "physical network ext: attached to a alone") in of(picture(attached, one))


def test_what_is_degraded_or_broken_is_told() -> None:
    one = redundant("r", "a", "b", active=None)
    found = of(picture(TWO, one))
    assert found == [("fail", "router r: it is active nowhere")]


def test_vrids_that_run_out() -> None:
    elections = {
        str(number): Election(
            id=str(number), ha_network_id="h", vrid=number, candidates=["a", "b"], active="a"
        )
        for number in range(1, 230)
    }
    shown = msgspec.structs.replace(picture(TWO), elections=elections)
    assert of(shown) == [("warn", "nearly all VRIDs in use: h (229 of 254)")]
