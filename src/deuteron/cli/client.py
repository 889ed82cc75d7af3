"""How the command asks the server: one request, one connection, standard library only.

Where the server wants to know who asks, OS_TOKEN has a token of Keystone's, or OS_AUTH_TYPE=http_basic with
OS_USERNAME and OS_PASSWORD a password; OS_CACERT is a file of the certificates that an https:// server is
trusted for: the same that OpenStack's command takes.
"""

import argparse
import base64
import http.client
import json
import os
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

DEFAULT_ENDPOINT = "http://127.0.0.1:9696"
REQUEST_SECONDS = 30.0

Query = Mapping[str, str | Sequence[str]]


class Failed(Exception):
    """The text says what failed and what to do."""


class NoAnswer(Failed):
    """The server did not answer, or something else did."""


class Refused(Failed):
    """The server refused; `status` is that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def add_endpoint(parser: argparse.ArgumentParser) -> None:
    """Declare the option that says where the server is."""
    parser.add_argument(
        "--endpoint",
        default=os.environ.get("DEUTERON_ENDPOINT") or DEFAULT_ENDPOINT,
        metavar="URL",
        help="of the server (default: $DEUTERON_ENDPOINT, else %(default)s)",
    )


def ask(endpoint: str, method: str, path: str, body: Any = None, query: Query | None = None) -> Any:
    """Send a request; return the decoded answer, {} when it is empty. Raises NoAnswer, Refused."""
    with _sent(endpoint, method, path, body, query) as response:
        text = response.read()
        try:
            return json.loads(text or b"{}")
        except ValueError:
            raise NoAnswer(f"{endpoint}: the answer is not a server's") from None


def stream(endpoint: str, path: str, query: Query | None = None) -> Iterator[Any]:
    """Yield the lines of an endless answer, decoded. Raises NoAnswer (also when it ends), Refused."""
    with _sent(endpoint, "GET", path, None, query) as response:
        while line := response.readline():
            yield json.loads(line)
    raise NoAnswer(f"{endpoint}: the server ended the stream")


def find_router(endpoint: str, wanted: str) -> dict[str, Any]:
    """Return the router with this id, or the only one with this name. Raises Failed."""
    return find(endpoint, "router", wanted)


def find(endpoint: str, kind: str, wanted: str) -> dict[str, Any]:
    """Return the router, network or port with this id, or the only one with this name. Raises Failed."""
    for key in ("id", "name"):
        listed = ask(endpoint, "GET", f"/v2.0/{kind}s", query={key: wanted})
        found: list[dict[str, Any]] = listed[f"{kind}s"]
        if len(found) == 1:
            return found[0]
        if found:
            raise Failed(f"{len(found)} {kind}s are called {wanted}: give the id")
    raise Failed(f"there is no {kind} {wanted}")


@contextmanager
def _sent(
    endpoint: str, method: str, path: str, body: Any, query: Query | None
) -> Iterator[http.client.HTTPResponse]:
    url = _parsed(endpoint)
    target = url.path.rstrip("/") + path
    if query:
        target += "?" + urllib.parse.urlencode(query, doseq=True)
    text = None if body is None else json.dumps(body)
    connection = _connection(url)
    try:
        connection.request(method, target, text, {"Content-Type": "application/json", **_credentials()})
        response = connection.getresponse()
        if response.status >= 400:
            raise Refused(response.status, _reason(response))
        yield response
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{endpoint} does not answer as a server does: {error}") from None
    finally:
        connection.close()


def _connection(url: urllib.parse.SplitResult) -> http.client.HTTPConnection:
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port or 80, timeout=REQUEST_SECONDS)
    cafile = os.environ.get("OS_CACERT")
    try:
        context = ssl.create_default_context(cafile=cafile or None)
    except OSError as error:
        raise Failed(f"OS_CACERT={cafile}: {error.strerror or error}") from None
    return http.client.HTTPSConnection(host, url.port or 443, timeout=REQUEST_SECONDS, context=context)


def _credentials() -> dict[str, str]:
    """Return the header that says who asks, by what the environment says to OpenStack's own command."""
    token, user = os.environ.get("OS_TOKEN"), os.environ.get("OS_USERNAME")
    if token:
        return {"X-Auth-Token": token}
    if user and os.environ.get("OS_AUTH_TYPE") == "http_basic":
        given = f"{user}:{os.environ.get('OS_PASSWORD', '')}"
        return {"Authorization": "Basic " + base64.b64encode(given.encode()).decode()}
    return {}


def _parsed(endpoint: str) -> urllib.parse.SplitResult:
    try:
        url = urllib.parse.urlsplit(endpoint)
        good = url.scheme in ("http", "https") and url.hostname and (url.port or True)
    except ValueError:
        good = False
    if not good:
        raise Failed(f"{endpoint}: not an endpoint (http://ADDRESS:PORT or https://...)")
    return url


def _reason(response: http.client.HTTPResponse) -> str:
    try:
        said = json.loads(response.read())
        return str((said.get("NeutronError") or said["error"])["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"status {response.status}"
