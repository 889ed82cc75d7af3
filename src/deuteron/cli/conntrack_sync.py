"""Copy the connections of redundant routers to their twins on other hosts, and theirs to this host.

A daemon of the agent, which starts it.
"""

import argparse
import logging
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--run-dir",
        type=Path,
        default=Path("/run/deuteron"),
        help="the same as the agent's (default: %(default)s)",
    )
    parser.add_argument("--local-ip", required=True, help="the address of this host on the underlay")


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    from deuteron.agent.l3.conntrack_sync.service import Service

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        Service(arguments.run_dir, arguments.local_ip).run()
    except OSError as error:
        print(f"deuteron conntrack-sync: {arguments.local_ip}: {error}", file=sys.stderr)
        return 1
    return 0
