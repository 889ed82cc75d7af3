"""Make a router redundant or plain, distributed or central, while it is up, and say what happened.

`deuteron convert ROUTER --to legacy|ha|dvr|dvr-ha`: the router by its name or id. Ends with 0 when it is so,
with 1 and the reason when it is not. When the command is interrupted the conversion goes on. With --plan
nothing is changed: it says what would be done, or why it cannot.
"""

import argparse
import json
import sys
import time
from typing import Any

from deuteron.cli.client import Failed, add_endpoint, ask, find_router

POLL_SECONDS = 0.1
INTERRUPTED = 130
MODES = {(False, False): "legacy", (True, False): "ha", (False, True): "dvr", (True, True): "dvr-ha"}
"""(redundant, distributed) -> mode."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("router", metavar="ROUTER", help="its name or id")
    parser.add_argument("--to", choices=list(MODES.values()), required=True, help="what it is to become")
    parser.add_argument("--plan", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="print the conversion as JSON, at its end")
    add_endpoint(parser)
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS", help="wait so long (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Convert, wait, tell."""
    try:
        return _convert(arguments)
    except Failed as error:
        print(f"deuteron convert: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nthe conversion goes on", file=sys.stderr)
        return INTERRUPTED


def _convert(arguments: argparse.Namespace) -> int:
    endpoint, to = arguments.endpoint, arguments.to
    router = find_router(endpoint, arguments.router)
    before, name = MODES[bool(router["ha"]), bool(router["distributed"])], router["name"] or router["id"]
    if before == to:
        found = {"router_id": router["id"], "from": before, "to": to}
        print(json.dumps(found) if arguments.json else f"{name}: is {to} already")
        return 0
    path, body = f"/v1/routers/{router['id']}/convert", {"mode": to, "dry_run": arguments.plan}
    found = ask(endpoint, "POST", path, body)["conversion"]
    if not arguments.json:
        print(f"{name}: {found['from']} -> {found['to']}")
        for number, step in enumerate(found["planned"], 1):
            print(f"  {number}. {step}")
    if not arguments.plan:
        found = _follow(endpoint, found, arguments.timeout, quiet=arguments.json)
    if arguments.json:
        print(json.dumps(found, indent=2))
    if not arguments.plan and found["phase"] != "done":
        print(f"deuteron convert: {name} stays {found['from']}: {found['detail']}", file=sys.stderr)
        return 1
    if not arguments.plan and not arguments.json:
        print(f"{name}: {found['to']} after {found['seconds']:.1f} s")
    return 0


def _follow(endpoint: str, asked: dict[str, Any], timeout: float, *, quiet: bool) -> dict[str, Any]:
    """Print the steps of a conversion as they are taken; return it when it has ended."""
    shown, until, path = 1, time.monotonic() + timeout, f"/v1/routers/{asked['router_id']}/conversions"
    while time.monotonic() < until:
        there: list[dict[str, Any]] = ask(endpoint, "GET", path)["conversions"]
        found = next((one for one in there if one["id"] == asked["id"]), None)
        if found is None:
            raise Failed("the router was deleted meanwhile")
        for step in found["steps"][shown:]:
            if not quiet:
                print(f"  {step['at'] - found['steps'][0]['at']:6.2f} s  {step['reason']}", flush=True)
        shown = len(found["steps"])
        if not found["running"]:
            return found
        time.sleep(POLL_SECONDS)
    raise Failed(f"no end in {timeout:g} s; it goes on: see GET {path}")
