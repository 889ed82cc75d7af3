"""Calls of the HTTP API, one by one or from several clients, each on its own open connection."""

import base64
import http.client
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deuteron.bench.processes import BenchError

TIMEOUT = 60.0
"""Seconds until a call is given up."""
Login = tuple[str, str]
"""Name and password, for a server with HTTP basic authentication."""
T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One call, ready to be sent."""

    method: str
    path: str
    body: bytes | None = None

    @staticmethod
    def of(method: str, path: str, content: Any = None) -> "Request":
        """Return a call with `content` as its JSON body."""
        return Request(method, path, None if content is None else json.dumps(content).encode())


@dataclass(frozen=True)
class Load:
    """What a run of several clients took."""

    latencies: tuple[float, ...]
    """Seconds of each call."""
    seconds: float
    """From the first call to the last answer."""
    client_cpu: float
    """Seconds of processor time of all clients."""


class Client:
    """A connection to the API that stays open."""

    def __init__(self, endpoint: str, login: Login | None = None) -> None:
        parts = urlsplit(endpoint)
        self._headers = {"Authorization": f"Basic {_base64(':'.join(login))}"} if login else {}
        self._connection = http.client.HTTPConnection(
            parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, request: Request) -> bytes:
        """Return the body of the answer. Raises BenchError when the call failed."""
        headers = dict(self._headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(request.method, request.path, request.body, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise BenchError(f"{request.method} {request.path}: {error or type(error).__name__}") from error
        if answer.status >= 300:
            words = content.decode(errors="replace")[:500]
            raise BenchError(f"{request.method} {request.path}: status {answer.status}: {words}")
        return content

    def call(self, method: str, path: str, content: Any = None) -> Any:
        """Return the answer's JSON, None for an answer without a body. Raises BenchError."""
        answer = self.send(Request.of(method, path, content))
        return json.loads(answer) if answer else None

    def create(self, resource: str, **attributes: Any) -> dict[str, Any]:
        """Create one thing (`network`, `security_group`, ...) and return it. Raises BenchError."""
        path = f"/v2.0/{resource.replace('_', '-')}s"
        found: dict[str, Any] = self.call("POST", path, {resource: attributes})[resource]
        return found


def one_by_one(client: Client, requests: Sequence[Request]) -> list[float]:
    """Send calls one after the other; return the seconds that each took. Raises BenchError."""
    seconds = []
    for request in requests:
        started = time.perf_counter()
        client.send(request)
        seconds.append(time.perf_counter() - started)
    return seconds


def at_once(endpoint: str, clients: int, requests: Sequence[Request], login: Login | None = None) -> Load:
    """Send calls from several clients, each as soon as its last one was answered. Raises BenchError."""
    latencies: list[float] = []
    connections = [Client(endpoint, login) for _ in range(clients)]
    for connection in connections:
        connection.call("GET", "/v2.0/networks?limit=1")
    cpu, started = time.process_time(), time.perf_counter()
    try:
        in_turns(connections, requests, lambda client, call: latencies.extend(one_by_one(client, [call])))
    finally:
        for connection in connections:
            connection.__exit__()
    return Load(tuple(latencies), time.perf_counter() - started, time.process_time() - cpu)


def in_turns(clients: Sequence[Client], things: Sequence[T], do: Callable[[Client, T], None]) -> None:
    """Do something with each thing, each client the next one as soon as it has done its last.

    Raises BenchError, the first one, when all clients have ended.
    """
    waiting = deque(things)
    errors: list[BenchError] = []

    def work(client: Client) -> None:
        while not errors:
            try:
                thing = waiting.popleft()
            except IndexError:
                return
            try:
                do(client, thing)
            except BenchError as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
