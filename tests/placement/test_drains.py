"""A host is emptied: routers go one by one without a gap, then DHCP; what cannot go is named."""

from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import select

from deuteron.placement import drains, moves, planned, service
from deuteron.resources import scheduling
from deuteron.resources.hosts import HostNotFound, event, router_move
from tests.placement.cloud import Cloud
from tests.placement.steps import (
    active,
    by_hand,
    dhcp_hosts,
    open_on,
    redundant_router,
    routers_of,
    running,
    seen_until,
)


def told(cloud: Cloud, *kinds: str) -> list[str]:
    """The texts of events of some kinds, oldest first."""
    query = select(event).where(event.c.kind.in_(kinds)).order_by(event.c.id)
    return cloud.db.read_now(lambda tx: [row.text for row in tx.execute(query)])


def drain(cloud: Cloud, host: str) -> None:
    cloud.call(partial(drains.begin, name=host))


def shown(cloud: Cloud, host: str) -> drains.Drain:
    return cloud.call(partial(drains.shown, name=host))


def settle(cloud: Cloud) -> None:
    cloud.until(lambda: not cloud.db.read_now(moves.all_running))


@pytest.fixture
def four(database_url: str, patient: None) -> Iterator[Cloud]:
    made = Cloud(database_url, ("net1", "net2", "net3", "net4"))
    yield made
    made.close()


def test_routers_and_dhcp_leave_one_by_one_and_the_host_is_safe(four: Cloud) -> None:
    redundant = [redundant_router(four)]
    inside = next(one for one in four.list("networks") if one["name"] == "net" and not one["router:external"])
    redundant += [four.create("routers", ha=True)["id"] for _ in range(3)]
    plain = [four.create("routers", ha=False)["id"] for _ in range(4)]
    four.until(lambda: all(open_on(four, id_) for id_ in redundant + plain))
    four.until(lambda: len(dhcp_hosts(four, inside["id"])) == 2)
    settle(four)
    host = str(active(four, redundant[0]))
    mine = [id_ for id_ in redundant + plain if host in routers_of(four, id_)]
    assert mine
    drain(four, host)
    most = 0
    closed: list[str] = []

    def empty() -> bool:
        nonlocal most
        most = max(most, len(four.db.read_now(moves.all_running)))
        closed.extend(id_ for id_ in mine if not open_on(four, id_))
        return shown(four, host).state == "drained"

    four.until(empty)
    assert most == 1, "one after the other"
    assert closed == [], "somebody forwards at any moment"
    assert shown(four, host).safe
    assert not any(host in routers_of(four, id_) for id_ in redundant + plain)
    assert all(len(routers_of(four, id_)) == 3 for id_ in redundant)
    assert host not in dhcp_hosts(four, inside["id"])
    four.until(lambda: told(four, "drain_done"))
    assert told(four, "drain_begun") == [f"{host} is to be empty"]
    purposes = four.db.read_now(lambda tx: set(tx.execute(select(router_move.c.purpose)).scalars()))
    assert purposes == {f"drain/{host}"}


def test_a_drained_host_gets_nothing_until_it_is_used_again(four: Cloud) -> None:
    drain(four, "net1")
    four.until(lambda: shown(four, "net1").state == "drained")
    router = redundant_router(four)
    four.until(lambda: len(routers_of(four, router)) == 3)
    assert "net1" not in routers_of(four, router)
    with pytest.raises(planned.HostCannotCarryRouter, match="empty"):
        four.call(partial(planned.move, router_id=router, host="net1"))
    with pytest.raises(scheduling.InvalidL3Agent, match="empty"):
        by_hand(four, "add", "router", router, "net1")
    before = set(routers_of(four, router))
    four.call(partial(drains.end, name="net1"))
    assert shown(four, "net1").state == "none"
    settle(four)
    assert set(routers_of(four, router)) == before, "it comes back when it is asked to, or needed"


