"""The cloud that the demonstration builds, and what is asked of it, all by the public API."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from deuteron.lab.client import Client
from deuteron.lab.modes import Mode
from deuteron.lab.topology import NETWORKS, LabError

INTERNET = "198.51.100.1"
"""An address of the outside host behind the external network's gateway."""
GATEWAY = "203.0.113.1"
TENANT_CIDR = "10.1.0.0/24"
SECOND_CIDR = "10.2.0.0/24"
SETTLE_SECONDS = 45.0
CONVERSION_SECONDS = 120.0

T = TypeVar("T")


@dataclass(frozen=True)
class Scene:
    """A tenant network behind a router with a gateway to the external network."""

    api: Client
    external: str
    network: str
    router: str
    redundant: bool = True
    """Whether the router's central part has hosts that stand by."""
    second: str = ""
    """Another network behind the router."""


def build(api: Client, mode: Mode) -> Scene:
    """Create networks, subnets and the router. Raises LabError."""
    flat = {"provider:network_type": "flat", "provider:physical_network": "external", "router:external": True}
    external = api.create("network", name="external", **flat)
    pool = [{"start": "203.0.113.100", "end": "203.0.113.199"}]
    api.create(
        "subnet",
        network_id=external["id"],
        ip_version=4,
        cidr=NETWORKS["external"],
        gateway_ip=GATEWAY,
        enable_dhcp=False,
        allocation_pools=pool,
    )
    kind = {"ha": mode.redundant, "distributed": mode.distributed}
    gateway = {"network_id": external["id"]}
    router = api.create("router", name="router", external_gateway_info=gateway, **kind)
    networks = []
    for name, cidr in (("blue", TENANT_CIDR), ("green", SECOND_CIDR)):
        networks.append(api.create("network", name=name)["id"])
        subnet = api.create("subnet", network_id=networks[-1], ip_version=4, cidr=cidr, name=name)
        api.put(f"/v2.0/routers/{router['id']}/add_router_interface", {"subnet_id": subnet["id"]})
    return Scene(api, external["id"], networks[0], router["id"], mode.redundant, networks[1])


def floating_ip(scene: Scene, port: str) -> str:
    """Give a port a floating IP and return it. Raises LabError."""
    created = scene.api.create("floatingip", floating_network_id=scene.external, port_id=port)
    return str(created["floating_ip_address"])


def ha_states(scene: Scene) -> dict[str, str]:
    """Return what each living candidate host of the router is: "active" or "standby". Raises LabError."""
    agents = scene.api.get(f"/v2.0/routers/{scene.router}/l3-agents")["agents"]
    return {agent["host"]: agent["ha_state"] for agent in agents if agent["alive"]}


def settled(scene: Scene, candidates: int) -> str:
    """Wait until one host is active for the router and the others are standby; return the active one.

    Raises LabError.
    """

    def active() -> str | None:
        states = ha_states(scene)
        if not scene.redundant:
            return _alone(scene, states)
        found = [host for host, state in states.items() if state == "active"]
        standby = [host for host, state in states.items() if state == "standby"]
        return found[0] if len(found) == 1 and len(standby) >= candidates - 1 else None

    def wrong() -> str:
        return f"the router has no active host with {candidates - 1} standbys: {ha_states(scene)}"

    return wait(active, wrong)


def _alone(scene: Scene, living: Collection[str]) -> str | None:
    """Return the living host that alone carries the router, and has built it."""
    routers = scene.api.get("/v1/status")["routers"]
    found = next(one for one in routers if one["id"] == scene.router)
    settled = not found["moving"] and found["candidates"] == found["built"] == [found["active"]]
    return str(found["active"]) if settled and found["active"] in living else None


def dhcp_hosts(scene: Scene) -> list[str]:
    """Return the living hosts that serve DHCP for the network. Raises LabError."""
    agents = scene.api.get(f"/v2.0/networks/{scene.network}/dhcp-agents")["agents"]
    return sorted(agent["host"] for agent in agents if agent["alive"])


def dhcp_servers(scene: Scene, network: str = "") -> dict[str, str]:
    """Return the DHCP servers of a network, the first if none, that are up: address -> host.

    Raises LabError.
    """
    query = {"network_id": network or scene.network, "device_owner": "network:dhcp", "status": "ACTIVE"}
    ports = scene.api.get("/v2.0/ports", **query)["ports"]
    return {ip["ip_address"]: port["binding:host_id"] for port in ports for ip in port["fixed_ips"]}


def two_dhcp_servers(scene: Scene) -> dict[str, str]:
    """Wait until two hosts serve DHCP; return address -> host. Raises LabError."""

    def both() -> dict[str, str] | None:
        found = dhcp_servers(scene)
        return found if len(set(found.values())) >= 2 else None

    return wait(both, lambda: f"no two hosts serve DHCP: {dhcp_servers(scene)}")


def started_at(scene: Scene, host: str) -> str:
    """Return when the agent of a host started. Raises LabError."""
    agents = scene.api.get("/v2.0/agents", host=host, agent_type="L3 agent")["agents"]
    return str(agents[0]["started_at"]) if agents else ""


def back(scene: Scene, host: str, before: str) -> None:
    """Wait until a new agent of a host, not the one started at `before`, reports. Raises LabError."""
    wait(lambda: started_at(scene, host) != before, lambda: f"the agent of {host} does not report again")


def move(scene: Scene, host: str) -> dict[str, Any]:
    """Move the router to a host on purpose; return the move when it has ended well. Raises LabError."""
    asked = scene.api.post(f"/v1/routers/{scene.router}/move", {"host": host})["move"]

    def state() -> dict[str, Any]:
        moves = scene.api.get(f"/v1/routers/{scene.router}/moves")["moves"]
        found: dict[str, Any] = next(one for one in moves if one["id"] == asked["id"])
        return found

    def ended() -> dict[str, Any] | None:
        found = state()
        return None if found["running"] else found

    found = wait(ended, lambda: f"the move to {host} does not end: {state()}")
    if found["phase"] != "done":
        raise LabError(f"the router did not move to {host}: {found['detail']}")
    return found


def convert(scene: Scene, mode: Mode) -> Scene:
    """Take the router to another mode while it is up; return what there is then. Raises LabError."""
    path = f"/v1/routers/{scene.router}"
    asked = scene.api.post(f"{path}/convert", {"mode": mode.name})["conversion"]

    def state() -> dict[str, Any]:
        done = scene.api.get(f"{path}/conversions")["conversions"]
        found: dict[str, Any] = next(one for one in done if one["id"] == asked["id"])
        return found

    def ended() -> dict[str, Any] | None:
        found = state()
        return None if found["running"] else found

    found = wait(ended, lambda: f"the router does not become {mode.name}: {state()}", CONVERSION_SECONDS)
    if found["phase"] != "done":
        raise LabError(f"the router stays {found['from']}: {found['detail']}")
    return replace(scene, redundant=mode.redundant)


def wait(found: Callable[[], T | None], wrong: Callable[[], str], seconds: float = SETTLE_SECONDS) -> T:
    """Ask until there is something; return it. Raises LabError with what is wrong after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := found():
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"{wrong()} ({seconds:.0f} s)")
        time.sleep(0.05)
