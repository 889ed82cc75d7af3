"""A cloud without networks: the real database, hub, reports and placement, and agents that only pretend."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from deuteron.placement.reports import Reports
from deuteron.placement.service import Placement
from deuteron.plan.hub import Hub
from deuteron.plan.units import Delete, Election, ElectionReport, InSync, Message, Put, Report, Snapshot, Unit
from deuteron.resources import operations, registry
from deuteron.resources.call import Call
from deuteron.resources.query import Query
from deuteron.settings import ServerSettings
from deuteron.store import Database

T = TypeVar("T")
Mode = Literal["legacy", "dvr", "dvr_snat", "dvr_no_external"]
ROLES = ("dhcp", "l2", "l3", "metadata")


class Agent:
    """What an agent is to the server: it follows the plan, and says what it is."""

    def __init__(
        self,
        cloud: "Cloud",
        name: str,
        number: int,
        roles: tuple[str, ...],
        zone: str,
        agent_mode: Mode = "legacy",
    ) -> None:
        self.cloud = cloud
        self.name = name
        self.report = Report(
            agent_mode=agent_mode,
            started=1.0,
            roles=roles,
            vtep=f"192.0.2.{number}",
            physical_networks=("external",),
            zone=zone,
        )
        self.plan: dict[str, Unit] = {}
        self.revision = ""
        self.up: set[str] = set()
        self.states: dict[str, ElectionReport] = {}
        self.silent = False

    def follow(self) -> bool:
        """Take in what is new of the plan; return whether there was something."""
        batch = self.cloud.hub.since(self.name, self.revision)
        if batch is None:
            return False
        for line in batch.lines.splitlines():
            message: Message = msgspec.json.decode(line, type=Message)
            match message:
                case Snapshot():
                    self.plan = {}
                case Put(unit=unit):
                    self.plan[unit.key] = unit
                case Delete(key=key):
                    self.plan.pop(key, None)
                case InSync(revision=revision):
                    self.revision = revision
        return True

    def step(self, *, full: bool = False, **more: Any) -> None:
        """Follow, take part in elections as if there was VRRP, and report."""
        if self.silent:
            return
        self.follow()
        changed = self._elect()
        elections = tuple(self.states.values()) if full else tuple(changed)
        report = msgspec.structs.replace(
            self.report, revision=self.revision, full=full, elections=elections, **more
        )
        self.cloud.reports.take(self.name, report)

    def _elect(self) -> list[ElectionReport]:
        wanted = {unit.id: unit for unit in self.plan.values() if isinstance(unit, Election)}
        self.states = {id_: state for id_, state in self.states.items() if id_ in wanted}
        changed = []
        for id_ in wanted:
            others = [agent for agent in self.cloud.agents.values() if agent is not self and not agent.silent]
            taken = any(a.states.get(id_) and a.states[id_].state == "active" for a in others)
            state = "standby" if taken else "active"
            if id_ not in self.states or self.states[id_].state != state:
                self.states[id_] = ElectionReport(id=id_, state=state, since=time.time(), cause="started")  # type: ignore[arg-type]
                changed.append(self.states[id_])
        return changed

    def units(self, kind: type[T]) -> dict[str, T]:
        """Return the units of a kind by id."""
        return {unit.id: unit for unit in self.plan.values() if isinstance(unit, kind)}


class Cloud:
    """A server's insides, stepped by hand or with the placement loop running.

    `hosts` are there before the loop begins: one that appears while it places something is a candidate later.
    Nobody dies because the machine is busy with something else: where deaths matter there is `World`.
    """

    def __init__(self, url: str, hosts: Sequence[str] = (), **settings: Any) -> None:
        self.settings = ServerSettings(database=url, **{"agent_down_time": 100.0, **settings})
        self.db = Database(url)
        self.hub = Hub(self.db, self.settings.dns_domain, threading.Event())
        self.hub.start()
        self.reports = Reports(self.db, self.hub, self.settings.agent_down_time, self.settings.dvr_base_mac)
        self.agents: dict[str, Agent] = {}
        for name in hosts:
            self.agent(name)
        self.placement = Placement(self.db, self.settings)
        self.placement.start()

    def close(self) -> None:
        self.placement.stop()
        self.hub.stop()
        self.db.close()

    def agent(
        self, name: str, roles: tuple[str, ...] = ROLES, zone: str = "nova", agent_mode: Mode = "legacy"
    ) -> Agent:
        agent = Agent(self, name, len(self.agents) + 1, roles, zone, agent_mode)
        self.agents[name] = agent
        agent.step()
        return agent

    def call(self, work: Callable[[Call], T]) -> T:
        return self.db.write_now(lambda tx: work(Call(tx=tx, settings=self.settings, project_id="p")))

    def create(self, collection: str, **body: Any) -> dict[str, Any]:
        resource = registry.load().resources[collection]
        return self.call(lambda call: operations.create(call, resource, body))

    def update(self, collection: str, id_: str, **body: Any) -> dict[str, Any]:
        resource = registry.load().resources[collection]
        return self.call(lambda call: operations.update(call, resource, id_, body))

    def delete(self, collection: str, id_: str) -> None:
        resource = registry.load().resources[collection]
        self.call(lambda call: operations.delete(call, resource, id_))

    def list(self, collection: str) -> list[dict[str, Any]]:
        resource = registry.load().resources[collection]
        return self.call(lambda call: operations.listing(call, resource, Query()))

    def action(self, collection: str, id_: str, name: str, **body: Any) -> Any:
        action = registry.load().resources[collection].actions[name]
        return self.call(lambda call: action(call, id_, body))

    def network(self, cidr: str | None = "10.0.0.0/24", **more: Any) -> dict[str, Any]:
        made = self.create("networks", name="net", **more)
        if cidr:
            self.create("subnets", network_id=made["id"], ip_version=4, cidr=cidr)
        return made

    def external(self) -> dict[str, Any]:
        return self.network(
            "203.0.113.0/24",
            **{
                "router:external": True,
                "provider:network_type": "flat",
                "provider:physical_network": "external",
            },
        )

    def until(self, true: Callable[[], T], seconds: float = 100.0) -> T:
        """Step all agents until something is true; return it."""
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end, f"not in {seconds} s"
            for agent in list(self.agents.values()):
                agent.step()
            time.sleep(0.01)
        return found
