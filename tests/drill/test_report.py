from deuteron.drill import report
from deuteron.drill.effects import TAKEOVER
from deuteron.drill.step import Outcome
from tests.drill.test_effects import flow, traffic

GOOD = Outcome(
    drill="power-cut-active",
    step="power off the active host",
    hosts=("net1",),
    effect=TAKEOVER,
    met=traffic(snat=flow(60)),
    settled_s=10.04,
    missed=(),
)
BAD = Outcome(
    drill="power-cut-active",
    step="power off the active host",
    hosts=("net2",),
    effect=TAKEOVER,
    met=traffic(snat=flow(300), survived=False),
    settled_s=None,
    missed=("SNAT: too long", "TCP by SNAT: the connection broke"),
    evidence={"status": None},
)


def test_a_line_says_what_was_expected_and_measured() -> None:
    assert report.line(GOOD) == (
        "power-cut-active: power off the active host (net1): expected gap <= 250 ms, TCP survives; measured"
        " gaps in ms SNAT 60, east-west 0, TCP 1 of 1, DHCP slowest 3 ms, metadata slowest 200 ms,"
        " settled in 10.0 s: kept"
    )
    first, *reasons = report.line(BAD).splitlines()
    assert first.endswith("MISSED")
    assert reasons == ["    SNAT: too long", "    TCP by SNAT: the connection broke"]


def test_the_table_has_a_row_for_each_step_with_median_and_worst() -> None:
    header, rule, row, summary = report.table([GOOD, BAD]).splitlines()
    assert header.split()[0] == "drill"
    assert set(rule) == {"-", " "}
    assert row.split()[-7:] == ["1", "180/300", "90/150", "1/2", "3/3", "200/200", "10.0/10.0"]
    assert summary.startswith("1 of 2 steps as expected")


def test_everything_is_in_the_document() -> None:
    document = report.document([GOOD, BAD], 7)
    assert document["seed"] == 7
    assert [step["kept"] for step in document["steps"]] == [True, False]
    assert document["steps"][0]["met"]["flows"]["SNAT"]["gap_ms"] == 60
    assert document["steps"][1]["evidence"] == {"status": None}
