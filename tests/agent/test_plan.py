import json
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from deuteron.agent.follower import _key_of
from deuteron.agent.plan import Batch, Plan, PlanFile
from deuteron.agent.reconciler import Reconciler
from deuteron.agent.status import Status
from deuteron.agent.validity import unfit
from deuteron.plan.units import Delete, InSync, Network, Port, Put, Remote, Router, Snapshot, Unit

IDS = st.sampled_from(["a", "b", "c", "d"])
UNITS = st.one_of(
    st.builds(Network, id=IDS, type=st.just("vxlan"), mtu=st.integers(1280, 1284), vni=st.integers(1, 3)),
    st.builds(Port, id=IDS, network=IDS, mac=st.just("02:00:00:00:00:01"), mtu=st.just(1450)),
    st.builds(Remote, id=IDS, network=IDS, mac=st.just("02:00:00:00:00:02"), vtep=st.just("10.0.0.2")),
)
PLANS = st.lists(UNITS, max_size=8).map(lambda units: {unit.key: unit for unit in units})


def batch(messages: list[Put | Delete | Snapshot | InSync]) -> Batch:
    found = Batch()
    done = [found.add(message) for message in messages]
    assert done == [False] * (len(messages) - 1) + [True]
    return found


def delta(before: dict[str, Unit], after: dict[str, Unit], revision: str) -> Batch:
    gone = [Delete(key) for key in before if key not in after]
    return batch([*(Put(unit) for unit in after.values()), *gone, InSync(revision)])


def snapshot(plan: dict[str, Unit], revision: str = "r") -> Batch:
    return batch([Snapshot(), *(Put(unit) for unit in plan.values()), InSync(revision)])


def _plan_file(file: Path) -> PlanFile:
    return PlanFile(file, file.with_name("confirmed"))


