"""As much of Keystone as clients ask before they come to the network: a token, a catalogue, two projects."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PROJECTS = {"11111111111111111111111111111111": "demo", "22222222222222222222222222222222": "other"}


class Identity:
    """Serves at `url` until it is closed; everybody is the administrator of the project demo."""

    def __init__(self, network_url: str) -> None:
        catalog = {"network": network_url}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _read(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                _say(self, 201, {"token": _token(catalog)})

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v3"
        catalog["identity"] = self.url
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _token(catalog: dict[str, str]) -> dict[str, Any]:
    default = {"id": "default", "name": "Default"}
    id_ = next(iter(PROJECTS))
    return {
        "user": {"id": "u", "name": "admin", "domain": default},
        "project": {"id": id_, "name": PROJECTS[id_], "domain": default},
        "roles": [{"id": "admin", "name": "admin"}],
        "methods": ["password"],
        "expires_at": "2100-01-01T00:00:00.000000Z",
        "issued_at": "2026-01-01T00:00:00.000000Z",
        "catalog": [
            {
                "type": kind,
                "name": kind,
                "id": kind,
                "endpoints": [
                    {"id": kind, "interface": "public", "region": "r", "region_id": "r", "url": url}
                ],
            }
            for kind, url in catalog.items()
        ],
    }


def _read(request: BaseHTTPRequestHandler) -> None:
    path = urlsplit(request.path).path
    collection, _, name = path.removeprefix("/v3/").partition("/")
    projects = [{"id": id_, "name": name, "domain_id": "default"} for id_, name in PROJECTS.items()]
    if collection != "projects":
        links = [{"rel": "self", "href": f"http://{request.headers['Host']}/v3/"}]
        _say(request, 200, {"version": {"id": "v3.14", "status": "stable", "links": links}})
    elif not name:
        _say(request, 200, {"projects": projects})
    elif found := [one for one in projects if name in one.values()]:
        _say(request, 200, {"project": found[0]})
    else:
        _say(request, 404, {"error": {"code": 404, "message": "no such project"}})


def _say(request: BaseHTTPRequestHandler, status: int, body: Any) -> None:
    raw = json.dumps(body).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(raw)))
    request.send_header("X-Subject-Token", "token")
    request.end_headers()
    request.wfile.write(raw)
