"""Show what happened: hosts that died, promotions, moves, drains, incidents.

With --follow it goes on, also when the server is away for a while, until it is interrupted.
"""

import argparse
import json
import sys
import time
from typing import Any

from deuteron.cli import text
from deuteron.cli.client import Failed, NoAnswer, add_endpoint, ask, stream

AGAIN_SECONDS = 1.0
_WHEN = len("2026-11-23 04:44:11  ")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--follow", action="store_true", help="go on with each one as it happens")
    parser.add_argument("--since", type=int, metavar="ID", help="those after this one (default: the newest)")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="at most (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one event a line, as the server tells it")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and tell; 2 when the server does not answer."""
    try:
        if arguments.follow:
            _follow(arguments)
        query = _query(arguments.since, arguments.limit)
        for one in ask(arguments.endpoint, "GET", "/v1/events", query=query)["events"]:
            _tell(one, as_json=arguments.json)
    except Failed as error:
        print(f"deuteron events: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print()
    return 0


def _follow(arguments: argparse.Namespace) -> None:
    """Tell events as they happen; wait for a server that went away after it had answered once."""
    last, heard = arguments.since, False
    while True:
        query = {**_query(last, arguments.limit), "follow": "true"}
        try:
            for one in stream(arguments.endpoint, "/v1/events", query):
                heard = True
                if one["kind"] != "keepalive":
                    last = one["id"]
                    _tell(one, as_json=arguments.json)
        except NoAnswer as error:
            if not heard:
                raise
            print(f"deuteron events: {error}; asking again", file=sys.stderr)
        time.sleep(AGAIN_SECONDS)


def _query(since: int | None, limit: int) -> dict[str, str]:
    query = {"limit": str(limit)}
    return query if since is None else {**query, "since": str(since)}


def _tell(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(one), flush=True)
        return
    head = f"{text.moment(one['at'])}  {one['kind'].replace('_', ' ')}: "
    print("\n".join(text.fold(head + _words(one), text.width(), 0, _WHEN)), flush=True)


def _words(one: dict[str, Any]) -> str:
    """Return what happened, with what it happened to where the words do not name it."""
    name, words = one["subject_name"], str(one["text"])
    return words if not name or name in words.split() else f"{one['subject_kind']} {name}: {words}"
