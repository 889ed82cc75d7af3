"""Two active hosts and lost uplinks, with a real database and agents that pretend."""

import re
import threading
import time
from typing import Any, Literal

import msgspec
import pytest
from sqlalchemy import select

from deuteron.placement import elections, planned, uplinks
from deuteron.plan.units import ContestReport, Election, ElectionReport, Report, UplinkReport
from deuteron.resources.hosts import incident
from tests.placement.cloud import Cloud
from tests.placement.steps import active, last_move, open_on, redundant_router, running


class Duel:
    """A router in whose election two hosts may be active; they say what they are told to say."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.router = redundant_router(cloud)
        self.network = next(one["id"] for one in cloud.list("networks") if not one["router:external"])
        cloud.until(lambda: all(len(agent.units(Election)) == 1 for agent in cloud.agents.values()))
        (self.id,) = cloud.agents["net1"].units(Election)
        self.first = str(active(cloud, self.router))
        self.second, self.third = (name for name in sorted(cloud.agents) if name != self.first)
        self.since = cloud.agents[self.first].states[self.id].since

    def report(self, host: str, **what: Any) -> None:
        agent = self.cloud.agents[host]
        self.cloud.reports.take(host, msgspec.structs.replace(agent.report, revision=agent.revision, **what))

    def say(
        self, host: str, state: Literal["active", "standby", "fault"], since: float, cause: str, **more: Any
    ) -> None:
        said = ElectionReport(id=self.id, state=state, since=since, cause=cause, **more)
        self.cloud.agents[host].states[self.id] = said
        self.report(host, elections=(said,))

    def plan(self, host: str) -> Election:
        """What the plan says of the election at a host, when all is in it that was written before a port."""
        agent = self.cloud.agents[host]
        bound = {"network_id": self.network, "binding:host_id": host}
        marker = self.cloud.create("ports", device_owner="compute:x", **bound)["id"]
        end = time.monotonic() + 100
        while f"port/{marker}" not in agent.plan:
            assert time.monotonic() < end
            if not agent.follow():
                time.sleep(0.005)
        return agent.units(Election)[self.id]

    def answer(self, host: str, reaches: int) -> None:
        asked = self.plan(host).contested
        assert asked
        self.report(host, contests=(ContestReport(id=self.id, contested=asked, reaches=reaches),))

    def incidents(self) -> list[Any]:
        found = select(incident).order_by(incident.c.began)
        return self.cloud.db.read_now(lambda tx: list(tx.execute(found)))

    def history(self) -> dict[str, Any]:
        return self.cloud.call(lambda call: planned.history_of(call, self.router))[0]


@pytest.fixture
def duel(three: Cloud) -> Duel:
    made = Duel(three)
    made.say(made.second, "active", made.since + 1, f"adverts of {made.first} stopped", gap_ms=61.0)
    return made


def test_the_one_promoted_last_stays_among_equals(duel: Duel) -> None:
    assert active(duel.cloud, duel.router) == duel.second
    assert duel.plan(duel.third).contested == 0
    assert duel.incidents() == [], "the first one may be dead"
    duel.answer(duel.second, 3)
    assert duel.incidents() == []
    duel.answer(duel.first, 3)
    wanted = duel.plan(duel.first)
    assert (wanted.yields_to, wanted.superseded) == (duel.second, duel.since)
    assert duel.plan(duel.second).yields_to == ""
    assert duel.plan(duel.second).overrules
    (one,) = duel.incidents()
    assert (one.hosts, one.stays, one.ended) == (sorted([duel.first, duel.second]), duel.second, None)
    assert one.routers == [duel.router]
    newest = duel.history()
    assert (
        newest["cause"] == f"adverts of {duel.first} stopped; it still reports: the heartbeat's path is cut"
    )
    assert newest["gap_ms"] == 61.0
    duel.say(duel.first, "fault", duel.since + 2, "it yields")
    (one,) = duel.incidents()
    assert one.ended >= one.began
    assert not duel.plan(duel.second).overrules
    assert duel.plan(duel.first).yields_to == duel.second, "until it hears the other one"
    duel.say(duel.first, "standby", duel.since + 3, "started")
    assert duel.plan(duel.first).yields_to == ""


def test_answers_at_the_same_moment_are_weighed_together(duel: Duel) -> None:
    asked = duel.plan(duel.first).contested
    assert duel.plan(duel.second).contested == asked
    start = threading.Barrier(2)

    def answer(host: str) -> None:
        start.wait(10)
        duel.report(host, contests=(ContestReport(id=duel.id, contested=asked, reaches=3),))

    threads = [threading.Thread(target=answer, args=(host,)) for host in (duel.first, duel.second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert duel.plan(duel.first).yields_to == duel.second
    assert duel.plan(duel.second).yields_to == ""


def test_the_one_who_is_cut_off_yields(duel: Duel) -> None:
    duel.answer(duel.first, 3)
    duel.answer(duel.second, 0)
    assert active(duel.cloud, duel.router) == duel.first
    assert duel.plan(duel.second).yields_to == duel.first
    assert duel.plan(duel.first).yields_to == ""
    expected = f"{duel.first} stays active: it reaches 3 hosts on the underlay, {duel.second} 0"
    assert duel.history()["cause"] == expected


@pytest.mark.parametrize("dead", [True, False])
def test_nobody_yields_to_one_that_is_gone(duel: Duel, dead: bool) -> None:
    duel.answer(duel.first, 3)
    duel.answer(duel.second, 3)
    duel.say(duel.first, "fault", duel.since + 2, "it yields")
    assert duel.plan(duel.first).yields_to
    if dead:
        duel.cloud.call(lambda call: elections.bury(call.tx, [duel.second], time.time()))
    else:
        duel.say(duel.second, "fault", duel.since + 3, "keepalived died")
    assert duel.plan(duel.first).yields_to == ""


def test_the_dead_are_called_dead(duel: Duel) -> None:
    duel.cloud.call(lambda call: elections.bury(call.tx, [duel.first], time.time()))
    first = duel.first
    expected = f"adverts of {first} stopped; nothing is heard of {first} at all: it is dead"
    assert duel.history()["cause"] == expected
    assert duel.incidents() == []


def test_what_vrrp_ended_by_itself_is_told_too(duel: Duel) -> None:
    cause = f"{duel.first} is active with a higher priority"
    duel.say(duel.second, "standby", duel.since + 2, cause, rival=duel.first)
    (one,) = duel.incidents()
    assert one.ended is not None
    assert one.stays == duel.first
    assert active(duel.cloud, duel.router) == duel.first


def say_uplinks(duel: Duel, **ok: bool) -> None:
    (external,) = (n["id"] for n in duel.cloud.list("networks") if n["router:external"])
    for name, answers in ok.items():
        said = UplinkReport(network=external, address="203.0.113.1", ok=answers, since=time.time() - 3)
        agent = duel.cloud.agents[name]
        agent.report = msgspec.structs.replace(agent.report, uplinks=(said,))


def test_a_router_leaves_a_lost_uplink_once(three: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplinks, "REST_SECONDS", 1000.0)
    duel = Duel(three)
    say_uplinks(duel, **{duel.first: False, duel.second: False, duel.third: True})
    three.until(lambda: active(three, duel.router) == duel.third and not running(three, duel.router))
    move = last_move(three, duel.router)
    silent = f"uplink of {duel.first} lost: 203.0.113.1 does not answer since"
    assert re.fullmatch(rf"{re.escape(silent)} \d+ s; it answers {duel.third}", move["reason"])
    assert move["phase"] == "done"
    say_uplinks(duel, **{duel.first: True, duel.second: True, duel.third: False})
    end = time.monotonic() + 3
    three.until(lambda: time.monotonic() > end)
    assert active(three, duel.router) == duel.third, "it rests"
    assert open_on(three, duel.router) == {duel.third}


def test_a_dead_next_hop_moves_nothing(three: Cloud) -> None:
    duel = Duel(three)
    say_uplinks(duel, net1=False, net2=False, net3=False)
    end = time.monotonic() + 3
    three.until(lambda: time.monotonic() > end)
    assert active(three, duel.router) == duel.first
    assert duel.cloud.call(lambda call: planned.moves_of(call, duel.router)) == []


def test_a_report_of_an_older_agent_is_understood() -> None:
    old = msgspec.json.encode({"started": 1.0, "roles": ["l3"], "vtep": "192.0.2.1"})
    assert msgspec.json.decode(old, type=Report).uplinks == ()
