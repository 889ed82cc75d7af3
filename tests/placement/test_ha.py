"""HA networks: whose they are, which VRIDs are given out on them, when they go; and what is seen of them."""

import dataclasses
import itertools
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, update

from deuteron.placement import ha, ha_ports, service
from deuteron.plan.units import Election, Router
from deuteron.policy.who import Who, with_implied
from deuteron.resources import hosts, network, operations, owners, port, registry, router, rows
from deuteron.resources.call import Call
from deuteron.resources.query import Query
from deuteron.settings import ServerSettings
from deuteron.store import Database, Tx
from tests.placement.cloud import Cloud

CLOUD = ServerSettings()
PROJECT = ServerSettings(ha_network_scope="project")
HOSTS = tuple(f"net{number}" for number in range(1, 9))


@given(
    st.dictionaries(
        st.sampled_from(["first", "second", "third"]),
        st.one_of(st.just(set(ha.VRIDS)), st.sets(st.integers(1, 254))),
    )
)
def test_the_lowest_free_vrid_of_the_first_network_that_has_one(taken: dict[str, set[int]]) -> None:
    chosen, vrid = ha.free_vrid(taken)
    assert vrid in ha.VRIDS
    full = [name for name, vrids in taken.items() if len(vrids) == len(ha.VRIDS)]
    if chosen is None:
        assert full == list(taken)
        assert vrid == 1
        return
    assert vrid not in taken[chosen]
    assert all(lower in taken[chosen] for lower in range(1, vrid))
    assert list(itertools.takewhile(lambda name: name != chosen, taken)) == full[: list(taken).index(chosen)]


def add_hosts(call: Call) -> None:
    for number, name in enumerate(HOSTS):
        values = {
            "name": name,
            "roles": ["l3"],
            "vtep": f"192.0.2.{number + 1}",
            "physical_networks": [],
            "zone": "nova",
            "version": "",
            "started": 1.0,
            "created": 1.0,
            "last_seen": time.time(),
            "problems": {},
            "agents": {},
        }
        call.tx.execute(insert(hosts.host).values(values))


def add_router(call: Call, project: str, candidates: tuple[str, ...]) -> str:
    """Create a redundant router and place it."""
    made = operations.create(call, router.resource, {"ha": True, "project_id": project})["id"]
    ride(call, made, candidates)
    return str(made)


def ride(call: Call, router_id: str, candidates: tuple[str, ...]) -> None:
    """Give a router the candidates of an election."""
    election_id = ha.election_for(call, router_id, candidates)
    table = hosts.router_candidate
    call.tx.execute(table.delete().where(table.c.router_id == router_id))
    for position, name in enumerate(candidates):
        values = {"router_id": router_id, "host": name, "position": position, "gate": "election"}
        values |= {"election_id": election_id, "draining": False, "version": 1, "applied": 1}
        call.tx.execute(insert(table).values(values))


def remove_router(call: Call, router_id: str) -> None:
    operations.delete(call, router.resource, router_id)
    table = hosts.router_candidate
    call.tx.execute(table.delete().where(table.c.router_id == router_id))


