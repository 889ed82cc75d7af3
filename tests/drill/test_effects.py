import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.drill import effects
from deuteron.drill.acts import Act
from deuteron.drill.effects import Effect
from deuteron.drill.traffic import OVER, Connection, Flow, Met, Service, met
from deuteron.lab.modes import MODES

numbers = st.sampled_from([0.0, 50.0, 250.0, 8000.0])
some_effects = st.builds(
    Effect,
    gap_ms=numbers,
    outward_gap_ms=st.none() | numbers,
    after_ms=st.none() | numbers,
    connections_survive=st.booleans(),
    renewals_fail=st.booleans(),
    renewal_ms=numbers,
    metadata_ms=numbers,
)


def flow(gap_ms: float = 0.0, after_ms: float = 0.0) -> Flow:
    return Flow(lost=int(gap_ms / 2), gap_ms=gap_ms, after_ms=after_ms, gaps=[], late_ms=0.0)


def traffic(
    *,
    snat: Flow | None = None,
    east_west: Flow | None = None,
    survived: bool = True,
    failed: int = 0,
    silence_ms: float = 200.0,
) -> Met:
    return Met(
        flows={"SNAT": snat or flow(), "east-west": east_west or flow()},
        connections={
            "TCP by SNAT": Connection(survived=survived, stall_ms=10, error="" if survived else "RST")
        },
        services={
            "DHCP": Service(asked=9, failed=failed, slowest_ms=3, failures=["no answer"] * failed),
            "metadata": Service(asked=20, failed=0, slowest_ms=silence_ms, failures=[]),
        },
    )


def test_what_costs_nothing_misses_nothing() -> None:
    assert effects.misses(effects.NOTHING, traffic()) == []


def test_one_lost_datagram_is_a_miss_where_none_may_be_lost() -> None:
    (told,) = effects.misses(effects.NOTHING, traffic(snat=flow(2)))
    assert told == "SNAT: 1 lost, the longest gap 2 ms; nothing may be lost"
    assert effects.misses(effects.TAKEOVER, traffic(snat=flow(249))) == []
    assert effects.misses(effects.TAKEOVER, traffic(snat=flow(251)))


def test_a_lost_uplink_costs_only_what_crosses_it() -> None:
    assert effects.misses(effects.UPLINK, traffic(snat=flow(6000))) == []
    (told,) = effects.misses(effects.UPLINK, traffic(east_west=flow(6000)))
    assert told.startswith("east-west")


def test_a_thaw_is_held_to_a_bound_of_its_own() -> None:
    assert effects.misses(effects.FROZEN, traffic(snat=flow(200, after_ms=90))) == []
    assert effects.misses(effects.FROZEN, traffic(snat=flow(200, after_ms=150)))


def test_connections_renewals_and_metadata_are_judged() -> None:
    for bad, word in (
        (traffic(survived=False), "the connection broke: RST"),
        (traffic(failed=2), "2 of 9 renewals failed: no answer"),
        (traffic(silence_ms=1001), "no answer for 1001 ms"),
    ):
        (told,) = effects.misses(effects.NOTHING, bad)
        assert word in told


@given(some_effects, some_effects, st.sampled_from([0.0, 20.0, 200.0, 500.0, 9000.0]))
def test_what_each_allows_both_together_allow(one: Effect, other: Effect, gap: float) -> None:
    both = effects.worst([one, other])
    assert both == effects.worst([other, one])
    assert effects.worst([both, one]) == both
    found = traffic(snat=flow(gap, gap), east_west=flow(gap, gap), survived=False, failed=1, silence_ms=gap)
    for effect in (one, other):
        assert effects.misses(effect, found) or not effects.misses(both, found)


def test_results_of_the_probers_become_what_was_met() -> None:
    gaps = [{"at": 100.0, "packets": 20, "ms": 40.0}, {"at": 105.01, "packets": 5, "ms": 10.0}]
    udp = {"kind": "udp", "lost": 25, "longest_gap_ms": 40.0, "gaps": gaps, "own_delay_max_ms": 1.0}
    dhcp = {"kind": "dhcp", "asked": 3, "failed": 0, "slowest_ms": 1002.0, "failures": []}
    http = {"kind": "http", "asked": 3, "failed": 1, "longest_silence_ms": 400.0, "failures": ["status 500"]}
    tcp = {"kind": "tcp", "survived": True, "longest_stall_ms": 60.0, "error": ""}
    found = met({"SNAT": udp, "TCP": tcp, "DHCP": dhcp, "metadata": http}, last_act=105.0)
    assert found.flows["SNAT"].after_ms == 10.0
    assert (found.lost, found.gap_ms) == (25, 40.0)
    assert found.services["DHCP"].slowest_ms == 1002.0
    assert found.services["metadata"].failures == ["status 500"]


def test_without_standbys_a_lost_uplink_stops_what_goes_out_by_it_and_nothing_else() -> None:
    cut = [Act("cut", "active", "external")]
    for name in ("legacy", "dvr"):
        mode = MODES[name]
        effect = effects.of_all(cut, mode)
        assert effects.misses(effect, traffic(snat=flow(12000), survived=False), mode) == []
        assert effects.misses(effect, traffic(east_west=flow(2)), mode)
        assert "outward everything, inside 0 lost" in effects.describe(effect)
    local = Met(
        flows={"floating IP": flow(2)},
        connections={f"{OVER}floating IP": Connection(survived=False, stall_ms=0, error="RST")},
        services={},
    )
    assert effects.misses(effects.of_all(cut, MODES["legacy"]), local, MODES["legacy"]) == []
    assert len(effects.misses(effects.of_all(cut, MODES["dvr"]), local, MODES["dvr"])) == 2


def test_a_host_that_was_replaced_though_it_lived_closes_in_a_moment() -> None:
    heal = [Act("heal", "cut host", "management")]
    plain, redundant = effects.of_all(heal, MODES["legacy"]), effects.of_all(heal, MODES["ha"])
    assert effects.misses(plain, traffic(snat=flow(100)), MODES["legacy"]) == []
    assert effects.misses(plain, traffic(snat=flow(102)), MODES["legacy"])
    assert effects.misses(redundant, traffic(snat=flow(2)), MODES["ha"])


@pytest.mark.parametrize("act", [Act("power off", "active"), Act("cut", "active", "external")])
@pytest.mark.parametrize("mode", ["dvr", "dvr-ha"])
def test_what_goes_past_the_central_part_loses_nothing_with_it(act: Act, mode: str) -> None:
    effect = effects.of_all([act], MODES[mode])
    (told,) = effects.misses(effect, traffic(east_west=flow(2)), MODES[mode])
    assert told.startswith("east-west: 1 lost")


def test_who_asks_a_server_that_may_be_away_may_be_slow_as_well() -> None:
    both = effects.of_all([Act("power off", "active"), Act("power off", "standby")])
    slow = traffic(failed=1)
    slow.services["DHCP"] = msgspec.structs.replace(slow.services["DHCP"], slowest_ms=4005.0)
    assert effects.misses(both, slow) == []
    slow.services["DHCP"] = msgspec.structs.replace(slow.services["DHCP"], failed=0)
    assert effects.misses(both, slow)
