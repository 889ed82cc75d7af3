"""A router becomes redundant, and plain again, while it is up: somebody forwards at every moment."""

from functools import partial
from typing import Any

import pytest

from deuteron.placement import moves, planned, service
from tests.placement.cloud import Cloud
from tests.placement.steps import (
    active,
    another,
    by_hand,
    last_move,
    open_on,
    redundant_router,
    routers_of,
    running,
    seen_until,
)


def kind(cloud: Cloud, router: str) -> set[str]:
    """How the gates of a router are decided."""
    return {unit.gate for unit in routers_of(cloud, router).values()}


def moves_of(cloud: Cloud, router: str) -> list[dict[str, Any]]:
    return cloud.call(lambda call: planned.moves_of(call, router))


def plain_router(cloud: Cloud) -> tuple[str, str]:
    router = str(cloud.create("routers", ha=False)["id"])
    cloud.until(lambda: open_on(cloud, router) and not running(cloud, router))
    (host,) = open_on(cloud, router)
    return router, host


def test_there_and_back_the_gate_of_the_active_host_stays_open(three: Cloud) -> None:
    router, host = plain_router(three)
    for redundant, size in ((True, 3), (False, 1), (True, 3)):
        three.update("routers", router, ha=redundant)

        def arrived(size: int = size, redundant: bool = redundant) -> bool:
            return len(routers_of(three, router)) == size and kind(three, router) == {
                "election" if redundant else "open"
            }

        seen = seen_until(three, router, arrived)
        assert all(host in one for one in seen), "its gate was closed meanwhile"
        three.until(lambda: open_on(three, router) == {host})
        assert active(three, router) == host
    phases = [step["phase"] for step in last_move(three, router)["steps"]]
    assert phases == ["requested", "build", "switch", "done"], "nobody is drained: it stays where it is"
    history = three.call(lambda call: planned.history_of(call, router))
    assert {one["to"] for one in history} == {host}, "it never went anywhere"


def test_a_plain_router_stays_where_it_was_active_last(three: Cloud) -> None:
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    first = str(active(three, router))
    three.agents[first].silent = True
    three.until(lambda: active(three, router) not in (None, first))
    second = str(active(three, router))
    three.agents[first].silent = False
    three.until(lambda: open_on(three, router) == {second})
    three.update("routers", router, ha=False)
    seen = seen_until(three, router, lambda: set(routers_of(three, router)) == {second})
    assert all(second in one for one in seen)


def test_a_conversion_whose_host_does_not_answer_goes_back_and_is_tried_again(
    three: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = moves.PATIENCE
    monkeypatch.setattr(moves, "PATIENCE", {"build": 0.3, "switch": 0.5})
    monkeypatch.setattr(service, "RETRY_SECONDS", 0.5)
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    host = str(active(three, router))
    for agent in three.agents.values():
        agent.silent = True
    three.update("routers", router, ha=False)
    three.until(lambda: any(one["phase"] == "failed" for one in moves_of(three, router)))
    (failed,) = [one for one in moves_of(three, router) if one["phase"] == "failed"][-1:]
    assert "did not open in time" in failed["detail"]
    monkeypatch.setattr(moves, "PATIENCE", patience)
    for agent in three.agents.values():
        agent.silent = False
    seen = seen_until(three, router, lambda: kind(three, router) == {"open"})
    assert all(host in one for one in seen)
    assert set(routers_of(three, router)) == {host}


def test_a_wish_for_several_hosts_leaves_a_plain_router_on_one(three: Cloud) -> None:
    three.agent("net4")
    router = redundant_router(three)
    host = str(active(three, router))
    spare = next(name for name in three.agents if name not in routers_of(three, router))
    by_hand(three, "add", "router", router, spare)
    seen_until(three, router, lambda: len(routers_of(three, router)) == 4)
    three.update("routers", router, ha=False)
    seen_until(three, router, lambda: len(routers_of(three, router)) == 1)
    assert open_on(three, router) == {host}


def test_the_mode_changes_again_before_the_way_there_has_begun(three: Cloud) -> None:
    router, host = plain_router(three)
    three.placement.stop()
    target = another(three, host)

    def confuse(ha: bool) -> None:
        three.call(lambda call: moves.request(call.tx, router, [target, host], "a test", 0.0))
        three.update("routers", router, ha=ha)

    confuse(False)
    loop = type(three.placement)(three.db, three.settings)
    loop.start()
    try:
        three.until(lambda: not running(three, router) and open_on(three, router) == {target})
        assert set(routers_of(three, router)) == {target}, "a plain router has one place"
    finally:
        loop.stop()


def test_a_router_that_moves_and_changes_its_mode_at_once(three: Cloud) -> None:
    router, host = plain_router(three)
    target = another(three, host)
    three.call(partial(planned.move, router_id=router, host=target))
    three.update("routers", router, ha=True)
    seen = seen_until(
        three, router, lambda: len(routers_of(three, router)) == 3 and kind(three, router) == {"election"}
    )
    assert all(seen)
    assert open_on(three, router) == {target}
