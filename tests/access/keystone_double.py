"""A server that speaks Keystone's HTTP as far as a service does: makes tokens, and validates them."""

import datetime
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Keystone:
    """Tokens by id. `asked` are the tokens that were to be validated; `down` answers 503."""

    def __init__(self) -> None:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                double.authenticate(self)

            def do_GET(self) -> None:
                double.validate(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.tokens: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.catalog: list[dict[str, Any]] = []
        self.down = False
        self.delay = threading.Event()
        self.delay.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.delay.set()
        self._server.shutdown()
        self._server.server_close()

    def token(self, *roles: str, project: str = "", seconds: float = 3600.0, system: bool = False) -> str:
        """Make a token."""
        id_ = uuid.uuid4().hex
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        said: dict[str, Any] = {
            "user": {"id": f"user-{id_}", "name": "u", "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": role, "name": role} for role in roles],
            "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "methods": ["password"],
        }
        if project:
            said["project"] = {"id": project, "name": "p", "domain": {"id": "default", "name": "Default"}}
        if system:
            said["system"] = {"all": True}
        self.tokens[id_] = said
        return id_

    def authenticate(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        password = body["auth"]["identity"]["password"]["user"]
        if self.down or password["password"] != "secret":
            self._answer(request, 503 if self.down else 401, {"error": {"code": 401, "message": "no"}})
            return
        id_ = self.token("service", project="service")
        self._answer(request, 201, {"token": {**self.tokens[id_], "catalog": self.catalog}}, id_)

    def validate(self, request: BaseHTTPRequestHandler) -> None:
        self.delay.wait(100)
        if "/auth/tokens" not in request.path:
            self._answer(request, 200, {"version": {"id": "v3.14", "status": "stable", "links": []}})
            return
        subject = request.headers["X-Subject-Token"]
        self.asked.append(subject)
        if self.down:
            self._answer(request, 503, {"error": {"code": 503, "message": "down"}})
        elif request.headers["X-Auth-Token"] not in self.tokens:
            self._answer(request, 401, {"error": {"code": 401, "message": "who are you"}})
        elif not self._valid(subject, "allow_expired=1" in request.path):
            self._answer(request, 404, {"error": {"code": 404, "message": "no such token"}})
        else:
            self._answer(request, 200, {"token": self.tokens[subject]}, subject)

    def _valid(self, subject: str, allow_expired: bool) -> bool:
        said = self.tokens.get(subject)
        if said is None:
            return False
        expires = datetime.datetime.fromisoformat(said["expires_at"])
        return allow_expired or expires > datetime.datetime.now(datetime.UTC)

    def _answer(self, request: BaseHTTPRequestHandler, status: int, body: Any, token: str = "") -> None:
        raw = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(raw)))
        if token:
            request.send_header("X-Subject-Token", token)
        request.end_headers()
        request.wfile.write(raw)
