"""A server of the API on a free port of loopback, and a client that keeps its connection."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from deuteron.api.app import app
from deuteron.settings import KeystoneSettings, ServerSettings
from deuteron.store import Database


class Answer:
    """An answer: `status`, `headers`, `body` (decoded), and `error`, the name of Neutron's type."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        raw = response.read()
        self.body: Any = json.loads(raw) if raw else None
        told = self.body.get("NeutronError", {}) if isinstance(self.body, dict) else {}
        self.error: str = told.get("type", "") if isinstance(told, dict) else ""
        self.message: str = told.get("message", "") if isinstance(told, dict) else ""

    def __repr__(self) -> str:
        return f"{self.status} {self.body}"


class Client:
    """Requests below /v2.0."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        full = path if path.startswith("//") else f"/v2.0{path}"
        self._connection.request(method, full.replace("//", "/"), raw, sent)
        return Answer(self._connection.getresponse())

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: Any) -> Answer:
        return self.request("POST", path, body)

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.request("PUT", path, body, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.request("DELETE", path, headers=headers)

    def make(self, kind: str, **attributes: Any) -> dict[str, Any]:
        """Create an object that must be accepted; an attribute `router__external` is router:external."""
        named = {key.replace("__", ":"): value for key, value in attributes.items()}
        answer = self.post(f"/{kind}s", {kind: named})
        assert answer.status == 201, answer
        made: dict[str, Any] = answer.body[kind]
        return made

    def refused(self, kind: str, **attributes: Any) -> tuple[int, str]:
        """Try to create an object that must be refused; return status and type."""
        named = {key.replace("__", ":"): value for key, value in attributes.items()}
        answer = self.post(f"/{kind}s", {kind: named})
        assert answer.status >= 400, answer
        return answer.status, answer.error

    def shown(self, kind: str, id_: str) -> dict[str, Any]:
        """Return an object that must be there."""
        answer = self.get(f"/{kind}s/{id_}")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.body[kind]
        return found

    def close(self) -> None:
        self._connection.close()


class _Server(uvicorn.Server):
    """Ends when it is told to: uvicorn's own sleeps 0.1 s here and there, minutes for many tests."""

    async def main_loop(self) -> None:
        await self.on_tick(0)
        while not self.should_exit:
            await asyncio.sleep(0.005)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self.server_state
        for server in self.servers:
            server.close()
        for connection in list(state.connections):
            connection.shutdown()
        deadline = time.monotonic() + 1
        while (state.connections or state.tasks) and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()


def serve(
    db: Database, settings: ServerSettings, keystone: KeystoneSettings | None = None
) -> Iterator[Client]:
    """Serve in a thread until the caller is done."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    application = app(settings, db, keystone)
    server = _Server(
        uvicorn.Config(
            application,
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=600,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    client = Client(listening.getsockname()[1])
    try:
        yield client
    finally:
        client.close()
        application.state.services.stopping.set()
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def settings() -> ServerSettings:
    """What a test may override."""
    return ServerSettings()


@pytest.fixture
def api(db: Database, settings: ServerSettings) -> Iterator[Client]:
    """A client of a server on a fresh database; once SQLite, once PostgreSQL."""
    yield from serve(db, settings)


class Topology:
    """A network with a subnet, an external network with one, and a router between them."""

    def __init__(self, api: Client, ha: bool = False) -> None:
        self.external = api.make(
            "network",
            name="ext",
            router__external=True,
            provider__network_type="flat",
            provider__physical_network="external",
        )["id"]
        self.external_subnet = api.make(
            "subnet",
            network_id=self.external,
            ip_version=4,
            cidr="203.0.113.0/24",
            enable_dhcp=False,
        )["id"]
        self.network = api.make("network", name="inside")["id"]
        self.subnet = api.make("subnet", network_id=self.network, ip_version=4, cidr="10.0.0.0/24")["id"]
        self.router = api.make(
            "router", name="r", ha=ha, external_gateway_info={"network_id": self.external}
        )["id"]
        added = api.put(f"/routers/{self.router}/add_router_interface", {"subnet_id": self.subnet})
        assert added.status == 200, added
        self.interface = added.body["port_id"]
        self.port = api.make("port", network_id=self.network)["id"]


@pytest.fixture
def topology(api: Client) -> Topology:
    """A routed network."""
    return Topology(api)
