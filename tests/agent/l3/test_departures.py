"""A router that is to go is closed at once."""

from dataclasses import replace
from pathlib import Path

import pytest

from deuteron.agent.context import Context
from deuteron.agent.l3.departures import Departures
from deuteron.agent.l3.switch import client, records
from deuteron.agent.l3.switch.records import Places
from deuteron.agent.status import Status
from deuteron.agent.system.daemons import Daemons
from deuteron.plan import units

RECORD = records.Router("r1", 7, "qrouter-r1", "election", "e1", draining=True)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    found = Places(tmp_path)
    found.make()
    for id_ in ("r1", "r2"):
        records.write(found.router(id_), replace(RECORD, id=id_))
    monkeypatch.setattr(client, "load", lambda _places, routers: dict.fromkeys(routers, "loaded"))
    return found


@pytest.fixture
def departures(places: Places, tmp_path: Path) -> Departures:
    context = Context("h", "192.0.2.1", {}, tmp_path, tmp_path, Daemons(tmp_path), Status())
    made = Departures(context)
    made.put(units.Router(id="r1", number=7))
    return made


def gate(places: Places, id_: str) -> str:
    record = records.read(places.router(id_), records.Router)
    assert record is not None
    return record.gate


def test_what_an_agent_before_left_is_closed(departures: Departures, places: Places) -> None:
    assert departures.apply() == {"router/r2": "loaded"}
    assert (gate(places, "r1"), gate(places, "r2")) == ("election", "closed")
    assert departures.apply() == {}


def test_it_rides_on_no_election_any_more(departures: Departures, places: Places) -> None:
    departures.apply()
    departures.delete("router/r1")
    assert departures.apply() == {"router/r1": "loaded"}
    shut = records.read(places.router("r1"), records.Router)
    assert shut == replace(RECORD, gate="closed", election=None, draining=False)


def test_one_that_comes_back_stays_as_it_is(departures: Departures, places: Places) -> None:
    departures.delete("router/r1")
    departures.put(units.Router(id="r1", number=7))
    departures.apply()
    assert gate(places, "r1") == "election"


def test_a_distributed_part_that_goes_leaves_the_central_one_open(
    departures: Departures, places: Places
) -> None:
    departures.apply()
    departures.delete("distributedrouter/r1")
    assert departures.apply() == {}
    assert gate(places, "r1") == "election"


def test_a_switch_that_does_not_answer_is_asked_again(
    departures: Departures, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_places: Places, routers: list[str]) -> dict[str, str]:
        raise client.SwitchError("no switch answers")

    with monkeypatch.context() as during:
        during.setattr(client, "load", silent)
        assert departures.apply() == {"router/r2": "its gate is not closed: no switch answers"}
    assert departures.apply() == {"router/r2": "loaded"}
