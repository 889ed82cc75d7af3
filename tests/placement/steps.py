"""What tests of placement do to a cloud, and ask of it."""

from collections.abc import Callable
from typing import Any

from deuteron.placement import moves, planned
from deuteron.plan.units import Dhcp, Router
from deuteron.resources import registry
from deuteron.resources.agent import agent_id
from deuteron.resources.call import Call
from tests.placement.cloud import Cloud


def dhcp_hosts(cloud: Cloud, network: str) -> list[str]:
    return sorted(name for name, agent in cloud.agents.items() if network in agent.units(Dhcp))


def routers_of(cloud: Cloud, router: str) -> dict[str, Router]:
    found = {name: agent.units(Router).get(router) for name, agent in cloud.agents.items()}
    return {name: unit for name, unit in found.items() if unit}


def active(cloud: Cloud, router: str) -> str | None:
    return cloud.db.read_now(lambda tx: moves.active_host(tx, router))


def open_on(cloud: Cloud, router: str) -> set[str]:
    """The hosts whose agent, by what it knows, has the router's gate open."""
    found = set()
    for name, unit in routers_of(cloud, router).items():
        state = cloud.agents[name].states.get(unit.election or "")
        if (
            unit.gate == "open"
            or unit.draining
            or (unit.gate == "election" and state and state.state == "active")
        ):
            found.add(name)
    return found


def redundant_router(cloud: Cloud) -> str:
    external = cloud.external()
    inside = cloud.network("10.1.0.0/24")
    made = cloud.create("routers", ha=True, external_gateway_info={"network_id": external["id"]})
    subnets = [one for one in cloud.list("subnets") if one["network_id"] == inside["id"]]
    cloud.action("routers", made["id"], "add_router_interface", subnet_id=subnets[0]["id"])
    cloud.until(lambda: len(routers_of(cloud, made["id"])) == 3 and active(cloud, made["id"]))
    return str(made["id"])


def move(cloud: Cloud, router: str, target: str) -> list[set[str]]:
    """Move a router and wait for the end; return on which hosts it was open meanwhile."""
    cloud.call(lambda call: planned.move(call, router, target))
    seen: list[set[str]] = []

    def moved() -> bool:
        seen.append(open_on(cloud, router))
        return not running(cloud, router)

    cloud.until(moved)
    return seen


def running(cloud: Cloud, router: str) -> bool:
    return bool(cloud.call(lambda call: moves.running(call.tx, router)))


def last_move(cloud: Cloud, router: str) -> dict[str, Any]:
    return cloud.call(lambda call: planned.moves_of(call, router))[0]


def another(cloud: Cloud, host: str | None) -> str:
    return next(name for name in sorted(cloud.agents) if name != host)


def by_hand(cloud: Cloud, verb: str, kind: str, id_: str, host: str) -> None:
    """Add to, or remove from, an agent of a host."""
    role, key = ("dhcp", "dhcp-networks") if kind == "network" else ("l3", "l3-routers")
    child = registry.load().resources["agents"].children[key]
    agent = agent_id(host, role)

    def work(call: Call) -> None:
        if verb == "add" and child.add:
            child.add(call, agent, {f"{kind}_id": id_})
        elif child.remove:
            child.remove(call, agent, id_)

    cloud.call(work)


def set_agent(cloud: Cloud, host: str, role: str, *, up: bool) -> None:
    cloud.update("agents", agent_id(host, role), admin_state_up=up)


def seen_until(cloud: Cloud, router: str, true: Callable[[], object]) -> list[set[str]]:
    """Wait until something is true and the router rests; return on which hosts it was open meanwhile."""
    seen: list[set[str]] = []

    def done() -> bool:
        seen.append(open_on(cloud, router))
        return bool(true()) and not running(cloud, router)

    cloud.until(done)
    return seen
