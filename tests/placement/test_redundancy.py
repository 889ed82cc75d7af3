"""Who dies is told, what it costs too; and when redundancy is there again, and after how long."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from deuteron.placement import planned
from deuteron.resources.hosts import event, shortfall
from tests.placement.cloud import Cloud
from tests.placement.steps import (
    active,
    another,
    dhcp_hosts,
    open_on,
    redundant_router,
    routers_of,
    running,
    seen_until,
)
from tests.placement.world import World


@pytest.fixture
def short_lived(world: Callable[..., World]) -> World:
    """A host is dead after a second, and replaced after two more."""
    return world(agent_down_time=1.0, ha_candidate_replacement_delay=3.0)


def told(cloud: Cloud, *kinds: str) -> list[Any]:
    """Events of some kinds, oldest first."""
    query = select(event).where(event.c.kind.in_(kinds)).order_by(event.c.id)
    return cloud.db.read_now(lambda tx: list(tx.execute(query)))


def short(cloud: Cloud) -> set[tuple[str, str]]:
    query = select(shortfall.c.role, shortfall.c.object_id)
    return cloud.db.read_now(lambda tx: {(row.role, row.object_id) for row in tx.execute(query)})


def test_a_candidate_that_stays_dead_is_replaced_and_that_is_told(short_lived: World) -> None:
    cloud = short_lived
    for name in ("net1", "net2", "net3", "net4"):
        cloud.agent(name)
    router = redundant_router(cloud)
    cloud.until(lambda: not running(cloud, router))
    standby = next(name for name in sorted(routers_of(cloud, router)) if name != active(cloud, router))
    before = set(routers_of(cloud, router))
    (spare,) = set(cloud.agents) - before
    cloud.agents[standby].silent = True
    cloud.until(lambda: ("l3", router) in short(cloud))
    assert ("host", standby) in short(cloud)
    assert spare not in routers_of(cloud, router), "it may come back"
    (dead,) = told(cloud, "host_dead")
    assert (dead.host, dead.subject_kind) == (standby, "host")
    (lost,) = [one for one in told(cloud, "redundancy_lost") if one.subject_kind == "router"]
    assert lost.text == f"router on 2 of 3 hosts: {standby} is dead"
    seen_until(cloud, router, lambda: spare in routers_of(cloud, router))
    cloud.until(lambda: ("l3", router) not in short(cloud))
    (restored,) = [one for one in told(cloud, "redundancy_restored") if one.subject_kind == "router"]
    assert 3.0 < restored.data["seconds"] < 20
    assert restored.text.startswith("redundancy restored in ")
    assert standby not in restored.data["living"]
    cloud.agents[standby].silent = False
    cloud.until(lambda: told(cloud, "host_back"))
    cloud.until(lambda: standby not in routers_of(cloud, router))
    assert len(open_on(cloud, router)) == 1


def test_a_candidate_that_comes_back_in_time_keeps_its_place(short_lived: World) -> None:
    cloud = short_lived
    for name in ("net1", "net2", "net3", "net4"):
        cloud.agent(name)
    router = redundant_router(cloud)
    cloud.until(lambda: not running(cloud, router))
    before = set(routers_of(cloud, router))
    standby = next(name for name in sorted(before) if name != active(cloud, router))
    cloud.agents[standby].silent = True
    cloud.until(lambda: ("l3", router) in short(cloud))
    cloud.agents[standby].silent = False
    cloud.until(lambda: ("l3", router) not in short(cloud))
    assert set(routers_of(cloud, router)) == before
    assert len(told(cloud, "redundancy_restored")) == len(told(cloud, "redundancy_lost"))


def test_dhcp_and_plain_routers_are_replaced_at_once(short_lived: World) -> None:
    cloud = short_lived
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    router = cloud.create("routers", ha=False, name="r1")["id"]
    network = cloud.network()["id"]
    cloud.until(lambda: open_on(cloud, router) and len(dhcp_hosts(cloud, network)) == 2)
    (host,) = open_on(cloud, router)
    cloud.agents[host].silent = True
    cloud.until(lambda: open_on(cloud, router) - {host})
    cloud.until(lambda: told(cloud, "redundancy_restored"))
    cloud.until(lambda: short(cloud) == {("host", host)})
    lost = {one.subject_kind: one.text for one in told(cloud, "redundancy_lost")}
    assert lost["router"] == f"router on 0 of 1 hosts: {host} is dead"
    (successor,) = open_on(cloud, router) - {host}
    before = routers_of(cloud, router)[successor].renewed
    cloud.agents[host].silent = False
    cloud.until(lambda: open_on(cloud, router) == {successor}, 20)  # it does not come back by itself
    cloud.until(lambda: routers_of(cloud, router)[successor].renewed > before)
    cloud.until(lambda: short(cloud) == set())


def test_moves_and_promotions_are_told(three: Cloud) -> None:
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    first = str(active(three, router))
    target = another(three, first)
    three.call(partial(planned.move, router_id=router, host=target))
    three.until(lambda: told(three, "move_done"))
    (begun,) = told(three, "move_begun")
    assert begun.text == f"goes from {first} to {target}: asked for"
    (done,) = told(three, "move_done")
    assert done.text.startswith(f"went from {first} to {target} in ")
    three.until(lambda: open_on(three, router) == {target})
    three.agents[target].silent = True
    three.until(lambda: told(three, "promotion"))
    (promotion,) = told(three, "promotion")
    assert promotion.data["from"] == target
    assert promotion.data["routers"] == [router]
    assert promotion.text.startswith(f"{promotion.host} is active for 1 router, after {target}: ")


def test_a_new_router_and_a_small_cloud_are_no_loss(cloud: Cloud) -> None:
    cloud.agent("net1")
    router = redundant_router_of_one(cloud)
    cloud.agent("net2")
    cloud.until(lambda: len(routers_of(cloud, router)) == 2 and not running(cloud, router))
    assert told(cloud, "redundancy_lost", "redundancy_restored") == []


def redundant_router_of_one(cloud: Cloud) -> str:
    router = str(cloud.create("routers", ha=True)["id"])
    cloud.until(lambda: open_on(cloud, router))
    return router
