"""Show the whole truth in one table: hosts, routers, and what is wrong since when.

Ends with 0 when all is well, with 1 when something is degraded or broken, with 2 when the server does not
answer. With --watch it shows every change, until it is interrupted.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from deuteron.cli import text
from deuteron.cli.client import Failed, add_endpoint, ask

POLL_SECONDS = 1.0
_TOP, _END_OF_LINE, _BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_VOLATILE = ("now", "problems")
_ALL_ROLES = 4
_MODES = {
    (False, False): "single",
    (True, False): "HA",
    (False, True): "DVR",
    (True, True): "DVR+HA",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--watch", action="store_true", help="go on, and show every change")
    parser.add_argument("--json", action="store_true", help="print the server's whole answer")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and tell, once or for ever."""
    if arguments.watch:
        return _watch(arguments)
    try:
        status = ask(arguments.endpoint, "GET", "/v1/status")
    except Failed as error:
        print(f"deuteron status: {error}", file=sys.stderr)
        return 2
    shown = [json.dumps(status, indent=2)] if arguments.json else lines(status, text.width())
    print("\n".join(shown))
    return _exit_status(status)


def _watch(arguments: argparse.Namespace) -> int:
    """Ask every second; draw the screen anew, or append what changed where there is no screen."""
    screen = sys.stdout.isatty() and not arguments.json
    before, status = None, 2
    if screen:
        print("\x1b[2J", end="")
    try:
        while True:
            try:
                answer: dict[str, Any] | None = ask(arguments.endpoint, "GET", "/v1/status")
            except Failed as error:
                answer, words = None, f"the server does not answer: {error}"
            status = 2 if answer is None else _exit_status(answer)
            now = words if answer is None else _lasting(answer)
            if screen:
                _draw([words] if answer is None else list(lines(answer, text.width(), brief=True)))
            elif now != before:
                _append(answer, words if answer is None else "", as_json=arguments.json)
            before = now
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        print()
        return status


def _draw(shown: list[str]) -> None:
    height = shutil.get_terminal_size((80, 24)).lines - 1
    cut = shown[:height]
    head = f"{text.moment(time.time())}   (ctrl-C ends)"
    body = "".join(f"{line}{_END_OF_LINE}\n" for line in [head, *cut[: height - 1]])
    print(f"{_TOP}{body}{_BELOW}", end="", flush=True)


def _append(answer: dict[str, Any] | None, words: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer or {"level": "UNKNOWN", "problems": [words]}), flush=True)
        return
    print(f"--- {text.moment(time.time())}")
    print("\n".join(lines(answer, text.width()) if answer else [words]), flush=True)


def _lasting(status: dict[str, Any]) -> str:
    """Return what does not change by itself as time goes by."""
    kept = {key: value for key, value in status.items() if key not in _VOLATILE}
    kept["hosts"] = [{**host, "last_seen_seconds": 0} for host in status["hosts"]]
    return json.dumps(kept, sort_keys=True)


def _exit_status(status: dict[str, Any]) -> int:
    return 0 if status["level"] == "OK" else 1


def lines(status: dict[str, Any], columns: int, *, brief: bool = False) -> Iterator[str]:
    """Yield what is told of a status, what is wrong first; `brief` leaves out routers that are well."""
    yield from _wrong(status, columns)
    yield from _incidents(status, columns)
    yield ""
    yield from _hosts(status, columns)
    routers = [one for one in status["routers"] if one["level"] != "OK" or not brief]
    if routers:
        yield ""
        yield from _routers(routers, status["now"], columns)
    if well := len(status["routers"]) - len(routers):
        yield ""
        yield f"{text.count(well, 'more router')}: ok"


def _wrong(status: dict[str, Any], columns: int) -> Iterator[str]:
    if not status["wrong"]:
        counts = [text.count(len(status[f"{kind}s"]), kind) for kind in ("host", "router", "network")]
        yield f"all is well: {counts[0]}, {counts[1]}, DHCP on {counts[2]}"
        return
    rows = []
    for one in status["wrong"]:
        who = text.named(one["names"])
        many = "s" if len(one["names"]) > 1 else ""
        what = who if one["kind"] == "host" else f"{one['kind']}{many} {who}"
        for_how_long = text.age(None if one["since"] is None else status["now"] - one["since"])
        rows.append((one["level"], for_how_long, f"{what}: {one['text']}"))
    yield from text.table(("WRONG NOW", "FOR", "WHAT"), rows, columns)


def _incidents(status: dict[str, Any], columns: int) -> Iterator[str]:
    if not status["incidents"]:
        return
    last = status["incidents"][0]
    ago = text.age(status["now"] - last["began"])
    lasted = (last["ended"] or status["now"]) - last["began"]
    counted = f"incidents: {status['incidents_counted']}, the last one {ago} ago"
    yield ""
    yield from text.fold(f"{counted}, for {lasted:.1f} s: {last['cause']}", columns, 0, 2)


def _hosts(status: dict[str, Any], columns: int) -> Iterator[str]:
    header = ("HOST", "STATE", "SINCE", "ZONE", "ACTIVE", "STANDBY", "DHCP", "PORTS", "ROLES")
    rows = [
        (
            one["name"],
            state_of(one),
            text.age(status["now"] - one["since"]),
            one["zone"],
            str(one["active_routers"]),
            str(one["routers"] - one["active_routers"]),
            str(one["dhcp_networks"]),
            str(one["instance_ports"]),
            _roles(one),
        )
        for one in status["hosts"]
    ]
    yield from text.table(header, rows, columns)


def _roles(host: dict[str, Any]) -> str:
    if len(host["roles"]) == _ALL_ROLES and not host["disabled"]:
        return "all"
    return " ".join(f"{role}(off)" if role in host["disabled"] else role for role in host["roles"])


def state_of(host: dict[str, Any]) -> str:
    """Return what a host is, in a word or two."""
    words = ["up" if host["alive"] else "silent", host["drain"]]
    return ", ".join(word for word in words if word)


def _routers(routers: list[dict[str, Any]], now: float, columns: int) -> Iterator[str]:
    rows = []
    for one in sorted(routers, key=lambda one: one["level"] == "OK"):
        place = one["active"] or "nowhere"
        since = text.age(None if one["since"] is None else now - one["since"])
        rows.append(
            (
                one["name"] or one["id"],
                _MODES[one["ha"], one["distributed"]],
                f"{place} -> {one['moving_to']}" if one["moving"] else place,
                since,
                " ".join(one["standby"]) or "-",
                _state(one),
            )
        )
    yield from text.table(("ROUTER", "MODE", "ACTIVE ON", "SINCE", "STANDBY", "STATE"), rows, columns)


def _state(router: dict[str, Any]) -> str:
    why = "; ".join(one["text"] for one in router["why"])
    word = "ok" if router["level"] == "OK" else router["level"]
    return f"{word}: {why}" if why else word
