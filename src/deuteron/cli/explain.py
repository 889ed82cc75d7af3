"""Explain where the heartbeat of a router travels, and what it shares its fate with.

`deuteron explain heartbeat ROUTER`: the router by its name or id.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from deuteron.cli import text
from deuteron.cli.client import Failed, add_endpoint, ask, find_router


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("what", choices=["heartbeat"], help="what is to be explained")
    parser.add_argument("router", metavar="ROUTER", help="its name or id")
    parser.add_argument("--json", action="store_true", help="print the server's whole answer")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and tell; 1 for a router that has no heartbeat, 2 when it cannot be told."""
    try:
        router = find_router(arguments.endpoint, arguments.router)
        answer = ask(arguments.endpoint, "GET", f"/v1/routers/{router['id']}/heartbeat")
    except Failed as error:
        print(f"deuteron explain: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join(lines(answer, text.width())))
    return 0 if answer["heartbeat"] else 1


def lines(answer: dict[str, Any], columns: int) -> Iterator[str]:
    """Yield what is told of an answer."""
    name, beat = answer["name"] or answer["id"], answer["heartbeat"]
    if answer["active"] is None:
        yield f"router {name} is active nowhere"
    else:
        ago = None if answer["since"] is None else answer["now"] - answer["since"]
        since = f" since {text.moment(answer['since'])} ({text.age(ago)})" if ago is not None else ""
        yield f"router {name} is active on {answer['active']}{since}"
    if beat is None:
        yield "it is not redundant: it has no heartbeat, and no host listens for it"
        yield f"to make it redundant: openstack router set --ha {name}"
        return
    yield ""
    yield from text.table(("", ""), _facts(beat), columns)
    yield ""
    yield from _speakers(beat, answer["now"], columns)
    yield ""
    yield from text.fold(f"Shared fate: {beat['shared_fate']}", columns, 0, 2)
    yield from text.fold(f"Second path: {beat['second_path']}", columns, 0, 2)
    yield ""
    yield "To see it on a candidate:"
    yield f"  ip netns exec {beat['namespace']} tcpdump -ni {beat['device']} proto 112"


def _facts(beat: dict[str, Any]) -> list[tuple[str, str]]:
    standing = next((one["host"] for one in beat["speakers"] if one["state"] == "active"), "the active host")
    others = [one["host"] for one in beat["speakers"] if one["host"] != standing]
    whose = f"of project {beat['project_id']}" if beat["project_id"] else "of the whole cloud"
    told = f"{standing} tells {text.named(others)}" if others else f"{standing} is alone, nobody listens"
    return [
        ("heartbeat", f"{told}: every {beat['advert_ms']} ms a VRRP advert, VRID {beat['vrid']}"),
        ("takeover", f"{beat['takeover_ms']:.0f} ms after the last advert"),
        ("HA network", f"{beat['ha_network_id']} {whose}"),
        ("wire", f"VXLAN {beat['vni']} (UDP 4789), MTU {beat['mtu']}, from underlay address to address"),
        ("namespace", beat["namespace"]),
        ("device", beat["device"]),
        ("riding on it", text.count(beat["riding"], "router")),
    ]


def _speakers(beat: dict[str, Any], now: float, columns: int) -> Iterator[str]:
    header = ("HOST", "UNDERLAY", "ADDRESS", "PRIORITY", "STATE", "SINCE", "LAST REPORT", "WHY")
    rows = [
        (
            one["host"],
            one["vtep"] or "-",
            one["address"] or "-",
            str(one["priority"]),
            (one["state"] or "-") if one["alive"] else "silent",
            text.age(None if one["since"] is None else now - one["since"]),
            "-" if one["last_seen_seconds"] is None else f"{one['last_seen_seconds']:.1f} s ago",
            one["cause"],
        )
        for one in beat["speakers"]
    ]
    yield from text.table(header, rows, columns)
