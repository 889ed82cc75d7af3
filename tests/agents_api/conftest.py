"""A server with placement, and agents that speak the real protocol and only pretend to build anything."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
import pytest

from deuteron.placement import service
from deuteron.plan.units import (
    Delete,
    Election,
    ElectionReport,
    InSync,
    Keepalive,
    Message,
    Put,
    Report,
    Snapshot,
    Unit,
)
from deuteron.settings import KeystoneSettings, ServerSettings
from deuteron.store import Database
from tests.api.conftest import Client, serve

T = TypeVar("T")
ROLES = ("dhcp", "l2", "l3", "metadata")


class Stream:
    """A plan stream, read in a thread."""

    def __init__(self, port: int, host: str, since: str = "") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
        self._connection.request("GET", f"/agent/v1/hosts/{host}/plan?since={since}")
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        assert self._connection.sock is not None
        self._socket = self._connection.sock
        self.messages: list[Message] = []
        self.times: list[float] = []
        self.plan: dict[str, Unit] = {}
        self.revision = ""
        self.on_sync: Callable[[], None] = lambda: None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while text := self._response.readline():
                self._take(msgspec.json.decode(text, type=Message))
        except (OSError, ValueError, AttributeError):
            pass  # closed by the test

    def _take(self, message: Message) -> None:
        match message:
            case Snapshot():
                self.plan = {}
            case Put(unit=unit):
                self.plan[unit.key] = unit
            case Delete(key=key):
                self.plan.pop(key, None)
            case InSync(revision=revision):
                self.revision = revision
        self.times.append(time.monotonic())
        self.messages.append(message)
        if isinstance(message, InSync):
            self.on_sync()

    def of(self, kind: type[T]) -> list[T]:
        return [message for message in list(self.messages) if isinstance(message, kind)]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class Agent:
    """Follows its plan, is active in an election where nobody else is, and reports."""

    def __init__(self, cloud: "Cloud", name: str, number: int, **more: Any) -> None:
        self.cloud = cloud
        self.name = name
        usual = Report(
            started=time.time(), roles=ROLES, vtep=f"192.0.2.{number}", physical_networks=("external",)
        )
        self.report = msgspec.structs.replace(usual, **more)
        self.states: dict[str, ElectionReport] = {}
        self.stream = Stream(cloud.port, name)
        self.tell()
        self.stream.on_sync = self.tell

    def tell(self, **more: Any) -> None:
        """Report."""
        with self.cloud.vrrp:
            wanted = {unit.id for unit in list(self.stream.plan.values()) if isinstance(unit, Election)}
            for id_ in wanted - self.states.keys():
                others = (a.states.get(id_) for a in self.cloud.agents.values() if a is not self)
                state = "standby" if any(s and s.state == "active" for s in others) else "active"
                said = ElectionReport(id=id_, state=state, since=time.time(), cause="started")  # type: ignore[arg-type]
                self.states[id_] = said
            report = msgspec.structs.replace(
                self.report, revision=self.stream.revision, elections=tuple(self.states.values()), **more
            )
        answer = self.cloud.post_report(self.name, msgspec.json.encode(report))
        assert answer == 204


class Cloud:
    """The server, its API, its agents."""

    def __init__(self, api: Client) -> None:
        self.api = api
        self.port = api.port
        self.vrrp = threading.Lock()
        self.agents: dict[str, Agent] = {}

    def agent(self, name: str, **more: Any) -> Agent:
        self.agents[name] = Agent(self, name, len(self.agents) + 1, **more)
        return self.agents[name]

    def post_report(self, host: str, body: bytes) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        try:
            connection.request("POST", f"/agent/v1/hosts/{host}/report", body)
            return connection.getresponse().status
        finally:
            connection.close()

    def v1(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=100)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/v1{path}", text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            raw = response.read()
            return response.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    def until(self, true: Callable[[], T], seconds: float = 100.0) -> T:
        end = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < end, f"not in {seconds} s: {self.v1('GET', '/status')}"
            time.sleep(0.01)
        return found


@pytest.fixture
def cloud(db: Database) -> Iterator[Cloud]:
    """A server on a fresh database; once SQLite, once PostgreSQL."""
    yield from running(db, ServerSettings(agent_down_time=30.0))


@pytest.fixture
def mortal(db: Database) -> Iterator[Cloud]:
    """The same, with hosts that are dead soon: the others live however busy the machine is."""
    yield from running(db, ServerSettings(agent_down_time=3.0))


def running(
    db: Database, settings: ServerSettings, keystone: KeystoneSettings | None = None
) -> Iterator[Cloud]:
    """Run a server with placement until the caller is done."""
    placement = service.start(db, settings)
    done = threading.Event()
    try:
        for client in serve(db, settings, keystone):
            made = Cloud(client)
            beats = threading.Thread(target=_beat, args=(made, done))
            beats.start()
            yield made
            done.set()
            beats.join()
            for agent in made.agents.values():
                agent.stream.close()
    finally:
        done.set()
        placement.stop()


def _beat(cloud: Cloud, done: threading.Event) -> None:
    """Report for all agents now and then, as agents do."""
    while not done.wait(0.5):
        for agent in list(cloud.agents.values()):
            agent.tell()


__all__ = ["Agent", "Cloud", "Keepalive", "Stream", "running"]
