"""Say what breaks, what fails over and what only loses redundancy when hosts stop.

`deuteron ok-to-stop HOST...`: ends with 0 when nothing breaks, with 1 when something does, with 2 when it
cannot be told (an unknown host, no server).
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from deuteron.cli import text
from deuteron.cli.client import Failed, add_endpoint, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("hosts", metavar="HOST", nargs="+", help="hosts that stop at the same time")
    parser.add_argument("--json", action="store_true", help="print the server's whole answer")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, tell, judge."""
    try:
        audit = ask(arguments.endpoint, "GET", "/v1/ok-to-stop", query={"host": arguments.hosts})
    except Failed as error:
        print(f"deuteron ok-to-stop: cannot tell: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(audit, indent=2))
    else:
        print("\n".join(lines(audit, text.width())))
    return 0 if audit["ok"] else 1


def lines(audit: dict[str, Any], columns: int) -> Iterator[str]:
    """Yield what is told of an answer."""
    yield f"if {text.named(audit['hosts'])} stop{'s' if len(audit['hosts']) == 1 else ''}:"
    for one in audit["findings"]:
        yield from text.fold(f"{one['level']:<9} {one['what']}: {one['why']}", columns, 2, 12)
        if one["fix"]:
            yield from text.fold(f"fix: {one['fix']}", columns, 12, 17)
    if not audit["findings"]:
        yield "  nothing runs there that would be missed"
    broken = sum(len(one["ids"]) for one in audit["findings"] if one["level"] == "BROKEN")
    if broken:
        yield f"NOT ok to stop: {text.count(broken, 'thing')} would break"
    else:
        yield "ok to stop: nothing breaks"
