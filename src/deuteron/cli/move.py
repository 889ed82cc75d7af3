"""Move a router to another host without losing a packet, and say what happened.

`deuteron move ROUTER HOST`: the router by its name or id. Ends with 0 when it is there, with 1 and the reason
when it is not.
"""

import argparse
import http.client
import json
import sys
import time
import urllib.parse
from typing import Any

POLL_SECONDS = 0.05
REQUEST_SECONDS = 30.0


class Failed(Exception):
    """The text says what failed and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("router", metavar="ROUTER", help="its name or id")
    parser.add_argument("host", metavar="HOST", help="where it is to be active")
    parser.add_argument(
        "--endpoint",
        default="http://127.0.0.1:9696",
        metavar="URL",
        help="of the server (default %(default)s)",
    )
    parser.add_argument(
        "--timeout", type=float, default=90.0, metavar="SECONDS", help="wait so long (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Move, wait, tell."""
    try:
        router = _find(arguments.endpoint, arguments.router)
        path = f"/v1/routers/{router['id']}/move"
        move = _ask(arguments.endpoint, "POST", path, {"host": arguments.host})["move"]
        print(f"{router['name'] or router['id']}: {move['from'] or 'nowhere'} -> {move['to']}")
        move = _follow(arguments.endpoint, router["id"], move["id"], arguments.timeout)
    except Failed as error:
        print(f"deuteron move: {error}", file=sys.stderr)
        return 1
    if move["phase"] != "done":
        print(f"deuteron move: it stays on {move['from']}: {move['detail']}", file=sys.stderr)
        return 1
    print(f"done in {move['seconds'] * 1000:.0f} ms: {move['detail']}")
    return 0


def _find(endpoint: str, wanted: str) -> dict[str, Any]:
    """Return the router with this id, or the only one with this name."""
    for key in ("id", "name"):
        query = urllib.parse.urlencode({key: wanted})
        found: list[dict[str, Any]] = _ask(endpoint, "GET", f"/v2.0/routers?{query}")["routers"]
        if len(found) == 1:
            return found[0]
        if found:
            raise Failed(f"{len(found)} routers are called {wanted}: give the id")
    raise Failed(f"there is no router {wanted}")


def _follow(endpoint: str, router_id: str, move_id: str, timeout: float) -> dict[str, Any]:
    """Print the steps of a move as they are taken; return it when it has ended."""
    shown, until = 1, time.monotonic() + timeout
    while time.monotonic() < until:
        moves: list[dict[str, Any]] = _ask(endpoint, "GET", f"/v1/routers/{router_id}/moves")["moves"]
        move = next((one for one in moves if one["id"] == move_id), None)
        if move is None:
            raise Failed("the router was deleted meanwhile")
        for step in move["steps"][shown:]:
            after = (step["at"] - move["steps"][0]["at"]) * 1000
            print(f"  {after:6.0f} ms  {step['phase']:<8} {step['reason']}")
        shown = len(move["steps"])
        if not move["running"]:
            return move
        time.sleep(POLL_SECONDS)
    raise Failed(f"no end in {timeout:g} s; it goes on: see GET /v1/routers/{router_id}/moves")


def _ask(endpoint: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    url = urllib.parse.urlsplit(endpoint)
    if url.scheme != "http" or not url.hostname:
        raise Failed(f"{endpoint}: not an endpoint (http://ADDRESS:PORT)")
    connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=REQUEST_SECONDS)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, url.path.rstrip("/") + path, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Failed(f"{endpoint} does not answer as a server does: {error}") from None
    finally:
        connection.close()
    if response.status >= 400:
        raise Failed(answer.get("NeutronError", {}).get("message", f"status {response.status}"))
    return answer
