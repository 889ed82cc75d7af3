"""The plan stream and the reports, over HTTP."""

import http.client
import threading
import time

import pytest

from deuteron.api import agents
from deuteron.plan import hub
from deuteron.plan.units import Dhcp, InSync, Keepalive, Lease, Put, Snapshot
from deuteron.plan.units import Port as PortUnit
from tests.agents_api.conftest import Cloud, Stream


def network(cloud: Cloud) -> str:
    made = cloud.api.make("network")["id"]
    cloud.api.make("subnet", network_id=made, ip_version=4, cidr="10.0.0.0/24")
    return str(made)


def instance(cloud: Cloud, network_id: str, host: str) -> str:
    made = cloud.api.make(
        "port", network_id=network_id, binding__host_id=host, device_owner="compute:nova", device_id="vm"
    )
    return str(made["id"])


def test_a_new_host_is_told_its_whole_plan(cloud: Cloud) -> None:
    port = instance(cloud, network(cloud), "h1")
    stream = Stream(cloud.port, "h1")
    cloud.until(lambda: stream.of(InSync))
    assert isinstance(stream.messages[0], Snapshot)
    assert f"port/{port}" in stream.plan
    stream.close()


def test_a_change_is_told_at_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", 1000.0)
    monkeypatch.setattr(agents, "KEEPALIVE_SECONDS", 1000.0)
    home = network(cloud)
    stream = Stream(cloud.port, "h1")
    cloud.until(lambda: stream.of(InSync))
    delays = []
    for _ in range(10):
        before = len(stream.messages)
        port = instance(cloud, home, "h1")
        answered = time.monotonic()
        cloud.until(lambda port=port: f"port/{port}" in stream.plan)  # type: ignore[misc]
        arrived = next(
            at
            for at, message in zip(stream.times[before:], stream.messages[before:], strict=True)
            if isinstance(message, Put) and message.unit.id == port
        )
        delays.append(arrived - answered)
        time.sleep(0.02)
    assert sorted(delays)[5] < 1, "by the doorbell"
    stream.close()


def test_it_is_resumed_where_it_was_left(cloud: Cloud) -> None:
    home = network(cloud)
    first = Stream(cloud.port, "h1")
    cloud.until(lambda: first.of(InSync))
    kept = instance(cloud, home, "h1")
    cloud.until(lambda: f"port/{kept}" in first.plan)
    revision = first.revision
    first.close()
    gone, new = instance(cloud, home, "h1"), instance(cloud, home, "h1")
    cloud.api.delete(f"/ports/{gone}")
    watcher = Stream(cloud.port, "h1")
    cloud.until(lambda: f"port/{new}" in watcher.plan and f"port/{gone}" not in watcher.plan)
    again = Stream(cloud.port, "h1", revision)
    cloud.until(lambda: again.of(InSync))
    assert not again.of(Snapshot)
    told = {message.unit.id for message in again.of(Put) if isinstance(message.unit, PortUnit)}
    assert told == {new}, "squashed: what came and went is not told, what stayed neither"
    same = Stream(cloud.port, "h1", again.revision)
    cloud.until(lambda: same.messages)
    assert same.messages[0] == InSync(again.revision)
    for stream in (watcher, again, same):
        stream.close()


@pytest.mark.parametrize("since", ["x", "abc-7", "-1", "%00", "99999999999999999999-99999999999999999999"])
def test_an_unknown_revision_gets_the_whole_plan(cloud: Cloud, since: str) -> None:
    stream = Stream(cloud.port, "h1", since)
    cloud.until(lambda: stream.of(InSync))
    assert isinstance(stream.messages[0], Snapshot)
    stream.close()


def test_silence_is_told_of(cloud: Cloud) -> None:
    stream = Stream(cloud.port, "h1")
    cloud.until(lambda: len(stream.of(Keepalive)) >= 2)
    stream.close()


def test_many_streams_need_no_threads(cloud: Cloud) -> None:
    home = network(cloud)
    first = Stream(cloud.port, "h0")
    cloud.until(lambda: first.of(InSync))
    before = threading.active_count()
    connections = []
    for number in range(200):
        connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=100)
        connection.request("GET", f"/agent/v1/hosts/h{number}/plan")
        connections.append((connection, connection.getresponse()))
    assert threading.active_count() - before < 60, "the pool of threads, not one each"
    port = instance(cloud, home, "h0")
    cloud.until(lambda: f"port/{port}" in first.plan)
    for connection, _ in connections:
        connection.close()
    first.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b'{"started": "x"}', b"\xff\xfe", b'{"started": 1}', b"[" * 100_000],
)
def test_what_is_no_report_is_refused(cloud: Cloud, body: bytes) -> None:
    assert cloud.post_report("h1", body) == 400
    assert cloud.api.get("/agents").body["agents"] == []


def test_hosts_have_names(cloud: Cloud) -> None:
    assert cloud.post_report("a%00b", b"{}") == 400
    assert cloud.post_report("a%0Ab", b"{}") == 400
    assert cloud.post_report("x" * 300, b"{}") == 400


def test_ports_are_active_when_agents_say_so(cloud: Cloud) -> None:
    agent = cloud.agent("net1")
    cloud.agent("net2")
    home = network(cloud)
    port = instance(cloud, home, "net1")
    cloud.until(lambda: f"port/{port}" in agent.stream.plan)
    assert cloud.api.shown("port", port)["status"] == "DOWN"
    agent.tell(ports_up=(port,))
    assert cloud.api.shown("port", port)["status"] == "ACTIVE"
    cloud.agents["net2"].tell(ports_down=(port,))
    assert cloud.api.shown("port", port)["status"] == "ACTIVE", "net2 is not asked"
    agent.tell(ports_down=(port,))
    assert cloud.api.shown("port", port)["status"] == "DOWN"
    agent.tell(ports_up=(port, "no-such-port", "\0"))
    agent.tell(full=True)
    assert cloud.api.shown("port", port)["status"] == "DOWN", "a full report names all that is up"
    serving = cloud.until(lambda: [u for u in agent.stream.plan.values() if isinstance(u, Dhcp)])
    agent.tell(ports_up=(serving[0].port,))
    assert cloud.api.shown("port", serving[0].port)["status"] == "ACTIVE"
    cloud.until(lambda: any(isinstance(u, Lease) for u in agent.stream.plan.values()))
