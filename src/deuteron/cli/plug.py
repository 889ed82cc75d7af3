"""Put a network namespace or a tap device of this host on a port.

`deuteron plug PORT --netns NAME`: a new interface in the namespace, with the port's addresses and routes.
`deuteron plug PORT --tap DEVICE`: what is behind the device, a virtual machine's, speaks for itself: it must
have the port's MAC address. The device gets another name until `deuteron unplug PORT`.
"""

import argparse
import socket
import sys

from deuteron.cli.client import Failed, add_endpoint, find
from deuteron.cli.plugging import Place, plug
from deuteron.plug import wire
from deuteron.plug.guest import Guest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("port", metavar="PORT", help="its name or id")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--netns", metavar="NAME", help="of a network namespace, or its path")
    what.add_argument("--tap", metavar="DEVICE", help="of this host, on no bridge")
    parser.add_argument(
        "--interface", default="eth0", metavar="NAME", help="in the namespace (default: %(default)s)"
    )
    add_host(parser)
    add_endpoint(parser)


def add_host(parser: argparse.ArgumentParser) -> None:
    """Declare the option that says which host this is."""
    parser.add_argument(
        "--host", default=socket.gethostname(), help="this host, as its agent calls it (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Plug, wait, tell."""
    place = Place(arguments.host, f"{arguments.host}/{arguments.netns or arguments.tap}"[:255])

    def connect(guest: Guest) -> None:
        if arguments.netns:
            wire.connect(guest, arguments.netns, arguments.interface)
        else:
            wire.take(guest.port, arguments.tap)

    try:
        port = find(arguments.endpoint, "port", arguments.port)
        guest = plug(arguments.endpoint, port, place, connect)
    except Failed as error:
        print(f"deuteron plug: {error}", file=sys.stderr)
        return 1
    what = f"{arguments.netns} {arguments.interface}" if arguments.netns else arguments.tap
    addresses = " ".join(one.address for one in guest.addresses)
    print(f"{what}: port {guest.port} on {arguments.host}, MAC {guest.mac}, MTU {guest.mtu}, {addresses}")
    return 0
