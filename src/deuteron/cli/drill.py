"""Break a cloud in a lab on purpose, measure what it costs, and check that everything is whole again.

Without names all drills are done once; NAME... --rounds N does these (or `all`) N times; --rounds N alone is
a random walk of N failures and repairs, the same for the same --seed, which ends at the first thing that does
not hold. Ends with 0 when everything was as expected, with 1 when not. The lab is removed at the end.
"""

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deuteron.cli import interrupts

if TYPE_CHECKING:
    from deuteron.drill.step import Outcome
    from deuteron.lab.modes import Mode
    from deuteron.lab.state import Lab

ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"drills, or `{ALL}`; see --list")
    modes = ["legacy", "ha", "dvr", "dvr-ha"]
    parser.add_argument("--mode", choices=modes, default="ha", help="of the router (default %(default)s)")
    parser.add_argument("--list", action="store_true", help="show the drills and what each may cost")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often; without names, of a random walk")
    parser.add_argument("--seed", type=int, metavar="S", help="of the random walk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")


def run(arguments: argparse.Namespace) -> int:
    """Run the verb; return the exit status."""
    from deuteron.drill.catalogue import of_mode
    from deuteron.lab.modes import MODES
    from deuteron.lab.state import Lab

    mode = MODES[arguments.mode]
    if arguments.list:
        _list(mode)
        return 0
    if wrong := _wrong(arguments, of_mode(mode)):
        print(f"deuteron drill: {wrong}", file=sys.stderr)
        return 2
    lab, status = Lab(f"drill-{os.getpid()}"), 1
    interrupts.raise_once()
    try:
        status = _drill(lab, mode, arguments)
    except interrupts.Interrupted as interrupt:
        print("deuteron drill: interrupted; removing the lab", file=sys.stderr)
        status = 128 + int(interrupt.args[0])
    except OSError as error:
        print(f"deuteron drill: {error}", file=sys.stderr)
    finally:
        interrupts.ignore()
        _remove(lab)
    return status


def _wrong(arguments: argparse.Namespace, known: Any) -> str:
    unknown = [name for name in arguments.names if name not in known and name != ALL]
    if unknown:
        return f"there is no drill {unknown[0]!r} (`deuteron drill --list` shows them)"
    if arguments.rounds is not None and arguments.rounds < 1:
        return "--rounds is at least 1"
    if arguments.seed is not None and (arguments.names or arguments.rounds is None):
        return "--seed belongs to a random walk: --rounds N without names"
    return ""


def _drill(lab: "Lab", mode: "Mode", arguments: argparse.Namespace) -> int:
    from deuteron.drill import report
    from deuteron.drill.catalogue import of_mode
    from deuteron.drill.run import drills, random_walk
    from deuteron.lab.topology import LabError

    seed = None
    try:
        if arguments.rounds and not arguments.names:
            seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
            _say(f"a random walk of {arguments.rounds} rounds: --seed {seed}")
            outcomes = random_walk(lab, mode, seed, arguments.rounds, arguments.json, _say)
        else:
            names = list(of_mode(mode)) if ALL in arguments.names or not arguments.names else arguments.names
            outcomes = drills(lab, mode, names, arguments.rounds or 1, arguments.json, _say)
    except LabError as error:
        print(f"deuteron drill: {error}", file=sys.stderr)
        return 1
    _say("\n" + report.table(outcomes))
    if all(outcome.kept for outcome in outcomes):
        return 0
    if seed is not None:
        _tell(mode, seed, outcomes)
    return 1


def _tell(mode: "Mode", seed: int, outcomes: "list[Outcome]") -> None:
    """Say how to walk the same way again, which way it was, and what was found at its end."""
    again = f"deuteron drill --mode {mode.name} --rounds {len(outcomes)} --seed {seed}"
    print(f"\ndeuteron drill: it does not hold; again: {again}")
    for number, outcome in enumerate(outcomes, 1):
        print(f"  {number:3}. {outcome.step} ({', '.join(outcome.hosts)})")
    for reason in outcomes[-1].missed:
        print(f"  {reason}")
    print(json.dumps(outcomes[-1].evidence, indent=1), flush=True)


def _list(mode: "Mode") -> None:
    from deuteron.drill import effects
    from deuteron.drill.catalogue import of_mode

    for name, drill in of_mode(mode).items():
        print(name)
        for step in drill.steps:
            effect = effects.of_all(step.acts, mode)
            print(f"    {step}: {effects.describe(effect) if step.traffic else 'no traffic'}")


def _remove(lab: "Lab") -> None:
    from deuteron.lab import lab as labs
    from deuteron.lab.topology import LabError

    try:
        labs.down(lab)
    except LabError as error:
        print(f"deuteron drill: {error}", file=sys.stderr)


def _say(text: str) -> None:
    print(text, flush=True)
