"""Show a self-service network that survives the death of a host, in a lab on this machine.

Ends with 0 when every step held, with 1 and the reason otherwise. The lab is removed at the end, also after
an interrupt, unless --keep is given. Its name is that of the environment variable DEUTERON_LAB, or "default".
"""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from deuteron.cli import interrupts

if TYPE_CHECKING:
    from deuteron.lab.state import Lab


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--keep", action="store_true", help="leave the lab up and say how to use it")
    modes = ["legacy", "ha", "dvr", "dvr-ha"]
    parser.add_argument("--mode", choices=modes, default="ha", help="of the router (default %(default)s)")
    parser.add_argument("--name", default=os.environ.get("DEUTERON_LAB", "default"), help="of the lab")


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration and print its report."""
    from deuteron.lab.state import Lab
    from deuteron.lab.topology import LabError

    try:
        lab = Lab(arguments.name)
        if lab.exists():
            raise LabError(
                f"there is a lab {lab.name!r} already: `deuteron lab --name {lab.name} down` removes it"
            )
    except LabError as error:
        print(f"deuteron demo: {error}", file=sys.stderr)
        return 1
    return _show(lab, arguments.mode, keep=arguments.keep)


def _show(lab: "Lab", mode: str, *, keep: bool) -> int:
    from deuteron.lab import demo
    from deuteron.lab.modes import MODES
    from deuteron.lab.topology import LabError

    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {text}", flush=True)

    status = 1
    try:
        interrupts.raise_once()
        report = demo.run(lab, MODES[mode], say)
        print("\n" + "\n".join(report.lines), flush=True)
        for reason in report.broken:
            print(f"deuteron demo: not held: {reason}", file=sys.stderr)
        status = 1 if report.broken else 0
    except LabError as error:
        print(f"deuteron demo: {error}", file=sys.stderr)
        for trouble in _troubles(lab):
            print(f"deuteron demo: found: {trouble}", file=sys.stderr)
    except interrupts.Interrupted as interrupt:
        keep = False
        print("deuteron demo: interrupted; removing the lab", file=sys.stderr)
        status = 128 + int(interrupt.args[0])
    finally:
        _finish(lab, keep)
    return status


def _troubles(lab: "Lab") -> list[str]:
    from deuteron.lab import lab as labs
    from deuteron.lab.topology import LabError

    try:
        return labs.troubles(lab)
    except LabError as error:
        return [str(error)]


def _finish(lab: "Lab", keep: bool) -> None:
    from deuteron.lab import lab as labs

    interrupts.ignore()
    if not keep:
        labs.down(lab)
        return
    if not lab.exists():
        return
    endpoint = labs.endpoint(lab.record())
    command = sys.argv[0] + " lab" + ("" if lab.name == "default" else f" --name {lab.name}")
    print(
        f"""
The lab is up, its API at {endpoint}. To look around:
  {command} status
  {command} exec vm1 -- ping 198.51.100.1
  {command} exec net1 -- ip netns
  {command} power-off net1
  openstack --os-auth-type none --os-endpoint {endpoint} router list
To remove it:
  {command} down"""
    )
