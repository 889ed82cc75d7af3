"""Whatever happens to hosts and whatever is asked for, in whatever order: placement keeps its promises.

Agents pretend, all else is real: the database, the hub, reports, the loop. Time is the test's.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Table, select

from deuteron.placement import cloud as clouds
from deuteron.placement import drains, ha, planned, rebalance, routers, service
from deuteron.resources import hosts, network, registry, router
from deuteron.resources.errors import NeutronError
from deuteron.resources.hosts import Wishes, wishes_of
from deuteron.store import Database
from deuteron.store.migrate import prepare
from tests.placement.steps import by_hand, set_agent
from tests.placement.world import Clock, World, shared

NAMES = ["net1", "net2", "net3", "net4"]
DOWN = 6.0
DELAY = 20.0
MOST, SERVERS = 3, 2
EXAMPLES = int(os.environ.get("DEUTERON_EXAMPLES", "8"))

names = st.sampled_from(NAMES)
numbers = st.integers(0, 3)
places = names | numbers
"""A host by its name, or the one that carries a router."""


class Placing(RuleBasedStateMachine):
    """A cloud of up to four hosts, four routers and four networks."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.directory = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
        url = f"sqlite:///{self.directory.name}/deuteron.db"
        registry.load()
        db = Database(url)
        prepare(db)
        db.close()
        clock = Clock()
        self.restore = shared(clock)
        self.world = World(
            url,
            clock,
            agent_down_time=DOWN,
            ha_candidate_replacement_delay=DELAY,
            max_l3_agents_per_router=MOST,
            dhcp_agents_per_network=SERVERS,
        )
        self.made = 0

    def teardown(self) -> None:
        try:
            self.world.leap(DOWN + DELAY + ha.IDLE_SECONDS + service.SWEEP_SECONDS)
            self.world.settle()
            self.promises()
        finally:
            self.world.close()
            self.restore()
            self.directory.cleanup()

    # What happens.

    @initialize(count=st.integers(1, 4), kinds=st.lists(st.booleans(), min_size=1, max_size=3))
    def there_is_a_cloud(self, count: int, kinds: list[bool]) -> None:
        for name in NAMES[:count]:
            self.world.agent(name, zone="a" if name in NAMES[:2] else "b")
        self.world.network("10.0.0.0/24")
        for number, redundant in enumerate(kinds):
            self.world.create("routers", ha=redundant, name=f"r{number}")
        self.world.settle()

    def host_returns(self, name: str) -> None:
        agent = self.world.agents.get(name)
        if agent is None:
            self.world.agent(name, zone="b")
        elif agent.silent:  # it has booted, and knows nothing
            agent.silent, agent.plan, agent.revision, agent.states = False, {}, "", {}
            agent.step(full=True)

    def host_dies(self, name: str) -> None:
        if name in self.world.agents:
            self.world.agents[name].silent = True

    def host_is_drained(self, name: str) -> None:
        self.world.call(partial(drains.begin, name=name))

    def host_is_used_again(self, name: str) -> None:
        self.world.call(partial(drains.end, name=name))

    def agent_is_switched(self, name: str) -> None:
        found = {one["host"]: one for one in self.world.list("agents") if one["agent_type"] == "L3 agent"}
        if name in found:
            for role in ("l3", "dhcp"):
                set_agent(self.world, name, role, up=not found[name]["admin_state_up"])

    def router_goes_to(self, id_: str, name: str) -> None:
        self.world.call(partial(planned.move, router_id=id_, host=name))

    def router_is_added_to(self, id_: str, name: str) -> None:
        by_hand(self.world, "add", "router", id_, name)

    def router_is_removed_from(self, id_: str, name: str) -> None:
        by_hand(self.world, "remove", "router", id_, name)

    def router_changes_its_mode(self, id_: str, name: str) -> None:
        (now,) = (one["ha"] for one in self.world.list("routers") if one["id"] == id_)
        self.world.update("routers", id_, ha=not now)

    def router_is_deleted(self, id_: str, name: str) -> None:
        self.world.delete("routers", id_)

    def network_is_added_to(self, id_: str, name: str) -> None:
        by_hand(self.world, "add", "network", id_, name)

    def network_is_removed_from(self, id_: str, name: str) -> None:
        by_hand(self.world, "remove", "network", id_, name)

    def network_is_deleted(self, id_: str, name: str) -> None:
        self.world.delete("networks", id_)

    @rule(
        what=st.sampled_from(
            [host_dies, host_returns, host_is_drained, host_is_used_again, agent_is_switched, host_returns]
        ),
        place=places,
    )
    def something_happens_to_a_host(self, what: Callable[["Placing", str], None], place: str | int) -> None:
        self.asked(partial(what, self, self.named(place)))

    @rule(
        what=st.sampled_from(
            [
                router_changes_its_mode,
                router_goes_to,
                router_is_added_to,
                router_is_removed_from,
                router_is_deleted,
            ]
        ),
        number=numbers,
        place=places,
    )
    def something_happens_to_a_router(
        self, what: Callable[["Placing", str, str], None], number: int, place: str | int
    ) -> None:
        for id_ in self.routers()[number : number + 1]:
            self.asked(partial(what, self, id_, self.named(place)))

    @rule(
        what=st.sampled_from([network_is_added_to, network_is_removed_from, network_is_deleted]),
        number=numbers,
        name=names,
    )
    def something_happens_to_a_network(
        self, what: Callable[["Placing", str, str], None], number: int, name: str
    ) -> None:
        for id_ in self.networks()[number : number + 1]:
            self.asked(partial(what, self, id_, name))

    @rule(redundant=st.booleans() | st.none())
    def something_is_made(self, redundant: bool | None) -> None:
        self.made += 1
        if redundant is None and len(self.networks()) < 4:
            self.world.network(f"10.{self.made}.0.0/24")
        elif redundant is not None and len(self.routers()) < 4:
            self.world.create("routers", ha=redundant, name=f"r{self.made}")
        self.world.step()

    @rule(most=st.none() | st.integers(0, 3), restarts=st.booleans())
    def routers_are_spread(self, most: int | None, restarts: bool) -> None:
        self.asked(lambda: self.world.call(partial(rebalance.ask, most=most, dry_run=False)))
        if restarts:  # of the server, too
            self.world.restart()
            self.world.step()

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, DOWN + 3, DELAY + 5]))
    def time_passes(self, seconds: float) -> None:
        self.world.leap(seconds) if seconds > 1 else self.world.step(seconds)

    @precondition(lambda self: self.world.agents)
    @rule()
    def all_comes_to_rest(self) -> None:
        for seconds in (DOWN + DELAY, ha.IDLE_SECONDS + service.SWEEP_SECONDS):
            self.world.leap(seconds)
            self.world.settle()
        self.promises()

    # What always holds.

    @invariant()
    def one_place_at_a_time(self) -> None:
        moving = {row.router_id for row in self.rows(hosts.router_move) if row.running}
        for id_ in self.routers():
            opened = self.world.open_on(id_)
            assert len(opened) <= 2, "no more than two, not even on the way"
            assert len(opened) <= 1 or id_ in moving, f"{id_} is open on {opened}"

    @invariant()
    def nothing_is_given_twice(self) -> None:
        slots = Counter((row.network_id, row.host) for row in self.rows(hosts.dhcp_server))
        assert set(slots.values()) <= {1}, "no two DHCP servers of a network on one host"
        vrids = Counter((row.ha_network_id, row.vrid) for row in self.rows(hosts.election))
        assert set(vrids.values()) <= {1}

    # What holds when all has come to rest.

    def promises(self) -> None:
        cloud = self.world.db.read_now(lambda tx: clouds.look(tx, DOWN, 0.0, DELAY))
        living = {name for name, agent in self.world.agents.items() if not agent.silent}
        assert cloud.alive == living
        self.routers_are_carried(cloud)
        self.networks_are_served(cloud)
        self.nothing_is_left_over()

    def routers_are_carried(self, cloud: clouds.Cloud) -> None:
        wishes = self.wishes("l3")
        for id_, facts in self.world.db.read_now(lambda tx: routers.facts_of(tx, None)).items():
            usable = self.usable(cloud, "l3", wishes.get(id_, Wishes()))
            there = set(facts.candidates)
            assert facts.exists
            assert not facts.moving
            assert there or not usable, f"{id_} is nowhere, and could be on {usable}"
            opened = self.world.open_on(id_)
            if there & cloud.alive:
                assert len(opened) == 1, f"{id_}: open on {opened}, on {there}"
            if usable:
                assert opened, f"{id_} could be on {usable}"
                assert not opened & cloud.draining, f"{id_} could leave {opened} for {usable}"
                assert facts.elected == (there if facts.redundant else set())
                kind = MOST if facts.redundant else 1
                assert len(there & cloud.alive) >= min(kind, len(usable))
                wanted = wishes.get(id_, Wishes()).on
                assert len(there) <= max(kind, len(wanted & there) + kind)
                assert facts.redundant or len(there) == 1

    def networks_are_served(self, cloud: clouds.Cloud) -> None:
        wishes = self.wishes("dhcp")
        for id_ in self.networks():
            usable = self.usable(cloud, "dhcp", wishes.get(id_, Wishes()))
            there = {row.host for row in self.rows(hosts.dhcp_server) if row.network_id == id_}
            assert len(there & cloud.alive) >= min(SERVERS, len(usable))
            assert len(there) <= SERVERS + len(wishes.get(id_, Wishes()).on & there)
            if len(usable) >= SERVERS:
                assert not there & cloud.draining

    def nothing_is_left_over(self) -> None:
        assert {row.router_id for row in self.rows(hosts.router_candidate)} <= set(self.routers())
        assert {row.network_id for row in self.rows(hosts.dhcp_server)} <= set(self.networks())
        used = {row.election_id for row in self.rows(hosts.router_candidate)}
        kept = {row.id for row in self.rows(hosts.election) if row.retired is None}
        assert kept <= used, "no election without use"
        assert not [row for row in self.rows(hosts.rebalance) if row.running]
        short = {(row.role, row.object_id) for row in self.rows(hosts.shortfall)}
        known = {("l3", id_) for id_ in self.routers()} | {("dhcp", id_) for id_ in self.networks()}
        assert short <= known | {("host", name) for name in self.world.agents}

    # What the rules ask.

    def usable(self, cloud: clouds.Cloud, role: str, wishes: Wishes) -> set[str]:
        """The hosts that may carry something new."""
        return {
            name
            for name in cloud.alive - cloud.draining - wishes.off
            if role not in cloud.hosts[name].disabled
        }

    def named(self, place: str | int) -> str:
        if isinstance(place, str):
            return place
        opened = [name for id_ in self.routers()[place : place + 1] for name in self.world.open_on(id_)]
        return min(opened, default=NAMES[0])

    def wishes(self, role: str) -> dict[str, Wishes]:
        return self.world.db.read_now(lambda tx: wishes_of(tx, role, None))

    def routers(self) -> list[str]:
        table = router.resource.table
        query = select(table.c.id).order_by(table.c.number)
        return self.world.db.read_now(lambda tx: list(tx.execute(query).scalars()))

    def networks(self) -> list[str]:
        table = network.resource.table
        query = select(table.c.id).where(table.c.name == "net").order_by(table.c.provider_segmentation_id)
        return self.world.db.read_now(lambda tx: list(tx.execute(query).scalars()))

    def rows(self, table: Table) -> list[Any]:
        return self.world.db.read_now(lambda tx: list(tx.execute(select(table))))

    def asked(self, ask: Callable[[], object]) -> None:
        """Ask for something that may make no sense, and let it begin."""
        with suppress(NeutronError):
            ask()
        self.world.step()


Placing.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestPlacing = Placing.TestCase
