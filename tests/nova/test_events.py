"""From what happens to a port to what Nova hears of it."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select, update

from deuteron.nova import client, service
from deuteron.nova.client import NovaRefuses
from deuteron.plan.units import Report
from deuteron.resources.nova_queue import nova_event
from deuteron.settings import NovaSettings, ServerSettings
from deuteron.store import Database
from tests.api.conftest import Client, serve
from tests.nova.nova_double import Nova

TOLD = ServerSettings(notify_nova_on_port_status_changes=True, notify_nova_on_port_data_changes=True)
PLUGGED, UNPLUGGED = "network-vif-plugged", "network-vif-unplugged"


@pytest.fixture
def api(db: Database) -> Iterator[Client]:
    yield from serve(db, TOLD)


@contextmanager
def _teller(db: Database, settings: NovaSettings) -> Iterator[None]:
    teller = service.start(db, settings)
    try:
        yield
    finally:
        teller.stop()


def _report(api: Client, host: str, *, up: Sequence[str] = (), down: Sequence[str] = ()) -> None:
    """Say what an agent says of ports."""
    report = Report(
        started=1.0, roles=("l2",), vtep="192.0.2.1", ports_up=tuple(up), ports_down=tuple(down), full=False
    )
    answer = api.request("POST", f"//agent/v1/hosts/{host}/report", msgspec.to_builtins(report))
    assert answer.status == 204, answer


def _port(api: Client, server: str, **values: Any) -> str:
    network = api.make("network")["id"]
    api.make("subnet", network_id=network, cidr="10.0.0.0/24", ip_version=4)
    given = {"network_id": network, "device_id": server, "device_owner": "compute:nova", **values}
    return str(api.make("port", **given)["id"])


def _say_until(api: Client, port: str, holds: Callable[[], bool]) -> None:
    """Say for host b that a port is up, which an agent does when it has a plan: here it may be too early."""
    for _ in range(200):
        _report(api, "b", up=[port])
        if holds():
            return
        _report(api, "b", down=[port])
        time.sleep(0.05)
    raise AssertionError("not in time")


def _rename(api: Client, port: str) -> None:
    assert api.put(f"/ports/{port}", {"port": {"name": "web"}}).status == 200


def _queued(db: Database) -> int:
    count: int = db.read_now(lambda tx: tx.execute(select(func.count()).select_from(nova_event)).scalar_one())
    return count


def test_an_instances_port_from_boot_to_deletion(
    db: Database, api: Client, nova: Nova, settings: NovaSettings
) -> None:
    port = _port(api, nova.server(), binding__host_id="a")
    with _teller(db, settings):
        _report(api, "a", up=[port])
        nova.hears(1)
        assert nova.told[0] == {
            "name": PLUGGED,
            "server_uuid": next(iter(nova.servers)),
            "tag": port,
            "status": "completed",
        }
        _report(api, "a", down=[port])
        _report(api, "a", up=[port])
        nova.hears(3)
        _rename(api, port)
        nova.hears(4)
        assert "status" not in nova.told[3]
        assert api.delete(f"/ports/{port}").status == 204
        nova.hears(5)
    assert [name for name, _ in nova.heard()] == [
        PLUGGED,
        UNPLUGGED,
        PLUGGED,
        "network-changed",
        "network-vif-deleted",
    ]
    assert {tag for _, tag in nova.heard()} == {port}
    assert _queued(db) == 0


def test_a_live_migration(db: Database, api: Client, nova: Nova, settings: NovaSettings) -> None:
    port = _port(api, nova.server(), binding__host_id="a")
    _report(api, "a", up=[port])
    assert api.post(f"/ports/{port}/bindings", {"binding": {"host": "b"}}).status == 201
    _say_until(api, port, lambda: _queued(db) == 2)
    assert api.shown("port", port)["status"] == "ACTIVE"
    assert api.put(f"/ports/{port}/bindings/b/activate", None).status == 200
    _report(api, "a", down=[port])
    assert api.shown("port", port)["status"] == "DOWN"
    _say_until(api, port, lambda: api.shown("port", port)["status"] == "ACTIVE")
    assert api.delete(f"/ports/{port}/bindings/a").status == 204
    with _teller(db, settings):
        nova.hears(4)
    assert [name for name, _ in nova.heard()] == [PLUGGED, PLUGGED, UNPLUGGED, PLUGGED]


def test_floating_ips_are_told_to_who_gets_them_and_to_who_loses_them(
    db: Database, api: Client, nova: Nova, settings: NovaSettings
) -> None:
    external = api.make("network", router__external=True)["id"]
    api.make("subnet", network_id=external, cidr="203.0.113.0/24", ip_version=4)
    inside = api.make("network")["id"]
    subnet = api.make("subnet", network_id=inside, cidr="10.0.0.0/24", ip_version=4)["id"]
    router = api.make("router", external_gateway_info={"network_id": external})["id"]
    assert api.put(f"/routers/{router}/add_router_interface", {"subnet_id": subnet}).status == 200
    one, other = (
        api.make("port", network_id=inside, device_id=nova.server(), device_owner="compute:nova")["id"]
        for _ in range(2)
    )
    floating = api.make("floatingip", floating_network_id=external, port_id=one)["id"]
    with _teller(db, settings):
        nova.hears(1)
        assert api.put(f"/floatingips/{floating}", {"floatingip": {"port_id": other}}).status == 200
        nova.hears(3)
        assert api.delete(f"/floatingips/{floating}").status == 204
        nova.hears(4)
    assert next(tag for _, tag in nova.heard()) == one
    assert {tag for _, tag in nova.heard()[1:3]} == {one, other}
    assert nova.heard()[3][1] == other


def test_what_is_not_novas_is_not_told(db: Database, api: Client) -> None:
    for owner, device in (("container:x", str(uuid.uuid4())), ("compute:nova", "no-uuid"), ("", "")):
        port = _port(api, device, device_owner=owner, binding__host_id="a")
        _report(api, "a", up=[port])
        _rename(api, port)
        assert api.delete(f"/ports/{port}").status == 204
    assert _queued(db) == 0


def test_nothing_is_queued_where_nobody_is_to_be_told(db: Database) -> None:
    for api in serve(db, ServerSettings()):
        port = _port(api, str(uuid.uuid4()), binding__host_id="a")
        _report(api, "a", up=[port])
        _rename(api, port)
        assert api.delete(f"/ports/{port}").status == 204
    assert _queued(db) == 0


def test_what_nova_did_not_take_outlives_the_server(
    db: Database, api: Client, nova: Nova, settings: NovaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BACK_OFF", (0.05, 0.1))
    port = _port(api, nova.server(), binding__host_id="a")
    nova.down = True
    with _teller(db, settings):
        _report(api, "a", up=[port])
        _report(api, "a", down=[port])
        for _ in range(200):
            if len(nova.requests) >= 3:
                break
            time.sleep(0.05)
    assert _queued(db) == 2
    nova.down = False
    with _teller(db, settings), _teller(db, settings):
        nova.hears(2)
    assert [name for name, _ in nova.heard()] == [PLUGGED, UNPLUGGED]
    assert _queued(db) == 0


class _Particular:
    """Refuses what is about one port, and fails as often as it is told to."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.took: list[str] = []

    def tell(self, events: Sequence[dict[str, str]]) -> list[int]:
        if any(event["tag"] == self.refused for event in events):
            raise NovaRefuses("no")
        self.took += [event["tag"] for event in events]
        return [200] * len(events)


def test_one_event_that_nova_refuses_does_not_hold_up_the_others(db: Database, api: Client) -> None:
    ports = [_port(api, str(uuid.uuid4()), binding__host_id="a") for _ in range(3)]
    _report(api, "a", up=ports)
    asked = _Particular(ports[1])
    assert service.Teller(db, asked).turn() == 0
    assert sorted(asked.took) == sorted([ports[0], ports[2]])
    assert _queued(db) == 0


def test_what_is_a_day_old_is_left_out(db: Database, api: Client, nova: Nova, settings: NovaSettings) -> None:
    port = _port(api, nova.server(), binding__host_id="a")
    _report(api, "a", up=[port])
    _report(api, "a", down=[port])
    first = select(func.min(nova_event.c.id)).scalar_subquery()
    old = update(nova_event).where(nova_event.c.id == first).values(created=1.0)
    db.write_now(lambda tx: tx.execute(old))
    nova.down = True
    assert service.Teller(db, client.Nova(settings)).turn() > 0
    assert _queued(db) == 1
