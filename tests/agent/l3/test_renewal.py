"""An open router is announced again when its plan says that another host may have been open until now."""

from dataclasses import replace
from pathlib import Path

import pytest

from deuteron.agent.l3.switch import announce, core, records
from deuteron.agent.l3.switch.core import Core
from deuteron.agent.l3.switch.loop import Loop
from deuteron.agent.l3.switch.records import Places, Port, Router

ROUTER = Router("r1", 7, "qrouter-r1", "open", ports=(Port("qr-1", "fa:16:3e:00:00:01", ("10.0.0.1",)),))


class Kernel:
    """The gate and the announcements of a kernel that does what it is told."""

    def __init__(self) -> None:
        self.standby: frozenset[int] = frozenset()
        self.announced: list[str] = []
        self.finished: list[str] = []

    def apply(self, standby: frozenset[int], _draining: frozenset[int]) -> None:
        self.standby = standby

    def announce(self, router: Router, _news: object) -> str:
        self.announced.append(router.id)
        return ""

    def finish(self, router_id: str) -> None:
        self.finished.append(router_id)


class Times(Loop):
    """Notes when it is to call something, and calls nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[float] = []

    def later(self, seconds: float, function: object) -> None:
        self.noted.append(seconds)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(core, "Gate", lambda: made)
    monkeypatch.setattr(core, "Announcer", lambda: made)
    return made


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(tmp_path)
    made.make()
    return made


def told(switch: Core, places: Places, router: Router) -> None:
    records.write(places.router(router.id), router)
    assert switch.load([router.id], []) == {}


def test_it_is_announced_again_until_the_other_one_has_closed(kernel: Kernel, places: Places) -> None:
    times = Times()
    switch = Core(places, times, lambda _news: None)
    told(switch, places, ROUTER)
    assert kernel.announced == []  # its gate was open
    told(switch, places, replace(ROUTER, renewed=1))
    assert kernel.announced == ["r1"]
    assert times.noted == list(announce.REPEATS_AFTER_RETURN)


@pytest.mark.parametrize("change", [{"gate": "closed"}, {"draining": True}])
def test_one_that_closes_or_leaves_is_not(kernel: Kernel, places: Places, change: dict[str, object]) -> None:
    switch = Core(places, Times(), lambda _news: None)
    told(switch, places, ROUTER)
    told(switch, places, replace(ROUTER, renewed=1, **change))  # type: ignore[arg-type]
    assert kernel.announced == []


def test_who_is_gone_is_not_announced_any_more(kernel: Kernel, places: Places) -> None:
    """What its announcements went by would hold its namespace, and be of no use to one of the same name."""
    switch = Core(places, Times(), lambda _news: None)
    told(switch, places, ROUTER)
    told(switch, places, replace(ROUTER, renewed=1))
    places.router("r1").unlink()
    assert switch.load(["r1"], []) == {}
    assert kernel.finished == ["r1"]
