"""Take what `deuteron plug` put on a port off it, on this host.

A namespace loses the interface; a tap device gets its former name back. The port remains, bound to no host.
"""

import argparse
import sys

from deuteron.cli.client import Failed, add_endpoint, find
from deuteron.cli.plug import add_host
from deuteron.cli.plugging import OWNER, unplug


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("port", metavar="PORT", help="its name or id")
    add_host(parser)
    add_endpoint(parser)


def run(arguments: argparse.Namespace) -> int:
    """Unplug."""
    try:
        port = find(arguments.endpoint, "port", arguments.port)
        if port["device_owner"] != OWNER:
            who = f"is {port['device_owner']}'s" if port["device_owner"] else "has no device"
            raise Failed(f"port {port['id']} was not plugged by deuteron plug: it {who}")
        unplug(arguments.endpoint, port, arguments.host)
    except Failed as error:
        print(f"deuteron unplug: {error}", file=sys.stderr)
        return 1
    return 0