@given(st.lists(PLANS, min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_batches_lead_to_the_plan_and_say_exactly_what_changed(
    plans: list[dict[str, Unit]], whole: list[bool]
) -> None:
    plan = Plan()
    told: dict[str, Unit] = {}
    before: dict[str, Unit] = {}
    for number, after in enumerate(plans):
        step = snapshot(after) if whole[number] or number == 0 else delta(before, after, "r")
        changed, gone = plan.take(step)
        assert not {unit.key for unit in changed} & set(gone)
        assert all(told.get(unit.key) != unit for unit in changed)
        told.update({unit.key: unit for unit in changed})
        for key in gone:
            del told[key]
        assert plan.units == told == after
        before = after


@given(st.lists(PLANS, min_size=1, max_size=6), st.integers(0, 400))
def test_the_file_holds_what_was_taken_also_with_a_torn_end(
    tmp_path_factory: object, plans: list[dict[str, Unit]], torn: int
) -> None:
    file = Path(str(tmp_path_factory.mktemp("plan"))) / "plan.ndjson"  # type: ignore[attr-defined]
    kept, plan = _plan_file(file), Plan()
    before: dict[str, Unit] = {}
    states = []
    for number, after in enumerate(plans):
        step = delta(before, after, f"r{number}") if number else snapshot(after, "r0")
        plan.take(step)
        kept.append(step, plan)
        states.append(dict(after))
        before = after
    loaded = _plan_file(file).load()
    assert loaded is not None
    assert (loaded.units, loaded.revision) == (plans[-1], f"r{len(plans) - 1}")
    file.write_bytes(file.read_bytes()[: -1 - torn])
    loaded = _plan_file(file).load()
    assert loaded is None or loaded.units in states


def test_a_corrupt_file_is_no_plan(tmp_path: Path) -> None:
    file = tmp_path / "plan.ndjson"
    plan, step = Plan(), snapshot({"network/a": Network(id="a", type="vxlan", mtu=1450, vni=1)})
    plan.take(step)
    _plan_file(file).append(step, plan)
    good = file.read_bytes()
    for bad in (b"", b"{}\n" + good, b"\xff\xfe\n" + good, good.replace(b"network", b"netwark"), good[20:]):
        file.write_bytes(bad)
        assert _plan_file(file).load() is None
    file.unlink()
    assert _plan_file(file).load() is None


def test_a_disk_that_cannot_be_written_leaves_no_old_plan_behind(tmp_path: Path) -> None:
    file = tmp_path / "state" / "plan.ndjson"
    kept, plan = _plan_file(file), Plan()
    first = snapshot({"network/a": Network(id="a", type="vxlan", mtu=1450, vni=1)})
    plan.take(first)
    file.parent.write_text("a file is in the way of the directory")
    kept.append(first, plan)
    assert "cannot be kept" in kept.problem
    file.parent.unlink()
    second = delta(plan.units, plan.units, "r2")
    plan.take(second)
    kept.append(second, plan)
    assert kept.problem == ""
    loaded = _plan_file(file).load()
    assert loaded is not None
    assert loaded.units == plan.units


def test_after_a_boot_a_router_that_is_the_only_one_waits_for_the_server(tmp_path: Path) -> None:
    alone = Router(id="a", number=1, gate="open")
    redundant = Router(id="b", number=2, gate="election", election="e")
    file, confirmed = tmp_path / "plan", tmp_path / "confirmed"
    told = batch([Snapshot("one"), Put(alone), Put(redundant), InSync("r1")])
    agent = Reconciler(PlanFile(file, confirmed), [], Status())
    agent.submit(told)
    agent.step()
    again = Reconciler(PlanFile(file, confirmed), [], Status())
    assert (again.revision, again._plan.units) == ("r1", {"router/a": alone, "router/b": redundant})
    confirmed.unlink()
    booted = Reconciler(PlanFile(file, confirmed), [], Status())
    closed = msgspec.structs.replace(alone, gate="closed")
    assert (booted.revision, booted._plan.units) == ("", {"router/a": closed, "router/b": redundant})
    booted.submit(told)
    booted.step()
    assert (booted.revision, booted._plan.units) == ("r1", {"router/a": alone, "router/b": redundant})
    assert confirmed.exists()


def test_what_cannot_be_used_stays_as_it_was() -> None:
    plan = Plan()
    good = Network(id="a", type="vxlan", mtu=1450, vni=1)
    plan.take(snapshot({good.key: good}))
    bad = Network(id="a", type="flat", mtu=1450, physical_network="x\nlink delete eth0")
    changed, gone = plan.take(batch([Snapshot(), Put(bad), InSync("r2")]))
    assert (changed, gone) == ([], [])
    assert plan.units == {good.key: good}
    assert "does not belong" in plan.unreadable[good.key] or "characters" in plan.unreadable[good.key]
    plan.take(delta({}, {good.key: good}, "r3"))
    assert plan.unreadable == {}


@given(st.text(max_size=20))
def test_no_text_of_a_fit_unit_can_end_a_word_or_a_line(text: str) -> None:
    unit = Remote(id="a", network=text, mac="02:00:00:00:00:02", vtep="10.0.0.2")
    if unfit(unit) is None:
        assert text.split() in ([text], [])
        assert not set(text) & set("\n\r\0;'\"\\`$(){}<>|&#,! ")
    if unfit(Network(id=text, type="vxlan", mtu=1450)) is None:
        assert text.isascii()
        assert "/" not in text
        assert text not in (".", "..", "")


def test_a_unit_of_an_unknown_kind_is_known_by_its_key() -> None:
    line = json.dumps({"op": "put", "unit": {"kind": "firewall", "id": "x"}}).encode()
    assert _key_of(line) == "firewall/x"
    assert _key_of(msgspec.json.encode(InSync("r"))) is None
    assert _key_of(b"nonsense") is None


def test_a_plan_from_another_database_is_refused_until_the_known_one_is_back(tmp_path: Path) -> None:
    port = Port(id="a", network="n", mac="02:00:00:00:00:01", mtu=1450)
    known = batch([Snapshot("one"), Put(port), InSync("r1")])
    foreign = batch([Snapshot("two"), InSync("x1")])
    follows = batch([Delete("port/a"), InSync("x2")])
    file = _plan_file(tmp_path / "plan")
    agent = Reconciler(file, [], Status())
    for one in (known, foreign, follows):
        agent.submit(one)
        agent.step()
    assert agent.revision == "r1"
    assert "planned from one" in Reconciler(file, [], Status())._plan.refusal(foreign)
    kept = file.load()
    assert kept is not None
    assert kept.units == {"port/a": port}
    agent.submit(batch([Snapshot("one"), InSync("r3")]))
    agent.step()
    assert agent.revision == "r3"
