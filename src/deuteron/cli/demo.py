"""Show a self-service network that survives the death of a host, in a lab on this machine.

Ends with 0 when every step held, with 1 and the reason otherwise. The lab is removed at the end, also after
an interrupt, unless --keep is given.
"""

import argparse
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from deuteron.lab.state import Lab


class Interrupted(BaseException):
    """A signal asked for the end; the argument is its number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--keep", action="store_true", help="leave the lab up and say how to use it")
    parser.add_argument("--mode", choices=["ha"], default="ha", help="of the router (default %(default)s)")
    parser.add_argument("--name", default="demo", help="of the lab (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration and print its report."""
    from deuteron.lab.state import Lab
    from deuteron.lab.topology import LabError

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        lab = Lab(arguments.name)
        if lab.exists():
            raise LabError(
                f"there is a lab {lab.name} already: `deuteron lab --name {lab.name} down` removes it"
            )
    except LabError as error:
        print(f"deuteron demo: {error}", file=sys.stderr)
        return 1
    return _show(lab, keep=arguments.keep)


def _show(lab: "Lab", *, keep: bool) -> int:
    from deuteron.lab import demo
    from deuteron.lab.topology import LabError

    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {text}", flush=True)

    status = 1
    try:
        report = demo.run(lab, say)
        print("\n" + "\n".join(report.lines), flush=True)
        for reason in report.broken:
            print(f"deuteron demo: not held: {reason}", file=sys.stderr)
        status = 1 if report.broken else 0
    except LabError as error:
        print(f"deuteron demo: {error}", file=sys.stderr)
    except Interrupted as interrupt:
        keep = False
        print("deuteron demo: interrupted; removing the lab", file=sys.stderr)
        status = 128 + int(interrupt.args[0])
    finally:
        _finish(lab, keep)
    return status


def _finish(lab: "Lab", keep: bool) -> None:
    from deuteron.lab import lab as labs

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a second one must not stop the cleaning
        signal.signal(number, signal.SIG_IGN)
    if not keep:
        labs.down(lab)
        return
    endpoint = labs.endpoint(lab.record())
    print(
        f"""
The lab is up. To look around:
  export DEUTERON_LAB={lab.name}
  deuteron lab status
  deuteron lab exec vm1 -- ping 198.51.100.1
  deuteron lab exec net1 -- ip netns
  openstack --os-auth-type none --os-endpoint {endpoint} router list
  deuteron lab power-off net1
To remove it:
  deuteron lab down"""
    )


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted(number)
