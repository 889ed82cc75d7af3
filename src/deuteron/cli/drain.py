"""Empty a host, so that it can be powered off: routers leave without losing a packet, then DHCP.

`deuteron drain HOST`: ends with 0 when it is safe to power off, with 1 and the reasons when something cannot
go anywhere. The host gets nothing again, also after a reboot, until `deuteron undrain HOST`. When the command
is interrupted the drain goes on.
"""

import argparse
import sys
import time
from typing import Any

from deuteron.cli.client import Failed, add_endpoint, ask

POLL_SECONDS = 0.2
INTERRUPTED = 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("host", metavar="HOST", help="what is to be empty")
    add_endpoint(parser)
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="wait so long (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask for it, tell how far it is, judge."""
    host = arguments.host
    try:
        drain = ask(arguments.endpoint, "POST", f"/v1/hosts/{host}/drain")
        drain = _follow(arguments.endpoint, drain, arguments.timeout)
    except Failed as error:
        print(f"deuteron drain: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nthe drain of {host} goes on; `deuteron undrain {host}` ends it", file=sys.stderr)
        return INTERRUPTED
    if not drain["safe"]:
        print(f"deuteron drain: {host}: {drain['text']}", file=sys.stderr)
        return 1
    for one in drain["left"]:
        print(f"  {_called(one)} stays: {one['reason']}")
    print(f"{host}: {drain['text']}")
    return 0


def _follow(endpoint: str, drain: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Print what becomes of each thing on the host; return the drain when it has come to an end."""
    host, began = drain["host"], time.monotonic()
    said: dict[str, tuple[str, str]] = {}
    told = ""
    while True:
        there = {one["id"]: one for one in drain["left"]}
        if drain["state"] == "draining" and drain["text"] != told and not said:
            print(f"{host}: {drain['text']}")
            told = drain["text"]
        for id_ in [id_ for id_ in said if id_ not in there]:
            print(f"  {time.monotonic() - began:6.1f} s  {said.pop(id_)[1]} has left")
        for id_, one in there.items():
            if one["state"] == "failed" and said.get(id_, ("", ""))[0] != one["reason"]:
                print(f"  {time.monotonic() - began:6.1f} s  {_called(one)}: {one['reason']}")
            said[id_] = (one["reason"] if one["state"] == "failed" else "", _called(one))
        if drain["state"] != "draining":
            return drain
        if time.monotonic() - began > timeout:
            raise Failed(f"{host}: {drain['text']} after {timeout:g} s; it goes on")
        time.sleep(POLL_SECONDS)
        drain = ask(endpoint, "GET", f"/v1/hosts/{host}/drain")


def _called(one: dict[str, Any]) -> str:
    what = "router" if one["kind"] == "router" else "DHCP of network"
    return f"{what} {one['name'] or one['id']}"