class Bench:
    """A database with hosts, and no loop: time passes when the test says so."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = time.time()
        self.call(CLOUD, add_hosts)

    def call(self, settings: ServerSettings, work: Any) -> Any:
        return self.db.write_now(lambda tx: work(Call(tx=tx, settings=settings)))

    def router(self, settings: ServerSettings, project: str, *candidates: str) -> str:
        made = self.call(settings, partial(add_router, project=project, candidates=candidates))
        return str(made)

    def pass_time(self, seconds: float) -> None:
        """Do the chores every five seconds."""
        end = self.now + seconds
        while self.now < end:
            self.now += service.SWEEP_SECONDS
            stale = self.db.read_now(lambda tx: ha_ports.unsettled(tx, None))
            self.call(CLOUD, partial(ha_ports.show, router_ids=stale))
            self.call(CLOUD, partial(ha.do_chores, now=self.now))

    def rows(self, table: Any) -> list[Any]:
        return self.db.read_now(lambda tx: list(tx.execute(select(table))))

    def check(self) -> None:
        """Whatever happened: numbers are unique, routers ride with their own, nothing is left over."""
        networks = {row.network_id: row for row in self.rows(hosts.ha_network)}
        elections = {row.id: row for row in self.rows(hosts.election)}
        ports = {row.id: row for row in self.rows(port.resource.table)}
        assert {row.id for row in self.rows(network.resource.table)} == networks.keys()
        assert {row.ha_network_id for row in elections.values()} <= networks.keys()
        numbers = Counter((row.ha_network_id, row.vrid) for row in elections.values())
        assert set(numbers.values()) <= {1}
        heartbeats = {(row.network_id, row.host): row.port_id for row in self.rows(hosts.ha_port)}
        needed = {(row.ha_network_id, name) for row in elections.values() for name in row.candidates}
        assert heartbeats.keys() == needed
        assert {ports[id_].device_owner for id_ in heartbeats.values()} <= {owners.HEARTBEAT}
        wanted = set()
        for row in self.rows(hosts.router_candidate):
            riding = elections[row.election_id]
            assert riding.retired is None
            assert row.host in riding.candidates
            wanted.add((row.router_id, riding.ha_network_id, row.host))
        shown = [one for one in ports.values() if one.device_owner == owners.HA_PORT]
        assert Counter((one.device_id, one.network_id, one.binding_host_id) for one in shown) == Counter(
            wanted
        )
        assert len(ports) == len(heartbeats) + len(shown)


@pytest.fixture
def bench(db: Database) -> Bench:
    return Bench(db)


def leaves(call: Call, router_id: str) -> None:
    """Have a router that rides on an election be on its first candidate alone; the others are still there."""
    table = hosts.router_candidate
    mine = call.tx.execute(select(table).where(table.c.router_id == router_id)).all()
    move = {
        "id": "move",
        "router_id": router_id,
        "running": router_id,
        "source": mine[0].host,
        "candidates": [mine[0].host],
        "previous": {row.host: [row.position, row.gate, row.election_id] for row in mine},
        "election_id": None,
        "phase": "close",
        "phase_since": 1.0,
        "steps": [],
        "reason": "",
        "detail": "",
        "purpose": "",
    }
    call.tx.execute(insert(hosts.router_move).values(move))
    call.tx.execute(update(table).where(table.c.router_id == router_id).values(election_id=None))


def test_an_election_that_a_router_leaves_lasts_until_all_have_followed(bench: Bench) -> None:
    """Whoever stands by and was not told yet would take over when the active one ends it first."""
    router_id = bench.router(CLOUD, "p", *HOSTS[:3])
    bench.call(CLOUD, partial(leaves, router_id=router_id))
    bench.pass_time(30)
    (left,) = bench.rows(hosts.election)
    assert left.retired is None
    candidate, ended = hosts.router_candidate, {"running": None, "phase_since": bench.now}
    ends = {hosts.router_move: ended, candidate: {"version": candidate.c.applied + 1}}
    for table, values in ends.items():
        bench.call(CLOUD, lambda call, t=table, v=values: call.tx.execute(update(t).values(v)))
    bench.pass_time(service.SWEEP_SECONDS)
    (left,) = bench.rows(hosts.election)
    assert left.retired is None, "the move has ended, but nobody said so far that he has heard of it"
    bench.call(CLOUD, lambda call: call.tx.execute(update(candidate).values(applied=candidate.c.version)))
    bench.pass_time(service.SWEEP_SECONDS)
    (left,) = bench.rows(hosts.election)
    assert left.retired is not None


def whose(bench: Bench, router_id: str) -> tuple[str, int]:
    """Return the project and number of the HA network that a router is on."""
    found = (
        select(hosts.ha_network.c.project_id, hosts.ha_network.c.number)
        .join(hosts.election, hosts.election.c.ha_network_id == hosts.ha_network.c.network_id)
        .join(hosts.router_candidate, hosts.router_candidate.c.election_id == hosts.election.c.id)
        .where(hosts.router_candidate.c.router_id == router_id)
    )
    (one,) = set(bench.db.read_now(lambda tx: tx.execute(found).all()))
    return str(one.project_id), int(one.number)


@pytest.mark.parametrize("scope", [CLOUD, PROJECT], ids=["cloud", "project"])
def test_three_hundred_elections(bench: Bench, scope: ServerSettings) -> None:
    """More than the VRIDs of one network: a second one is made, of the same cloud or project."""
    lists = list(itertools.islice(itertools.permutations(HOSTS, 3), 300))

    def work(call: Call) -> None:
        for candidates in lists:
            add_router(call, "p", candidates)

    bench.call(scope, work)
    networks = {row.network_id: row for row in bench.rows(hosts.ha_network)}
    project = "" if scope is CLOUD else "p"
    assert sorted((row.project_id, row.number) for row in networks.values()) == [(project, 1), (project, 2)]
    elections = bench.rows(hosts.election)
    assert Counter(networks[row.ha_network_id].number for row in elections) == {1: 254, 2: 46}
    assert len({(row.ha_network_id, row.vrid) for row in elections}) == 300
    bench.pass_time(5)
    bench.check()
    vnis = {row.provider_segmentation_id for row in bench.rows(network.resource.table)}
    assert len(vnis) == 2


def test_projects_have_their_own_networks_and_share_none(bench: Bench) -> None:
    made = [bench.router(PROJECT, project, "net1", "net2") for project in ("p", "q", "p")]
    assert [whose(bench, one) for one in made] == [("p", 1), ("q", 1), ("p", 1)]
    assert len(bench.rows(hosts.election)) == 2, "routers of a project with the same candidates ride together"


def test_another_setting_is_for_new_routers(bench: Bench) -> None:
    """A router that is in an election stays on its HA network, wherever it is moved."""
    old = bench.router(CLOUD, "p", "net1", "net2")
    new = bench.router(PROJECT, "p", "net1", "net2")
    assert [whose(bench, one) for one in (old, new)] == [("", 1), ("p", 1)]
    bench.call(PROJECT, partial(ride, router_id=old, candidates=("net3", "net1")))
    bench.call(CLOUD, partial(ride, router_id=new, candidates=("net2", "net1")))
    assert [whose(bench, one) for one in (old, new)] == [("", 1), ("p", 1)]
    bench.pass_time(120)
    bench.check()


def test_a_network_goes_with_its_last_router(bench: Bench) -> None:
    first, second = (bench.router(PROJECT, "p", *names) for names in (("net1", "net2"), ("net2", "net3")))
    other = bench.router(PROJECT, "q", "net1", "net2")
    bench.pass_time(30)
    bench.call(PROJECT, partial(remove_router, router_id=first))
    bench.pass_time(30)
    assert Counter(row.project_id for row in bench.rows(hosts.ha_network)) == {"p": 1, "q": 1}
    bench.call(PROJECT, partial(remove_router, router_id=second))
    bench.pass_time(15)
    assert [row.project_id for row in bench.rows(hosts.ha_network)] == ["q"]
    bench.check()
    bench.call(PROJECT, partial(remove_router, router_id=other))
    bench.pass_time(15)
    for table in (
        network.resource.table,
        port.resource.table,
        hosts.election,
        hosts.ha_network,
        hosts.ha_port,
    ):
        assert bench.rows(table) == []


def test_a_network_with_somebody_elses_port_stays(bench: Bench) -> None:
    made = bench.router(PROJECT, "p", "net1", "net2")
    (row,) = bench.rows(hosts.ha_network)
    body = {"network_id": row.network_id, "project_id": "x"}
    foreign = bench.call(PROJECT, lambda call: operations.create(call, port.resource, body))["id"]
    bench.pass_time(15)
    bench.call(PROJECT, partial(remove_router, router_id=made))
    bench.pass_time(120)
    assert [one.network_id for one in bench.rows(hosts.ha_network)] == [row.network_id]
    bench.call(PROJECT, lambda call: operations.delete(call, port.resource, foreign))
    bench.pass_time(10)
    assert bench.rows(hosts.ha_network) == []


def test_a_host_that_was_deleted_and_returns_has_its_heartbeat_again(bench: Bench) -> None:
    bench.router(CLOUD, "p", "net1", "net2")
    bench.pass_time(5)
    heartbeats = [one for one in bench.rows(port.resource.table) if one.device_owner == owners.HEARTBEAT]
    lost = next(one for one in heartbeats if one.binding_host_id == "net2")
    table = port.resource.table
    bench.call(CLOUD, lambda call: call.tx.execute(table.delete().where(table.c.id == lost.id)))
    bench.pass_time(5)
    bench.check()


LISTS = [order for count in (2, 3) for order in itertools.permutations(HOSTS[:4], count)]
SCOPES = st.sampled_from([CLOUD, PROJECT])
STEPS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(["p", "q", ""]), st.sampled_from(LISTS), SCOPES),
    st.tuples(st.just("move"), st.integers(0, 9), st.sampled_from(LISTS), SCOPES),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("promote"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([5, 15, 90])),
)


def take(bench: Bench, routers: list[str], step: Any) -> None:
    match step:
        case ("create", project, candidates, scope):
            routers.append(bench.router(scope, project, *candidates))
        case ("move", which, candidates, scope) if routers:
            moved = routers[which % len(routers)]
            before = whose(bench, moved)
            bench.call(scope, partial(ride, router_id=moved, candidates=candidates))
            assert whose(bench, moved)[0] == before[0]
        case ("delete", which) if routers:
            bench.call(CLOUD, partial(remove_router, router_id=routers.pop(which % len(routers))))
        case ("promote", which) if rows := bench.rows(hosts.election):
            row = rows[which % len(rows)]
            change = update(hosts.election).where(hosts.election.c.id == row.id)
            bench.call(
                CLOUD, lambda call: call.tx.execute(change.values(active=row.candidates[-1], joined=True))
            )
        case ("wait", seconds):
            bench.pass_time(seconds)


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest) -> Path:
    """An SQLite database with all tables, to be copied."""
    return Path(request.getfixturevalue("_prepared_sqlite"))


@given(steps=st.lists(STEPS, max_size=12))
@settings(max_examples=25, deadline=None)
def test_whatever_comes_and_goes(prepared: Path, steps: list[Any]) -> None:
    """Routers of several projects, in both scopes, in any order; in the end nothing is left."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "deuteron.db"
        shutil.copy(prepared, path)
        db = Database(f"sqlite:///{path}")
        try:
            bench, routers = Bench(db), list[str]()
            for step in steps:
                take(bench, routers, step)
            bench.pass_time(5)
            bench.check()
            for one in routers:
                bench.call(CLOUD, partial(remove_router, router_id=one))
            bench.pass_time(20)
            assert bench.rows(hosts.ha_network) == bench.rows(network.resource.table) == []
            bench.check()
        finally:
            db.close()


