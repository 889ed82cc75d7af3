import pytest

from deuteron.bench import crash, move, scale, steady
from deuteron.bench.flows import Flow, flow, lateness
from deuteron.bench.labs import active_host
from deuteron.bench.restart import Restart

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
