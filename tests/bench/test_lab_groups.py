import io

import pytest

from deuteron.bench import crash, move, rule, scale, steady, storm
from deuteron.bench.flows import Flow, flow, lateness
from deuteron.bench.labs import active_host
from deuteron.bench.restart import Restart
from deuteron.bench.transactions import Transaction, Transactions

UDP = {"lost": 35, "longest_gap_ms": 70.0, "own_delay_max_ms": 1.5}
TCP = {"survived": True, "longest_stall_ms": 210.0}


def test_a_flow_is_what_its_two_probes_met() -> None:
    assert flow(UDP, TCP) == Flow(35, 70.0, True, 210.0, 1.5)


def test_figures_of_power_cuts() -> None:
    rounds = [
        {"SNAT": Flow(35, 70, True, 210, 1), "floating IP": Flow(36, 72, True, 210, 1)},
        {"SNAT": Flow(45, 90, True, 210, 1), "floating IP": Flow(300, 600, False, 4000, 9)},
    ]
    found = {figure.name: figure for figure in crash.figures(rounds)}
    assert lateness(rounds) == "the latest of all probes was sent 9.0 ms too late"
    assert found["power cut: gap, SNAT"].samples == (70, 90)
    assert found["power cut: gap, SNAT"].verdict == "ok"
    assert found["power cut: TCP survived, SNAT"].verdict == "ok"
    assert found["power cut: gap, floating IP"].verdict == "missed"
    assert found["power cut: TCP survived, floating IP"].samples == (100, 0)
    assert found["power cut: TCP survived, floating IP"].verdict == "missed"


def test_one_lost_packet_in_one_move_misses_the_bound() -> None:
    moves = [
        move.Move(0.4, {"SNAT": Flow(0, 0, True, 12, 1), "floating IP": Flow(0, 0, True, 12, 1)}),
        move.Move(0.5, {"SNAT": Flow(0, 0, True, 12, 1), "floating IP": Flow(1, 2, True, 12, 1)}),
    ]
    found = {figure.name: figure for figure in move.figures(moves)}
    assert found["planned move: packets lost, SNAT"].verdict == "ok"
    assert found["planned move: packets lost, floating IP"].verdict == "missed"
    assert found["planned move: from the call to its end"].samples == (0.4, 0.5)


def test_one_failover_that_nothing_called_for_misses_the_bound() -> None:
    calm = {"SNAT": Flow(0, 0, True, 12, 1), "floating IP": Flow(3, 6, True, 12, 1)}
    found = {figure.name: figure for figure in steady.figures([calm, calm], [0.0, 1.0])}
    assert found["4 busy loops: failovers in a minute"].verdict == "missed"
    assert found["4 busy loops: packets lost in a minute, floating IP"].samples == (3, 3)
    assert found["4 busy loops: TCP survived, SNAT"].verdict == "ok"
    assert steady.figures([], [])[0].verdict == "not measured"


def test_nothing_was_run() -> None:
    assert crash.figures([]) == []
    assert move.figures([])[0].verdict == "not measured"


def test_memory_is_divided_by_the_routers_of_each_host() -> None:
    before = {"net1": {"python3": 50 << 20}, "net2": {"python3": 50 << 20}, "net3": {"python3": 1}}
    after = {
        "net1": {"python3": 60 << 20, "dnsmasq": 10 << 20},
        "net2": {"python3": 75 << 20},
        "net3": {"python3": 1},
    }
    found = scale.growth(before, after, {"net1": 10, "net2": 25, "net3": 0})
    assert found == [
        {"python3": pytest.approx(1), "dnsmasq": pytest.approx(1)},
        {"python3": pytest.approx(1)},
    ]


def test_figures_of_a_number_of_routers() -> None:
    found = scale.Found(
        200,
        [scale.Build(calls=30, last=40)],
        [{"python3": 0.5, "dnsmasq": 0.4}, {"python3": 1.5, "dnsmasq": 0.8}],
        [Restart(seconds=8, lost=0)],
    )
    verdicts = {
        figure.name.removeprefix("200 HA routers: "): figure.verdict for figure in scale.figures(found)
    }
    assert verdicts == {
        "first call to last forwarding": "",
        "the API calls of it": "",
        "memory of one on a host": "missed",
        "agent restart, until all applied": "ok",
        "agent restart, packets lost": "ok",
    }
    assert scale.notes(found) == [
        "200 HA routers: 200 ms for each; MiB of one by process: python3 1.00, dnsmasq 0.60"
    ]


def test_25_routers_have_a_bound_in_time() -> None:
    found = scale.Found(25, [scale.Build(4, 11)], [])
    assert scale.figures(found)[0].verdict == "missed"
    assert scale.notes(found) == []


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"net1": "active", "net2": "standby"}, "net1"),
        ({"net1": "active", "net2": "active"}, None),
        ({"net1": "standby"}, None),
        ({}, None),
    ],
)
def test_the_active_host_is_the_only_one(states: dict[str, str], expected: str | None) -> None:
    assert active_host(states) == expected


MONITORED = """\
delete rule inet deuteron_firewall in-one tcp dport 80 accept
add rule inet deuteron_firewall in-one tcp dport 81 accept
# new generation 5 by process 12 (nft)
add element bridge deuteron_gate standby { 7 }
# new generation 6 by process 13 (python3)
add element inet deuteron_firewall h4-one { 10.0.0.4 }
# new generation 7 by process 12 (nft)
"""


def test_only_commits_that_concern_the_firewall_count() -> None:
    transactions = Transactions(io.StringIO(MONITORED))
    transactions.run()
    first = transactions.after(0)
    assert first.objects == 2
    assert transactions.after(first.at).objects == 1


def test_figures_of_a_rule() -> None:
    found = rule.Found(1000, flow=Flow(1, 2, True, 12, 1))
    for what in (rule.ADDED, rule.REMOVED, rule.JOINED):
        found.changes[what], found.seconds[what] = [Transaction(3.5, 2)], [0.05]
    figures = {
        figure.name.removeprefix("1,000 ports of a group on a host: "): figure
        for figure in rule.figures(found)
    }
    assert figures["a rule added, until committed"].samples == (50,)
    assert figures["a rule removed, nft objects"].samples == (2,)
    assert figures["packets lost meanwhile"].verdict == "missed"
    assert figures["TCP survived"].verdict == "ok"
    assert {figure.verdict for figure in rule.figures(rule.Found(10))} == {"not measured"}


def test_figures_of_a_storm() -> None:
    storms = [storm.Storm(4, 9, {"hosts: python3": 6.0}), storm.Storm(4, 11, {})]
    assert [figure.samples for figure in storm.figures(storms)] == [(9, 11), (4, 4)]
    assert storm.notes(storms) == ["seconds of processor time: hosts: python3 3.0"]
    assert storm.notes([]) == []
