"""The placement loop with a real database and agents that pretend."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import Table

from deuteron.placement import moves, planned
from deuteron.placement.service import Placement
from deuteron.plan.units import Dhcp, Election, Lease, Remote, Router
from deuteron.resources import hosts, scheduling
from deuteron.resources.call import Call
from tests.placement.cloud import Cloud
from tests.placement.steps import (
    active,
    another,
    by_hand,
    dhcp_hosts,
    last_move,
    move,
    open_on,
    redundant_router,
    routers_of,
    seen_until,
    set_agent,
)
from tests.placement.world import World


def test_a_network_gets_two_dhcp_servers_on_different_hosts(cloud: Cloud) -> None:
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    network = cloud.network()["id"]
    cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 2)
    hosts = dhcp_hosts(cloud, network)
    port = cloud.create("ports", network_id=network, device_owner="compute:nova")
    cloud.until(lambda: all(port["id"] in cloud.agents[name].units(Lease) for name in hosts))
    units = [cloud.agents[name].units(Dhcp)[network] for name in hosts]
    assert units[0].addresses != units[1].addresses


def test_a_ports_dhcp_options_reach_all_servers_and_null_is_none(cloud: Cloud) -> None:
    for name in ("net1", "net2"):
        cloud.agent(name)
    network = cloud.network()["id"]
    given: list[dict[str, Any]] = [
        {"opt_name": "server-ip-address", "opt_value": "192.0.2.1"},
        {"opt_name": "bootfile-name", "opt_value": "x", "ip_version": 4},
        {"opt_name": "bootfile-url", "opt_value": "http://x", "ip_version": "6"},
        {"opt_name": "mtu", "opt_value": None},
    ]
    port = cloud.create("ports", network_id=network, extra_dhcp_opts=given)["id"]

    def told() -> list[tuple[tuple[int, str, str], ...]]:
        leases = [agent.units(Lease).get(port) for agent in cloud.agents.values()]
        return [lease.options for lease in leases if lease]

    both = ((4, "bootfile-name", "x"), (4, "server-ip-address", "192.0.2.1"), (6, "bootfile-url", "http://x"))
    cloud.until(lambda: told() == [both, both])
    gone = [
        {"opt_name": one["opt_name"], "opt_value": None, "ip_version": n} for one in given for n in (4, 6)
    ]
    cloud.update("ports", port, extra_dhcp_opts=gone)
    cloud.until(lambda: told() == [(), ()])


def test_without_resolvers_of_its_own_a_subnet_has_all_its_dhcp_servers(cloud: Cloud) -> None:
    for name in ("net1", "net2"):
        cloud.agent(name)
    network = cloud.network()["id"]
    cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 2)

    def told() -> set[tuple[str, ...]]:
        units = [agent.units(Dhcp)[network] for agent in cloud.agents.values()]
        return {subnet.dns_nameservers for unit in units for subnet in unit.subnets}

    own = {
        address.partition("/")[0]
        for a in cloud.agents.values()
        for address in a.units(Dhcp)[network].addresses
    }
    assert len(own) == 2
    cloud.until(lambda: len(told()) == 1 and set(*told()) == own)


def test_a_redundant_router_is_built_on_three_hosts_and_active_on_the_first(three: Cloud) -> None:
    router = redundant_router(three)
    units = three.until(lambda: [u for u in routers_of(three, router).values() if u.gateway and u.interfaces])
    three.until(lambda: all(len(agent.units(Election)) == 1 for agent in three.agents.values()))
    assert len(open_on(three, router)) == 1
    assert {len(unit.twins) for unit in units} == {2}
    assert {unit.nexthops for unit in units} == {("203.0.113.1",)}
    elections = [agent.units(Election) for agent in three.agents.values()]
    assert len({tuple(found) for found in elections}) == 1, "one election for all"
    priorities = sorted(unit.priority for found in elections for unit in found.values())
    assert priorities == [150, 200, 250]
    assert {len(unit.peers) for found in elections for unit in found.values()} == {2}


def test_routers_share_elections_and_are_spread(three: Cloud) -> None:
    made = [three.create("routers", ha=True)["id"] for _ in range(6)]
    three.until(lambda: all(active(three, id_) for id_ in made))
    hosts = [active(three, id_) for id_ in made]
    assert {hosts.count(name) for name in three.agents} == {2}
    three.until(lambda: all(len(agent.units(Election)) == 3 for agent in three.agents.values()))
    vrids = {unit.vrid for unit in three.agents["net1"].units(Election).values()}
    assert vrids == {1, 2, 3}


def test_a_promotion_is_written_down_with_its_cause(three: Cloud) -> None:
    router = redundant_router(three)
    first = active(three, router)
    assert first
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    three.agents[first].silent = True
    three.until(lambda: active(three, router) != first)
    second = active(three, router)
    history = three.call(lambda call: planned.history_of(call, router))
    assert [(one["from"], one["to"], one["epoch"]) for one in history[:1]] == [(first, second, len(history))]
    remote = [unit for a in three.agents.values() for unit in a.units(Remote).values() if unit.moves]
    assert remote


@pytest.mark.parametrize("times", [1, 4])
def test_a_planned_move_never_closes_all_gates(three: Cloud, times: int) -> None:
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    for _ in range(times):
        target = another(three, active(three, router))
        seen = move(three, router, target)
        assert all(seen), "somebody forwards at any moment"
        assert active(three, router) == target
        assert all(not unit.draining for unit in routers_of(three, router).values())
        phases = [step["phase"] for step in last_move(three, router)["steps"]]
        assert phases == ["requested", "build", "drain", "switch", "overlap", "close", "done"]
    three.until(lambda: open_on(three, router) == {target})
    assert len(routers_of(three, router)) == 3


def test_a_move_that_the_target_does_not_follow_leads_back(
    three: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "PATIENCE", {**moves.PATIENCE, "build": 0.3})
    router = redundant_router(three)
    before = active(three, router)
    candidates = {name: unit.election for name, unit in routers_of(three, router).items()}
    target = another(three, before)
    three.agents[target].silent = True
    move(three, router, target)
    three.until(lambda: open_on(three, router) == {before})
    assert last_move(three, router)["phase"] == "failed"
    assert target in last_move(three, router)["detail"]
    three.agents[target].silent = False
    three.until(lambda: {n: u.election for n, u in routers_of(three, router).items()} == candidates)


def test_another_controller_finishes_a_move(three: Cloud) -> None:
    router = redundant_router(three)
    target = another(three, active(three, router))
    three.placement.stop()
    three.call(lambda call: planned.move(call, router, target))
    for phase in ("build", "drain", "switch", "overlap", "close", "done"):
        loop = Placement(three.db, three.settings)
        loop.start()
        three.until(partial(_reached, three, router, phase))
        loop.stop()
    three.until(lambda: open_on(three, router) == {target})


def _reached(cloud: Cloud, router: str, phase: str) -> bool:
    return any(step["phase"] == phase for step in last_move(cloud, router)["steps"])


def test_a_plain_router_moves_without_a_gap(three: Cloud) -> None:
    router = three.create("routers", ha=False)["id"]
    three.until(lambda: open_on(three, router))
    target = another(three, active(three, router))
    assert all(move(three, router, target))
    three.until(lambda: set(routers_of(three, router)) == {target})
    assert open_on(three, router) == {target}


def test_a_move_waits_until_its_target_was_told_all_connections(three: Cloud) -> None:
    router = three.create("routers", ha=False)["id"]
    three.until(lambda: open_on(three, router))
    source = active(three, router)
    target = another(three, source)
    agent = three.agents[target]
    agent.report = msgspec.structs.replace(agent.report, copying=(router,))
    three.call(lambda call: planned.move(call, router, target))
    three.until(lambda: router in agent.units(Router))
    for _ in range(20):
        for one in three.agents.values():
            one.step()
        time.sleep(0.01)
    assert last_move(three, router)["phase"] == "build"
    assert open_on(three, router) == {source}
    agent.report = msgspec.structs.replace(agent.report, copying=())
    three.until(lambda: open_on(three, router) == {target})


def test_moves_that_make_no_sense_are_refused(three: Cloud) -> None:
    router = redundant_router(three)
    here = active(three, router)
    for host, reason in ((here, "already"), ("nowhere", "no such host")):
        with pytest.raises(planned.HostCannotCarryRouter, match=reason):
            three.call(partial(planned.move, router_id=router, host=str(host)))
    other = next(name for name in three.agents if name != here)
    three.placement.stop()
    three.call(lambda call: planned.move(call, router, other))
    with pytest.raises(planned.RouterIsMoving):
        three.call(lambda call: planned.move(call, router, other))


def test_a_dead_hosts_dhcp_server_moves_with_its_port(world: Callable[..., World]) -> None:
    cloud = world(agent_down_time=1.0)
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    network = cloud.network()["id"]
    cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 2)
    dead, stays = dhcp_hosts(cloud, network)
    before = cloud.agents[dead].units(Dhcp)[network]
    cloud.agents[dead].silent = True
    (spare,) = set(cloud.agents) - {dead, stays}
    cloud.until(lambda: network in cloud.agents[spare].units(Dhcp))
    after = cloud.agents[spare].units(Dhcp)[network]
    assert (after.port, after.mac, after.addresses) == (before.port, before.mac, before.addresses)
    cloud.agents[dead].silent = False
    cloud.until(lambda: dhcp_hosts(cloud, network) == sorted([stays, spare]))


def test_a_plain_router_of_a_dead_host_is_placed_elsewhere(world: Callable[..., World]) -> None:
    cloud = world(agent_down_time=1.0)
    for name in ("net1", "net2"):
        cloud.agent(name)
    router = cloud.create("routers", ha=False)["id"]
    cloud.until(lambda: open_on(cloud, router))
    dead = active(cloud, router)
    assert dead
    cloud.agents[dead].silent = True
    cloud.until(lambda: routers_of(cloud, router).get(another(cloud, dead)))
    cloud.until(lambda: active(cloud, router) == another(cloud, dead))


def test_a_plain_router_does_not_wait_for_a_dead_target(world: Callable[..., World]) -> None:
    """Two hosts die, one a moment after the other: the third has the router long before a move gives up."""
    cloud = world(agent_down_time=1.0)
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    router = cloud.create("routers", ha=False)["id"]
    cloud.until(lambda: open_on(cloud, router))
    (first,) = routers_of(cloud, router)
    cloud.agents[first].silent = True
    cloud.until(lambda: len(routers_of(cloud, router)) == 2)
    second = last_move(cloud, router)["candidates"][0]
    cloud.agents[second].silent = True
    (third,) = {"net1", "net2", "net3"} - {first, second}
    cloud.until(lambda: active(cloud, router) == third and third in open_on(cloud, router), 10)


def test_silence_while_the_server_was_away_is_nobodys_fault(world: Callable[..., World]) -> None:
    cloud = world(agent_down_time=1.0)
    for name in ("net1", "net2", "net3"):
        cloud.agent(name)
    network = cloud.network()["id"]
    cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 2)
    before = dhcp_hosts(cloud, network)
    cloud.clock.sleep(1.5)
    cloud.restart()
    for silent in (True, False):
        for name in before:
            cloud.agents[name].silent = silent
        for _ in range(5):
            cloud.step()
        assert dhcp_hosts(cloud, network) == before


def test_dhcp_servers_are_added_and_removed_by_hand(three: Cloud) -> None:
    network = three.network()["id"]
    three.until(lambda: len(dhcp_hosts(three, network)) == 2)
    first, second = dhcp_hosts(three, network)
    (third,) = set(three.agents) - {first, second}
    by_hand(three, "add", "network", network, third)
    three.until(lambda: len(dhcp_hosts(three, network)) == 3)
    addresses = [a.units(Dhcp)[network].addresses for a in three.agents.values()]
    assert len(set(addresses)) == 3
    by_hand(three, "remove", "network", network, first)
    three.until(lambda: dhcp_hosts(three, network) == sorted([second, third]))
    by_hand(three, "remove", "network", network, second)
    three.until(lambda: dhcp_hosts(three, network) == [third])
    time.sleep(0.3)
    assert dhcp_hosts(three, network) == [third], "it was taken from the others"
    by_hand(three, "add", "network", network, first)
    three.until(lambda: dhcp_hosts(three, network) == sorted([first, third]))
    three.delete("networks", network)
    three.until(lambda: not dhcp_hosts(three, network))
    assert three.call(partial(_rows, table=hosts.wish)) == []


def test_a_removed_dhcp_server_is_replaced_with_its_port(three: Cloud) -> None:
    network = three.network()["id"]
    three.until(lambda: len(dhcp_hosts(three, network)) == 2)
    first, second = dhcp_hosts(three, network)
    before = three.agents[first].units(Dhcp)[network]
    (spare,) = set(three.agents) - {first, second}
    by_hand(three, "remove", "network", network, first)
    three.until(lambda: dhcp_hosts(three, network) == sorted([second, spare]))
    after = three.agents[spare].units(Dhcp)[network]
    assert (after.port, after.addresses) == (before.port, before.addresses)


def test_a_dhcp_port_is_active_again_on_a_host_that_served_it_before(three: Cloud) -> None:
    network = three.network()["id"]
    three.until(lambda: len(dhcp_hosts(three, network)) == 2)
    first, second = dhcp_hosts(three, network)
    port = three.agents[first].units(Dhcp)[network].port
    (spare,) = set(three.agents) - {first, second}

    def serves(name: str) -> None:
        three.until(lambda: dhcp_hosts(three, network) == sorted([second, name]))
        three.agents[name].step(ports_up=(port,))
        assert next(one for one in three.list("ports") if one["id"] == port)["status"] == "ACTIVE"

    serves(first)
    for old, new in ((first, spare), (spare, first)):
        by_hand(three, "add", "network", network, new)
        by_hand(three, "remove", "network", network, old)
        serves(new)


def test_a_disabled_dhcp_agent_is_emptied_but_for_what_nobody_else_can_serve(three: Cloud) -> None:
    network = three.network()["id"]
    three.until(lambda: len(dhcp_hosts(three, network)) == 2)
    first, second = dhcp_hosts(three, network)
    (spare,) = set(three.agents) - {first, second}
    set_agent(three, first, "dhcp", up=False)
    three.until(lambda: dhcp_hosts(three, network) == sorted([second, spare]))
    set_agent(three, second, "dhcp", up=False)
    three.until(lambda: dhcp_hosts(three, network) == [spare])
    set_agent(three, spare, "dhcp", up=False)
    time.sleep(0.3)
    assert dhcp_hosts(three, network) == [spare]
    set_agent(three, first, "dhcp", up=True)
    three.until(lambda: dhcp_hosts(three, network) == [first])


def test_a_dead_host_that_was_asked_for_is_replaced_and_asked_for_no_more(
    world: Callable[..., World],
) -> None:
    cloud = world(agent_down_time=1.0)
    for name in ("net1", "net2", "net3", "net4"):
        cloud.agent(name)
    network = cloud.network()["id"]
    cloud.until(lambda: len(dhcp_hosts(cloud, network)) == 2)
    first, second = dhcp_hosts(cloud, network)
    third = min(set(cloud.agents) - {first, second})
    by_hand(cloud, "add", "network", network, third)
    by_hand(cloud, "remove", "network", network, first)
    cloud.until(lambda: dhcp_hosts(cloud, network) == sorted([second, third]))
    cloud.agents[third].silent = True
    cloud.until(lambda: len(set(dhcp_hosts(cloud, network)) - {third, first}) == 2)
    cloud.agents[third].silent = False
    cloud.until(lambda: third not in dhcp_hosts(cloud, network))
    assert len(dhcp_hosts(cloud, network)) == 2


def test_candidates_are_added_and_removed_by_hand_without_a_gap(three: Cloud) -> None:
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    first = str(active(three, router))
    three.agent("net4")
    by_hand(three, "add", "router", router, "net4")
    assert all(seen_until(three, router, lambda: len(routers_of(three, router)) == 4))
    assert active(three, router) == first
    by_hand(three, "remove", "router", router, first)
    assert all(seen_until(three, router, lambda: first not in routers_of(three, router)))
    assert len(routers_of(three, router)) == 3
    (now,) = open_on(three, router)
    by_hand(three, "remove", "router", router, now)
    assert all(seen_until(three, router, lambda: now not in routers_of(three, router)))
    assert len(routers_of(three, router)) == 2, "it was taken from the others"
    assert len(open_on(three, router)) == 1


def test_what_is_wished_for_during_a_move_is_done_after_it(three: Cloud) -> None:
    router = redundant_router(three)
    three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    target = another(three, active(three, router))
    three.call(lambda call: planned.move(call, router, target))
    by_hand(three, "remove", "router", router, target)
    assert all(seen_until(three, router, lambda: target not in routers_of(three, router)))
    with pytest.raises(planned.HostCannotCarryRouter, match="by hand"):
        three.call(lambda call: planned.move(call, router, target))


def test_a_plain_router_is_taken_from_one_agent_and_given_to_another(three: Cloud) -> None:
    router = three.create("routers", ha=False)["id"]
    three.until(lambda: open_on(three, router))
    (first,) = open_on(three, router)
    target, other = sorted(set(three.agents) - {first})
    with pytest.raises(scheduling.RouterHostedByL3Agent):
        by_hand(three, "add", "router", router, target)
    by_hand(three, "remove", "router", router, first)
    by_hand(three, "add", "router", router, target)
    assert all(seen_until(three, router, lambda: set(routers_of(three, router)) == {target}))
    with pytest.raises(scheduling.RouterHostedByL3Agent):
        by_hand(three, "add", "router", router, other)
    assert all(move(three, router, other))
    time.sleep(0.3)
    three.until(lambda: set(routers_of(three, router)) == {other} == open_on(three, router))


def test_a_plain_router_that_is_taken_from_every_agent_is_nowhere(cloud: Cloud) -> None:
    cloud.agent("net1")
    router = cloud.create("routers", ha=False)["id"]
    cloud.until(lambda: open_on(cloud, router))
    by_hand(cloud, "remove", "router", router, "net1")
    cloud.until(lambda: not routers_of(cloud, router))
    by_hand(cloud, "add", "router", router, "net1")
    cloud.until(lambda: open_on(cloud, router) == {"net1"})


@pytest.mark.parametrize("redundant", [True, False])
def test_routers_leave_a_disabled_agent_without_a_gap(three: Cloud, redundant: bool) -> None:
    if redundant:
        router = redundant_router(three)
        three.until(lambda: all(len(agent.states) == 1 for agent in three.agents.values()))
    else:
        router = three.create("routers", ha=False)["id"]
        three.until(lambda: open_on(three, router))
    (first,) = open_on(three, router)
    set_agent(three, first, "l3", up=False)
    assert all(seen_until(three, router, lambda: first not in routers_of(three, router)))
    assert len(open_on(three, router)) == 1
    with pytest.raises(planned.HostCannotCarryRouter, match="down"):
        three.call(lambda call: planned.move(call, router, first))
    set_agent(three, first, "l3", up=True)
    three.until(lambda: len(routers_of(three, router)) == (3 if redundant else 1))


def test_nothing_is_left_of_what_is_deleted(three: Cloud) -> None:
    router = redundant_router(three)
    inside = next(
        one for one in three.list("networks") if one["name"] == "net" and not one["router:external"]
    )
    three.until(lambda: len(dhcp_hosts(three, inside["id"])) == 2)
    three.update("subnets", inside["subnets"][0], enable_dhcp=False)
    three.until(lambda: not dhcp_hosts(three, inside["id"]))
    three.action("routers", router, "remove_router_interface", subnet_id=inside["subnets"][0])
    three.delete("routers", router)
    three.delete("networks", inside["id"])
    three.until(lambda: not routers_of(three, router))
    tables = (hosts.router_candidate, hosts.router_move)
    three.until(lambda: not any(three.call(partial(_rows, table=table)) for table in tables))
    assert not any(key.startswith(("router/", "remote/")) for a in three.agents.values() for key in a.plan)


def _rows(call: Call, table: Table) -> list[Any]:
    return list(call.tx.execute(table.select()))
