"""Measure the figures that the project promises, and print them beside their bounds.

Groups: api (calls of the HTTP API), crash (power cuts), modes (from each mode of a router to each other),
move (planned moves), plan (what hosts are told of a port), rule (a security group's rule on 1,000 ports),
scale (25 and 200 routers), steady (nothing happens, on a busy machine), storm (500 instances at once), ways
(which way packets take in each mode of a router, and what it costs); all when none is named. The exit status
says whether all was measured, not whether bounds were kept.
"""

import argparse
import sys
from pathlib import Path

from deuteron.cli import interrupts

GROUPS = ("api", "crash", "modes", "move", "plan", "rule", "scale", "steady", "storm", "ways")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument(
        "--runs", type=int, metavar="N", help="runs of each group (default: what its figures ask)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples to this file as well")


def run(arguments: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    from deuteron.bench.report import table
    from deuteron.bench.run import run as run_groups

    unknown = [group for group in arguments.groups if group not in GROUPS]
    if unknown or (arguments.runs is not None and arguments.runs < 1):
        what = f"there is no group {unknown[0]!r}" if unknown else "--runs is at least 1"
        print(f"deuteron bench: {what} (groups: {', '.join(GROUPS)})", file=sys.stderr)
        return 2
    interrupts.raise_once()
    try:
        groups = run_groups(arguments.groups or GROUPS, arguments.runs, arguments.json, _say)
    except OSError as error:
        print(f"deuteron bench: {error}", file=sys.stderr)
        return 1
    except interrupts.Interrupted as interrupt:
        print("deuteron bench: interrupted; what it had started is stopped", file=sys.stderr)
        return 128 + int(interrupt.args[0])
    if len(groups) > 1:
        print(table(groups))
    return 1 if any(group.error for group in groups) else 0


def _say(text: str) -> None:
    print(text, flush=True)
