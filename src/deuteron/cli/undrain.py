"""Let a host be used again that was drained.

`deuteron undrain HOST`: what left it does not come back by itself; `deuteron rebalance` spreads routers.
"""

import argparse
import sys

from deuteron.cli.client import Failed, add_endpoint, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("host", metavar="HOST", help="what is to be used again")
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask for it."""
    try:
        ask(arguments.endpoint, "POST", f"/v1/hosts/{arguments.host}/undrain")
    except Failed as error:
        print(f"deuteron undrain: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.host} is used again")
    return 0
