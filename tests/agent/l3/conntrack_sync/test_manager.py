import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deuteron.agent.context import Context
from deuteron.agent.l3.conntrack_sync.manager import NAME, ConnectionSync
from deuteron.agent.status import Status
from deuteron.agent.system.daemons import Daemons
from deuteron.plan.units import Router
from tests.agent.l3.conntrack_sync.twins import wait_for

pytestmark = pytest.mark.lab

ALONE = Router(id="alone", number=1)
TWIN = Router(id="twin", number=2, twins=("127.0.0.1",))


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    address = "127." + ".".join(str(1 + byte % 254) for byte in os.urandom(3))
    made = Context(
        host="net1",
        local_ip=address,
        bridge_mappings={},
        run_dir=tmp_path,
        state_dir=tmp_path,
        daemons=Daemons(tmp_path),
        status=Status(),
    )
    yield made
    made.daemons.stop(NAME)


def test_it_runs_where_a_router_has_twins_and_outlives_the_agent(context: Context) -> None:
    manager = ConnectionSync(context)
    manager.put(ALONE)
    assert manager.apply() == {}
    assert context.daemons.pid(NAME) is None
    manager.put(TWIN)
    assert manager.apply() == {}
    pid = context.daemons.pid(NAME)
    assert pid
    status = context.run_dir / "conntrack" / "status.json"
    wait_for(status.exists)
    assert json.loads(status.read_text())["routers"] == 0
    successor = Daemons(context.run_dir)
    assert successor.pid(NAME) == pid
    assert manager.apply() == {}
    assert context.daemons.pid(NAME) == pid
    manager.delete("router/twin")
    manager.delete("port/unknown")
    assert manager.apply() == {}
    assert context.daemons.running() == set()


def test_it_is_said_of_each_router_when_it_cannot_run(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    manager = ConnectionSync(context)
    manager.put(TWIN)
    assert "not copied" in manager.apply()["router/twin"]
