"""Check the settings, the hosts and this host, and say how to mend what is wrong.

Ends with 0 when nothing must be mended (there may be warnings), with 1 when something must, with 2 when the
server does not answer. This host is checked where the configuration file has a section [agent].
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from deuteron.agent import checkup
from deuteron.agent.settings import AgentSettings
from deuteron.cli import text
from deuteron.cli.client import Failed, add_endpoint, ask
from deuteron.config import ConfigError, load
from deuteron.findings import Finding, judge

CONFIG = Path("/etc/deuteron/deuteron.toml")
_SIGNS = {"ok": "[ok]  ", "warn": "[warn]", "fail": "[FAIL]"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--host-only", action="store_true", help="check this host only")
    parser.add_argument("--config", type=Path, metavar="FILE", help=f"of this host (default {CONFIG})")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check and tell."""
    found: list[Finding] = []
    cloud, unanswered = None, ""
    try:
        answer = ask(arguments.endpoint, "GET", "/v1/check")
        cloud = msgspec.convert(answer, checkup.Cloud)
        if not arguments.host_only:
            found += msgspec.convert(answer["findings"], list[Finding])
    except Failed as error:
        unanswered = str(error)
    found += _here(arguments, cloud)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        print("\n".join(lines(found, text.width())))
    if unanswered:
        print(f"deuteron check: {unanswered}", file=sys.stderr)
    return _exit_status(found, unanswered != "" and not arguments.host_only)


def _here(arguments: argparse.Namespace, cloud: checkup.Cloud | None) -> Iterable[Finding]:
    """Check this host, if an agent is to run here."""
    path: Path | None = arguments.config or (CONFIG if CONFIG.exists() else None)
    try:
        settings = load(AgentSettings, "agent", path)
        if not arguments.host_only and settings == AgentSettings():
            return []
    except ConfigError as error:
        return [judge(checkup.GROUP, "", str(error), "mend the configuration file")]
    return checkup.check(settings, cloud)


def _exit_status(found: list[Finding], unanswered: bool) -> int:
    if unanswered:
        return 2
    return 1 if any(one.level == "fail" for one in found) else 0


def lines(found: list[Finding], columns: int) -> Iterator[str]:
    """Yield what was found, group by group."""
    for group in dict.fromkeys(one.group for one in found):
        yield group
        for one in found:
            if one.group == group:
                yield from text.fold(f"{_SIGNS[one.level]} {one.text}", columns, 2, 9)
                if one.fix:
                    yield from text.fold(f"fix: {one.fix}", columns, 9, 14)
        yield ""
    counts = {level: sum(one.level == level for one in found) for level in _SIGNS}
    yield f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} to mend"
