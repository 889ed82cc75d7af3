"""Make this host look as the server plans it: networks, routers, DHCP, metadata."""

import argparse
import logging
import sys
from pathlib import Path

from deuteron.agent import main
from deuteron.agent.settings import AgentSettings, NetworkLogSettings
from deuteron.config import ConfigError, load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; each overrides the setting of the same name in [agent]."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with a section [agent]")
    parser.add_argument("--host", help="name of this host in the cloud (default: its hostname)")
    parser.add_argument("--server", metavar="URL", help="the server (default: http://127.0.0.1:9696)")
    parser.add_argument("--local-ip", metavar="ADDRESS", help="address of this host on the underlay network")
    parser.add_argument("--roles", help="of l2,l3,dhcp,metadata (default: all)")
    parser.add_argument(
        "--bridge-mappings", metavar="NETWORK:DEVICE,...", help="physical networks and their devices"
    )
    parser.add_argument(
        "--agent-mode",
        metavar="MODE",
        help="legacy, dvr, dvr_snat or dvr_no_external: which parts of routers it carries (default: legacy)",
    )
    parser.add_argument("--zone", help="availability zone (default: nova)")
    parser.add_argument("--state-dir", metavar="DIR", help="default: /var/lib/deuteron")
    parser.add_argument("--run-dir", metavar="DIR", help="default: /run/deuteron")


def run(arguments: argparse.Namespace) -> int:
    """Run the agent until it is told to stop."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    options = {name: value for name, value in vars(arguments).items() if name != "config"}
    try:
        settings = load(AgentSettings, "agent", arguments.config, options)
        return main.run(settings, load(NetworkLogSettings, "network_log", arguments.config))
    except ConfigError as error:
        print(f"deuteron agent: {error}", file=sys.stderr)
        return 2
