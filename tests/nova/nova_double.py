"""A server that speaks Nova's HTTP as far as it is told of external events: Nova itself needs a hypervisor.

It takes what Nova's own schema takes, and answers as Nova does, each event with a code of its own.
"""

import json
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAMES = {"network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"}
Event = dict[str, str]


class Nova:
    """`servers`: instance -> whether it is on a host. `told` is all that it took; `down` answers 503."""

    def __init__(self, tokens: Callable[[str], bool]) -> None:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                double.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.servers: dict[str, bool] = {}
        self.told: list[Event] = []
        self.requests: list[int] = []
        self.down = False
        self._tokens = tokens
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v2.1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def server(self, *, on_a_host: bool = True) -> str:
        id_ = str(uuid.uuid4())
        self.servers[id_] = on_a_host
        return id_

    def heard(self, *names: str) -> list[tuple[str, str]]:
        """Return the name and the port of what it was told, of these names or of all."""
        return [(one["name"], one["tag"]) for one in self.told if not names or one["name"] in names]

    def hears(self, count: int, seconds: float = 100.0) -> None:
        """Wait until it was told so many events, and a little longer for one too many."""
        deadline = time.monotonic() + seconds
        while len(self.told) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert len(self.told) == count, self.told

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        status, said = self._said(request, body)
        self.requests.append(status)
        raw = json.dumps(said).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(raw)))
        request.end_headers()
        request.wfile.write(raw)

    def _said(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        if self.down:
            return 503, {"error": "down"}
        if not self._tokens(request.headers["X-Auth-Token"] or ""):
            return 401, {"error": {"code": 401, "message": "who are you"}}
        if request.path != "/v2.1/os-server-external-events":
            return 404, {"error": "no such path"}
        events = json.loads(body)["events"]
        if not events or not all(_is_good(event) for event in events):
            return 400, {"badRequest": {"code": 400, "message": "Invalid input"}}
        answered = [{**event, **self._outcome(event)} for event in events]
        good = all(event["code"] == 200 for event in answered)
        return 200 if good else 207, {"events": answered}

    def _outcome(self, event: Event) -> dict[str, Any]:
        on_a_host = self.servers.get(event["server_uuid"])
        if on_a_host is None:
            return {"status": "failed", "code": 404}
        if not on_a_host:
            return {"status": "failed", "code": 422}
        self.told.append(event)
        return {"status": "completed", "code": 200}


def _is_good(event: Event) -> bool:
    try:
        uuid.UUID(event["server_uuid"])
    except (ValueError, KeyError):
        return False
    return (
        event.keys() <= {"name", "server_uuid", "status", "tag"}
        and event.get("name") in NAMES
        and event.get("status", "completed") in ("completed", "failed", "in-progress")
        and len(event.get("tag", "")) <= 255
    )
