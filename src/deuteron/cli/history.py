"""Show who was active for a router, since when, how long nobody was, and why.

`deuteron history ROUTER`: the router by its name or id, the newest first.
"""

import argparse
import json
import sys

from deuteron.cli import text
from deuteron.cli.client import Failed, add_endpoint, ask, find_router


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("router", metavar="ROUTER", help="its name or id")
    parser.add_argument("--json", action="store_true", help="print the server's whole answer")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and tell; 2 when it cannot be told."""
    try:
        router = find_router(arguments.endpoint, arguments.router)
        history = ask(arguments.endpoint, "GET", f"/v1/routers/{router['id']}/history")["history"]
    except Failed as error:
        print(f"deuteron history: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(history, indent=2))
        return 0
    rows = [
        (
            str(one["epoch"]),
            f"{one['from'] or '-'} -> {one['to']}",
            text.moment(one["at"]),
            text.gap(one["gap_ms"]),
            one["cause"],
        )
        for one in history
    ]
    print("\n".join(text.table(("EPOCH", "FROM -> TO", "WHEN", "GAP", "WHY"), rows, text.width())))
    return 0
