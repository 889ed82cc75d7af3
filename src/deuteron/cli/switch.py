"""Open and close the gates of redundant routers on this host, as their elections say.

Runs beside the agent, under its own supervisor entry, and does not need it.
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


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    from deuteron.agent.l3.switch import gate, service

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        service.serve(arguments.run_dir)
    except (service.AlreadyRuns, gate.GateError, OSError) as error:
        print(f"deuteron switch: {error}", file=sys.stderr)
        return 1
    return 0
