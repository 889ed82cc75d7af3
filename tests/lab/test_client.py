import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from deuteron.lab.client import ApiError, Client

ANSWERS: dict[str, tuple[int, bytes]] = {
    "GET /v2.0/networks?id=blue": (200, b'{"networks": []}'),
    "GET /v2.0/networks?name=blue": (200, b'{"networks": [{"id": "1"}]}'),
    "GET /v2.0/networks?id=red": (200, b'{"networks": []}'),
    "GET /v2.0/networks?name=red": (200, b'{"networks": [{"id": "2"}, {"id": "3"}]}'),
    "GET /v2.0/networks?id=none": (200, b'{"networks": []}'),
    "GET /v2.0/networks?name=none": (200, b'{"networks": []}'),
    "DELETE /v2.0/ports/1": (204, b""),
    "DELETE /v2.0/ports/2": (
        404,
        b'{"NeutronError": {"type": "PortNotFound", "message": "Port 2 could not be found.", "detail": ""}}',
    ),
    "GET /broken": (200, b"<html>"),
    "GET /worse": (500, b"<html>"),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if body:
            status, data = 201, json.dumps({"port": {"sent": json.loads(body)["port"]}}).encode()
        else:
            status, data = ANSWERS[f"{self.command} {self.path}"]
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Client(f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_finds_by_id_or_by_a_name_that_is_the_only_one(client: Client) -> None:
    assert client.find("network", "blue") == {"id": "1"}
    with pytest.raises(ApiError, match="2 networks named 'red'"):
        client.find("network", "red")
    with pytest.raises(ApiError, match="no network 'none'"):
        client.find("network", "none")


def test_it_sends_and_decodes(client: Client) -> None:
    assert client.create("port", name="p", admin_state_up=True) == {
        "sent": {"name": "p", "admin_state_up": True}
    }
    client.delete("/v2.0/ports/1")


def test_what_the_api_refuses_is_said_in_its_words(client: Client) -> None:
    with pytest.raises(ApiError, match=r"DELETE /v2.0/ports/2: 404 PortNotFound: Port 2 could not") as caught:
        client.delete("/v2.0/ports/2")
    assert caught.value.status == 404
    with pytest.raises(ApiError, match="not JSON"):
        client.get("/broken")
    with pytest.raises(ApiError, match="500 <html>"):
        client.get("/worse")


def test_nobody_there(client: Client) -> None:
    with pytest.raises(ApiError, match="no answer") as caught:
        Client("http://127.0.0.1:1").get("/v2.0/agents")
    assert caught.value.status == 0
    with pytest.raises(Exception, match="http://HOST:PORT"):
        Client("nonsense")
