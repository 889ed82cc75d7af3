"""ok-to-stop, status and history as people and scripts see them."""

import json
from pathlib import Path

import pytest

from deuteron.insight import status
from tests.cli.conftest import Command
from tests.placement.cloud import Cloud


def build(cloud: Cloud) -> dict[str, str]:
    """Two network hosts, a redundant router and one that is not, a network with two DHCP servers."""
    for name in ("net1", "net2"):
        cloud.agent(name)
    made = {"net": cloud.network()["id"]}
    made["r1"] = cloud.create("routers", name="r1", ha=True)["id"]
    made["billing"] = cloud.create("routers", name="billing", ha=False)["id"]
    cloud.until(lambda: is_well(cloud))
    return made


def is_well(cloud: Cloud) -> bool:
    """Whether everything is there and well."""
    found = cloud.call(status.of_all)
    count = len(found.routers) + len(found.networks)
    return count == 3 and found.level == "OK"


def die(cloud: Cloud, name: str) -> None:
    """Let an agent fall silent until the server knows."""
    cloud.agents[name].silent = True
    cloud.until(lambda: any(not one.alive for one in cloud.call(status.of_all).hosts))


def test_all_is_well(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    said = deuteron("status")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("all is well: 2 hosts, 2 routers, DHCP on 1 network\n")
    assert all(len(line) <= 80 for line in said.out.splitlines())
    assert [line.split()[0] for line in said.out.splitlines() if line] == [
        "all", "HOST", "net1", "net2", "ROUTER", "billing", "r1",
    ]  # fmt: skip


def test_what_is_wrong_is_said_first_with_its_time(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    die(cloud, "net2")
    said = deuteron("status")
    assert said.status == 1
    assert said.out.startswith("WRONG NOW  FOR")
    assert "net2: silent" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines())
    answer = json.loads(deuteron("status", "--json").out)
    assert answer["level"] in ("DEGRADED", "BROKEN")
    assert {"net2: silent"} <= {line.partition(", for")[0] for line in answer["problems"]}


def test_ok_to_stop(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    states = {one["name"]: one["active"] for one in json.loads(deuteron("status", "--json").out)["routers"]}
    carrying, other = states["billing"], "net1" if states["billing"] == "net2" else "net2"
    bad = deuteron("ok-to-stop", carrying)
    assert bad.status == 1
    assert "BROKEN    router billing: not redundant" in bad.out
    assert "deuteron move billing" in bad.out
    assert bad.out.rstrip().endswith("NOT ok to stop: 1 thing would break")
    good = deuteron("ok-to-stop", other)
    assert good.status == 0
    assert "DEGRADED  router r1" in good.out
    assert good.out.rstrip().endswith("ok to stop: nothing breaks")
    both = json.loads(deuteron("ok-to-stop", "--json", "net1", "net2").out)
    assert not both["ok"]
    assert {name for one in both["findings"] if one["level"] == "BROKEN" for name in one["names"]} == {
        "r1", "billing", "net",
    }  # fmt: skip


def test_what_cannot_be_told_ends_with_two(cloud: Cloud, deuteron: Command, nowhere: Command) -> None:
    cloud.agent("net1")
    said = deuteron("ok-to-stop", "net9")
    assert (said.status, said.out) == (2, "")
    assert said.err == ("deuteron ok-to-stop: cannot tell: There is no host net9 (there are: net1).\n")
    for words in (["status"], ["ok-to-stop", "net1"], ["history", "r1"]):
        said = nowhere(*words)
        assert said.status == 2
        assert "http://127.0.0.1:1 does not answer" in said.err
    assert deuteron("history", "r9").err == "deuteron history: there is no router r9\n"


def test_history_says_from_where_to_where_and_why(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    said = deuteron("history", "r1")
    lines = said.out.splitlines()
    assert (said.status, lines[0].split()) == (0, ["EPOCH", "FROM", "->", "TO", "WHEN", "GAP", "WHY"])
    assert lines[1].split()[:4] in (["1", "-", "->", "net1"], ["1", "-", "->", "net2"])
    assert json.loads(deuteron("history", "--json", "r1").out)[0]["from"] is None


@pytest.mark.parametrize("piped", [True, False])
def test_nothing_is_cut_where_nobody_reads_columns(
    cloud: Cloud, deuteron: Command, monkeypatch: pytest.MonkeyPatch, piped: bool
) -> None:
    build(cloud)
    cloud.create("routers", name="x" * 200, ha=False)
    if piped:
        monkeypatch.delenv("COLUMNS")
    out = deuteron("status").out
    assert "x" * 200 in out


def test_events_are_told_in_words_or_as_json(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    die(cloud, "net2")
    cloud.until(lambda: "host dead" in deuteron("events").out)
    said = deuteron("events")
    assert said.status == 0
    assert all(len(line) <= 80 for line in said.out.splitlines())
    told = [json.loads(line) for line in deuteron("events", "--json").out.splitlines()]
    assert [one["id"] for one in told] == sorted(one["id"] for one in told)
    assert "net2" in [one["subject_name"] for one in told if one["kind"] == "host_dead"]
    first = told[0]["id"]
    later = deuteron("events", "--json", "--since", str(first)).out.splitlines()
    assert [json.loads(line)["id"] for line in later][: len(told) - 1] == [one["id"] for one in told[1:]]


def test_the_heartbeat_is_explained(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    said = deuteron("explain", "heartbeat", "r1")
    assert said.status == 0
    for words in (
        "every 20 ms",
        "VXLAN",
        "qha-",
        "192.0.2.1",
        "169.254.",
        "64 ms after",
        "Shared fate",
        "Second",
    ):
        assert words in said.out
    answer = json.loads(deuteron("explain", "heartbeat", "--json", "r1").out)
    speakers = answer["heartbeat"]["speakers"]
    assert sorted(one["state"] for one in speakers) == ["active", "standby"]
    assert [one["priority"] for one in speakers] == [250, 200]
    assert answer["active"] == next(one["host"] for one in speakers if one["state"] == "active")


def test_a_router_that_is_not_redundant_has_no_heartbeat(cloud: Cloud, deuteron: Command) -> None:
    build(cloud)
    said = deuteron("explain", "heartbeat", "billing")
    assert said.status == 1
    assert "openstack router set --ha billing" in said.out


def test_check_says_what_must_be_mended(cloud: Cloud, deuteron: Command, tmp_path: Path) -> None:
    build(cloud)
    empty = tmp_path / "deuteron.toml"
    empty.write_text("[server]\n")
    said = deuteron("check", "--config", str(empty))
    assert said.status == 0, said.out
    assert "[warn] not redundant: billing" in said.out
    assert "this host" not in said.out, "no agent is to run here"
    die(cloud, "net2")
    said = deuteron("check", "--config", str(empty))
    assert said.status == 1
    assert "[FAIL] silent: net2" in said.out
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_check_of_this_host_alone(nowhere: Command, tmp_path: Path) -> None:
    wrong = tmp_path / "deuteron.toml"
    wrong.write_text('[agent]\nlocal_ip = "nowhere"\n')
    said = nowhere("check", "--host-only", "--config", str(wrong), "--json")
    assert said.status == 1
    assert [one["level"] for one in json.loads(said.out)] == ["fail"]
    wrong.write_text("[agent]\ncolour = 1\n")
    said = nowhere("check", "--config", str(wrong))
    assert said.status == 2, "the server is away"
    assert "[agent] colour: there is no such option" in said.out.replace("\n         ", " ")