def test_two_at_once_in_a_new_project_make_one_network(db: Database) -> None:
    """Whatever the controllers: the second one waits, or tries again and finds what the first one made."""
    bench = Bench(db)
    others = [db, Database(db.url.render_as_string(hide_password=False))]
    lists = list(itertools.islice(itertools.permutations(HOSTS, 3), 12))
    start, failed = threading.Barrier(len(lists)), list[Exception]()

    def work(number: int) -> None:
        start.wait()
        try:
            there = others[number % 2]
            making = partial(add_router, project="p", candidates=lists[number])
            there.write_now(lambda tx: making(Call(tx=tx, settings=PROJECT)))
        except Exception as error:  # noqa: BLE001 - the assertion below shows it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(lists))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    others[1].close()
    assert failed == []
    assert [(row.project_id, row.number) for row in bench.rows(hosts.ha_network)] == [("p", 1)]
    assert len(bench.rows(hosts.election)) == len(lists)
    bench.pass_time(5)
    bench.check()


@pytest.fixture
def cloud(database_url: str, patient: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Placement with agents that pretend; ends of elections are noticed soon."""
    monkeypatch.setattr(service, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr(ha, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(ha, "UNUSED_SECONDS", 0.3)
    made = Cloud(database_url, ha_network_scope="project", max_l3_agents_per_router=0)
    yield made
    made.close()


def test_projects_routers_are_held_apart_on_the_hosts(cloud: Cloud) -> None:
    """Each agent is told of an election for each project, on networks with different VNIs; deletes end it."""
    for name in HOSTS[:3]:
        cloud.agent(name)
    made = [cloud.create("routers", ha=True, project_id=project)["id"] for project in ("p", "q")]
    cloud.until(lambda: all(len(agent.units(Election)) == 2 for agent in cloud.agents.values()))
    units = [unit for agent in cloud.agents.values() for unit in agent.units(Election).values()]
    held = {(unit.ha_network, unit.vni, unit.vrid) for unit in units}
    assert len(held) == len({network for network, _, _ in held}) == len({vni for _, vni, _ in held}) == 2
    names = {one["name"] for one in cloud.list("networks")}
    assert names == {"HA network tenant p", "HA network tenant q"}
    cloud.delete("routers", made[0])
    cloud.until(lambda: {one["name"] for one in cloud.list("networks")} == {"HA network tenant q"})
    cloud.until(lambda: all(len(agent.units(Election)) == 1 for agent in cloud.agents.values()))
    cloud.delete("routers", made[1])
    cloud.until(lambda: not cloud.list("networks") and not cloud.list("ports"))
    cloud.until(lambda: not any(agent.plan for agent in cloud.agents.values()))


def test_more_candidates_than_steps_of_priority(cloud: Cloud) -> None:
    """With a limit of 0 all hosts are candidates; all have priorities of their own."""
    for name in HOSTS:
        cloud.agent(name)
    made = cloud.create("routers", ha=True)["id"]

    def ridden() -> list[Election]:
        """The units of the election that the router rides on all hosts; none while they do not agree."""
        found = [agent.units(Router).get(made) for agent in cloud.agents.values()]
        (one, *more) = {unit.election if unit else None for unit in found}
        units = [agent.units(Election).get(one or "") for agent in cloud.agents.values()]
        return [] if more or None in units else [unit for unit in units if unit]

    units = cloud.until(ridden)
    assert sorted((unit.priority for unit in units), reverse=True)[:4] == [250, 200, 150, 100]
    assert len({unit.priority for unit in units}) == len(HOSTS)
    assert {len(unit.peers) for unit in units} == {len(HOSTS) - 1}


def test_a_routers_ports_show_where_its_heartbeat_travels(cloud: Cloud) -> None:
    for name in HOSTS[:3]:
        cloud.agent(name)
    made = cloud.create("routers", ha=True, project_id="p")["id"]

    def shown() -> list[dict[str, Any]]:
        return [one for one in cloud.list("ports") if one["device_owner"] == owners.HA_PORT]

    def ridden() -> set[str | None]:
        """The election of the router; beside it there may be one that it has left."""
        return {agent.units(Router)[made].election for agent in cloud.agents.values()}

    cloud.until(lambda: len(shown()) == 3 and all(one["status"] == "ACTIVE" for one in shown()))
    cloud.until(lambda: len(ridden()) == 1)
    election = ridden().pop()
    assert election
    units = {name: agent.units(Election)[election] for name, agent in cloud.agents.items()}
    for one in shown():
        unit = units[one["binding:host_id"]]
        assert (one["name"], one["project_id"], one["device_id"]) == ("HA port tenant p", "", made)
        assert one["mac_address"] == unit.mac
        assert [fixed["ip_address"] for fixed in one["fixed_ips"]] == [unit.address.partition("/")[0]]
    agent = cloud.agents["net2"]
    agent.states[election] = msgspec.structs.replace(agent.states[election], state="fault")
    cloud.reports.take("net2", msgspec.structs.replace(agent.report, elections=tuple(agent.states.values())))
    down = {one["binding:host_id"] for one in shown() if one["status"] == "DOWN"}
    assert down == {"net2"}
    cloud.delete("routers", made)
    assert shown() == []


def test_an_ha_port_that_is_made_while_its_heartbeat_changes_shows_the_change(three: Cloud) -> None:
    made = three.create("routers", ha=True, project_id="p")["id"]
    table = port.resource.table
    shown = select(table.c.id, table.c.status).where(
        table.c.device_owner == owners.HA_PORT, table.c.binding_host_id == "net2"
    )
    three.until(
        lambda: [one.status for one in three.db.read_now(lambda tx: tx.execute(shown).all())] == ["ACTIVE"]
    )
    three.placement.stop()
    changed, again = threading.Event(), threading.Event()

    def show(call: Call) -> None:
        ha_ports.show(call, [made])

    def make() -> None:
        changed.wait(10)
        three.call(show)
        again.set()

    def change(tx: Tx) -> None:
        heartbeat = (table.c.device_owner == owners.HEARTBEAT, table.c.binding_host_id == "net2")
        tx.execute(update(table).where(*heartbeat).values(status="DOWN"))
        ha_ports.follow_status(tx, "net2")
        changed.set()
        again.wait(0.5)  # who makes it must wait for this transaction, or for one like it

    def remove(call: Call) -> None:
        for one in call.tx.execute(shown).all():
            rows.remove(call, port.resource, one.id)

    three.call(remove)
    maker = threading.Thread(target=make)
    maker.start()
    three.db.write_now(change)
    maker.join(20)
    assert [one.status for one in three.db.read_now(lambda tx: tx.execute(shown).all())] == ["DOWN"]


def test_members_of_a_project_do_not_see_what_is_hidden(cloud: Cloud) -> None:
    for name in HOSTS[:3]:
        cloud.agent(name)
    made = cloud.create("routers", ha=True, project_id="p")["id"]
    cloud.until(lambda: len(cloud.list("ports")) == 6)
    assert {tuple(one["security_groups"]) for one in cloud.list("ports")} == {()}
    member = Who(user_id="u", project_id="p", roles=with_implied(frozenset({"member"})))

    def seen(collection: str) -> list[str]:
        resource = registry.load().resources[collection]

        def work(call: Call) -> list[str]:
            asking = dataclasses.replace(call, who=member)
            return [one["id"] for one in operations.listing(asking, resource, Query())]

        return cloud.call(work)

    assert seen("routers") == [made]
    assert seen("networks") == seen("subnets") == seen("ports") == []
