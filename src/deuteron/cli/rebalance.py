"""Spread active routers equally over the hosts, one move without a lost packet after the other.

`deuteron rebalance [--max-moves N] [--dry-run]`: ends with 0 when all moves are done, with 1 when one failed.
"""

import argparse
import sys
import time
from typing import Any

from deuteron.cli.client import Failed, add_endpoint, ask

POLL_SECONDS = 0.1
INTERRUPTED = 130
_ENDED = ("done", "failed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--max-moves", type=int, metavar="N", help="at most so many (default: all that help)")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be moved")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, tell each move, count."""
    wanted = {"max_moves": arguments.max_moves, "dry_run": arguments.dry_run}
    try:
        found = ask(arguments.endpoint, "POST", "/v1/rebalance", wanted)
        if arguments.dry_run:
            for one in found["moves"]:
                print(f"{_called(one)} ({one['reason']})")
            print(f"moves: {len(found['moves'])}; {found['outcome']}")
            return 0
        found = _follow(arguments.endpoint, found)
    except Failed as error:
        print(f"deuteron rebalance: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nthe rebalance goes on", file=sys.stderr)
        return INTERRUPTED
    print(found["outcome"])
    return 1 if any(one["phase"] == "failed" for one in found["moves"]) else 0


def _follow(endpoint: str, found: dict[str, Any]) -> dict[str, Any]:
    """Print moves as they end; return the whole when there is none any more."""
    told = 0
    while True:
        ended = [one for one in found["moves"] if one["phase"] in _ENDED]
        for one in ended[told:]:
            print(f"{_called(one)}: {one['phase']}: {one['detail']}")
        told = len(ended)
        if not found["running"]:
            return found
        time.sleep(POLL_SECONDS)
        found = ask(endpoint, "GET", "/v1/rebalance")


def _called(one: dict[str, Any]) -> str:
    return f"router {one['name'] or one['router_id']}: {one['from'] or 'nowhere'} -> {one['to']}"
