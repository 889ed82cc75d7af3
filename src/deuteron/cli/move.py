"""Move a router to another host without losing a packet, and say what happened.

`deuteron move ROUTER HOST`: the router by its name or id. Ends with 0 when it is there, with 1 and the reason
when it is not.
"""

import argparse
import sys
import time
from typing import Any

from deuteron.cli.client import Failed, add_endpoint, ask, find_router

POLL_SECONDS = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("router", metavar="ROUTER", help="its name or id")
    parser.add_argument("host", metavar="HOST", help="where it is to be active")
    add_endpoint(parser)
    parser.add_argument(
        "--timeout", type=float, default=90.0, metavar="SECONDS", help="wait so long (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Move, wait, tell."""
    try:
        router = find_router(arguments.endpoint, arguments.router)
        path = f"/v1/routers/{router['id']}/move"
        move = ask(arguments.endpoint, "POST", path, {"host": arguments.host})["move"]
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


def _follow(endpoint: str, router_id: str, move_id: str, timeout: float) -> dict[str, Any]:
    """Print the steps of a move as they are taken; return it when it has ended."""
    shown, until = 1, time.monotonic() + timeout
    while time.monotonic() < until:
        moves: list[dict[str, Any]] = ask(endpoint, "GET", f"/v1/routers/{router_id}/moves")["moves"]
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