def test_a_standby_that_nobody_replaces_stays_and_the_active_part_goes(three: Cloud) -> None:
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    host = str(active(three, router))
    drain(three, host)
    seen = seen_until(three, router, lambda: shown(three, host).state == "drained")
    assert all(seen)
    (now,) = open_on(three, router)
    assert now != host
    assert len(routers_of(three, router)) == 3
    (left,) = [one for one in shown(three, host).left if one.kind == "router"]
    assert (left.state, left.active) == ("stays", False)
    three.agent("net4")
    three.until(lambda: host not in routers_of(three, router))
    assert open_on(three, router) == {now}
    settle(three)
    assert len(routers_of(three, router)) == 3


def test_the_last_host_is_not_safe_and_says_why(cloud: Cloud) -> None:
    cloud.agent("net1")
    cloud.agent("net2", roles=("l2",))
    router = cloud.create("routers", ha=False, name="r1")["id"]
    network = cloud.network()["id"]
    cloud.until(lambda: open_on(cloud, router) and dhcp_hosts(cloud, network))
    drain(cloud, "net1")
    cloud.until(lambda: shown(cloud, "net1").state == "stuck")
    found = shown(cloud, "net1")
    assert not found.safe
    assert "router r1: there is no other host for it: net2 has not the role l3" in found.text
    assert "DHCP of network net: there is no other host" in found.text
    cloud.until(lambda: told(cloud, "drain_stuck"))
    assert open_on(cloud, router) == {"net1"}, "it goes on where it is"
    cloud.agent("net3")
    cloud.until(lambda: shown(cloud, "net1").safe)
    cloud.until(lambda: open_on(cloud, router) == {"net3"})
    cloud.until(lambda: "net3" in dhcp_hosts(cloud, network))
    left = [one for one in shown(cloud, "net1").left if one.kind == "network"]
    assert [one.state for one in left] == ["stays"], "two servers are wanted, and there is nobody instead"


def test_a_router_whose_move_fails_is_told_and_tried_again(
    three: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = moves.PATIENCE
    monkeypatch.setattr(moves, "PATIENCE", {**patience, "build": 0.3})
    monkeypatch.setattr(drains, "RETRY_SECONDS", 0.5)
    monkeypatch.setattr(service, "RETRY_SECONDS", 0.5)
    monkeypatch.setattr(service, "SWEEP_SECONDS", 0.3)
    router = three.create("routers", ha=False, name="r1")["id"]
    three.until(lambda: open_on(three, router))
    (host,) = open_on(three, router)
    others = [agent for name, agent in three.agents.items() if name != host]
    for agent in others:
        agent.silent = True
    drain(three, host)
    three.until(lambda: shown(three, host).state == "stuck")
    assert "its move failed" in shown(three, host).text
    assert open_on(three, router) == {host}
    monkeypatch.setattr(moves, "PATIENCE", patience)
    for agent in others:
        agent.silent = False
    three.until(lambda: shown(three, host).safe)
    assert open_on(three, router) != {host}
    assert not running(three, router)


def test_many_networks_leave_without_delay(three: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SWEEP_SECONDS", 1000.0)
    networks = [three.network(f"10.{number}.0.0/24")["id"] for number in range(8)]
    three.until(lambda: all(len(dhcp_hosts(three, id_)) == 2 for id_ in networks))
    mine = [id_ for id_ in networks if "net1" in dhcp_hosts(three, id_)]
    assert len(mine) > 3
    drain(three, "net1")
    three.until(lambda: shown(three, "net1").safe)  # one after the other, at once
    three.until(lambda: not any("net1" in dhcp_hosts(three, id_) for id_ in networks))


def test_hosts_are_emptied_at_once_and_what_was_wished_for_is_forgotten(four: Cloud) -> None:
    router = redundant_router(four)
    four.until(lambda: len(routers_of(four, router)) == 3)
    settle(four)
    first, second, third = routers_of(four, router)
    by_hand(four, "remove", "router", router, third)
    by_hand(four, "add", "router", router, third)
    settle(four)
    for host in (first, third):
        drain(four, host)
    four.until(lambda: shown(four, first).safe and shown(four, third).safe)
    assert open_on(four, router) <= {second, "net4"}
    assert active(four, router) not in (first, third)


def test_hosts_that_are_not_there(cloud: Cloud) -> None:
    for ask in (drains.begin, drains.end, drains.shown):
        with pytest.raises(HostNotFound, match="no host net9"):
            cloud.call(partial(ask, name="net9"))
