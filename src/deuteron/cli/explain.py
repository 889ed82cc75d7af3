"""Explain where the heartbeat of a router travels, or where a floating IP is served, and why.

`deuteron explain heartbeat ROUTER`: the router by its name or id. `deuteron explain fip ADDRESS`: the
floating IP by its address or id.
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
    parser.add_argument("what", choices=["heartbeat", "fip"], help="what is to be explained")
    parser.add_argument("of", metavar="ROUTER|ADDRESS", help="a router's name or id; a floating IP")
    parser.add_argument("--json", action="store_true", help="print the server's whole answer")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and tell; 1 where there is no heartbeat or nobody serves, 2 when it cannot be told."""
    heartbeat = arguments.what == "heartbeat"
    try:
        answer = (_heartbeat if heartbeat else _location)(arguments.endpoint, arguments.of)
    except Failed as error:
        print(f"deuteron explain: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print("\n".join((lines if heartbeat else location)(answer, text.width())))
    return 0 if (answer["heartbeat"] if heartbeat else answer["host"]) else 1


def _heartbeat(endpoint: str, name: str) -> Any:
    router = find_router(endpoint, name)
    return ask(endpoint, "GET", f"/v1/routers/{router['id']}/heartbeat")


def _location(endpoint: str, address: str) -> Any:
    for key in ("floating_ip_address", "id"):
        found = ask(endpoint, "GET", "/v2.0/floatingips", query={key: address})["floatingips"]
        if len(found) > 1:
            ids = ", ".join(one["id"] for one in found)
            raise Failed(f"there are several floating IPs {address}, give the id of one: {ids}")
        if found:
            return ask(endpoint, "GET", f"/v1/floatingips/{found[0]['id']}/location")
    raise Failed(f"there is no floating IP {address}")


def location(answer: dict[str, Any], columns: int) -> Iterator[str]:
    """Yield where a floating IP is served."""
    address, router = answer["floating_ip_address"], answer["router_name"] or answer["router_id"]
    if answer["host"] is None:
        yield from text.fold(f"{address} is served nowhere: {answer['reason']}", columns, 0, 2)
        return
    part = "central" if answer["served"] == "central" else "distributed"
    yield f"{address} is served on {answer['host']}, by the {part} part of router {router}"
    yield ""
    others = ", ".join(answer["standby"])
    facts = [("why", answer["reason"])]
    facts += [("leads to", one) for one in (answer["fixed_ip_address"], *answer["forwarded"]) if one]
    facts += [("port", answer["port_id"])] if answer["port_id"] else []
    allowed = text.named(answer["allowed_on"])
    facts += [("answered by", f"who has that address of ports on {allowed}")] if allowed else []
    facts += [("namespace", answer["namespace"])]
    facts += [("could take over", others)] if others else []
    yield from text.table(("", ""), facts, columns)


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
