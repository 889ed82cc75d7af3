"""Routers become redundant, plain, distributed, central: the steps, and that somebody always serves."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deuteron.placement import conversions, planned
from deuteron.placement.conversions import PATIENCE, PLACE_PATIENCE, Facts, Step, next_step, steps
from deuteron.resources.conversion import MODES, mode_of
from deuteron.resources.distribution import (
    Rung,
    floats_at_hosts,
    floats_centrally,
    has_parts,
    is_answered_centrally,
    is_central_inside,
    is_open,
)
from tests.placement.cloud import Cloud
from tests.placement.steps import open_on, routers_of

HOSTS = ("net1", "net2", "compute1", "compute2")
ACTIVE = "net1"
facts = st.builds(
    Facts,
    rung=st.integers(Rung.CENTRAL, Rung.DISTRIBUTED),
    distributed=st.booleans(),
    age=st.floats(0, 200),
    placed=st.booleans(),
    awaited=st.frozensets(st.sampled_from(HOSTS)),
    returns=st.booleans(),
)


@given(facts)
def test_one_rung_at_a_time_towards_the_goal(now: Facts) -> None:
    step = next_step(now)
    if step is not None and step.does == "climb":
        assert abs(step.rung - now.rung) == 1
        assert abs(now.goal - step.rung) < abs(now.goal - now.rung)


@given(facts)
def test_nobody_waits_for_ever(now: Facts) -> None:
    if now.age > max(PATIENCE, PLACE_PATIENCE):
        assert next_step(now) is not None


@given(facts)
def test_on_the_way_there_hosts_have_followed_before_the_next_rung(now: Facts) -> None:
    step = next_step(now)
    if step is not None and now.awaited and not now.returns:
        assert step.does == "return"
        assert all(name in step.reason for name in now.awaited)


@given(facts)
def test_the_candidates_come_first(now: Facts) -> None:
    step = next_step(now)
    at_an_end = now.rung in (Rung.CENTRAL, Rung.DISTRIBUTED)
    if step is not None and step.does == "climb" and not now.returns and at_an_end:
        assert now.placed


class World:
    """Hosts that follow rungs, each in its own time: who serves what follows from the rungs they are on."""

    def __init__(self, rung: int, distributed: bool) -> None:
        self.rung, self.last = rung, ""
        self.distributed, self.was, self.returns = distributed, rung == Rung.DISTRIBUTED, False
        self.at = dict.fromkeys(HOSTS, (rung, ""))
        self.age = 0.0
        self.ended = ""

    def awaited(self) -> frozenset[str]:
        return frozenset(host for host in HOSTS if self.at[host] != (self.rung, self.last))

    def turn(self) -> None:
        step = next_step(
            Facts(
                rung=self.rung,
                distributed=self.distributed,
                age=self.age,
                placed=True,
                awaited=self.awaited(),
                returns=self.returns,
            )
        )
        if step is None:
            return
        self.age = 0.0
        self.take(step)

    def take(self, step: Step) -> None:
        if step.does == "climb":
            self.rung = step.rung
            if step.rung == Rung.ELSEWHERE:
                self.last = ACTIVE
        elif step.does == "return":
            self.distributed, self.returns = self.was, True
        else:
            self.ended = step.does

    def unserved(self) -> list[str]:
        """Whose gateway does not answer, or whose floating IP is nowhere."""
        rung, last = self.at[ACTIVE]
        twin_inside = is_central_inside(rung)
        twin_hears = twin_inside and not is_open(rung, last, ACTIVE)
        found = []
        for host, (own, own_last) in self.at.items():
            local = is_open(own, own_last, host)
            if not (local or (twin_inside if host == ACTIVE else twin_hears)):
                found.append(f"{host}: nobody is its gateway")
            if local and not has_parts(rung):
                found.append(f"{host}: it does not reach the central part")
            if not (floats_at_hosts(own) or floats_centrally(rung)):
                found.append(f"{host}: its floating IPs are nowhere")
            if not (floats_at_hosts(own) or is_answered_centrally(rung)):
                found.append(f"{host}: it does not serve floating IPs, and the central part is mute")
            if not (floats_centrally(rung) or not is_answered_centrally(own)):
                found.append(f"{host}: it is mute, and the central part does not serve its floating IPs")
        return found


@given(st.booleans(), st.data())
def test_somebody_serves_every_host_at_every_moment(distributed: bool, data: st.DataObject) -> None:
    world = World(Rung.CENTRAL if distributed else Rung.DISTRIBUTED, distributed)
    stuck = data.draw(st.sampled_from([*[None] * 3, *HOSTS]), "a host that follows nothing on the way there")
    for _ in range(200):
        late = sorted(world.awaited() - ({stuck} if not world.returns else set()))
        if late:
            host = data.draw(st.sampled_from(late))
            world.at[host] = (world.rung, world.last)
        else:
            world.age += PATIENCE / 2
        assert world.unserved() == []
        world.turn()
        if world.ended:
            break
    assert world.ended == ("failed" if world.returns else "done")
    assert world.rung == (Rung.DISTRIBUTED if world.distributed else Rung.CENTRAL)


def test_every_pair_of_modes_has_steps() -> None:
    for before, after in itertools.permutations(MODES, 2):
        found = steps(before, after)
        assert found
        assert len(found) == len(set(found))
    assert mode_of(ha=True, distributed=True) == "dvr-ha"
    assert "mute" in " ".join(steps("ha", "dvr-ha"))


def test_a_conversion_is_planned_told_and_done(three: Cloud) -> None:
    router = str(three.create("routers", ha=False)["id"])
    three.until(lambda: bool(open_on(three, router)))
    asked = three.call(lambda call: planned.convert(call, router, "ha", dry_run=True))
    assert (asked["from"], asked["to"]) == ("legacy", "ha")
    assert three.call(lambda call: planned.conversions_of(call, router)) == []
    three.call(lambda call: planned.convert(call, router, "ha"))
    with pytest.raises(planned.RouterIsConverting):
        three.call(lambda call: planned.convert(call, router, "legacy"))
    with pytest.raises(planned.RouterIsConverting):
        three.call(lambda call: planned.move(call, router, "net2"))
    three.until(lambda: not conversions_under_way(three, router))
    (told,) = three.call(lambda call: planned.conversions_of(call, router))
    assert (told["phase"], told["running"]) == ("done", False)
    assert len(routers_of(three, router)) == 3
    with pytest.raises(planned.RouterIsSo):
        three.call(lambda call: planned.convert(call, router, "ha"))


def conversions_under_way(cloud: Cloud, router: str) -> bool:
    return any(one["running"] for one in cloud.call(lambda call: planned.conversions_of(call, router)))


def test_candidates_that_are_not_ready_in_time_lead_back(
    three: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, "PLACE_PATIENCE", 0.5)
    router = str(three.create("routers", ha=False)["id"])
    three.until(lambda: bool(open_on(three, router)))
    for agent in three.agents.values():
        agent.silent = True
    three.call(lambda call: planned.convert(call, router, "ha"))
    three.until(lambda: not conversions_under_way(three, router))
    (told,) = three.call(lambda call: planned.conversions_of(call, router))
    assert told["phase"] == "failed"
    assert "not ready within" in told["detail"]
