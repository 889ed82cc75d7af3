"""Draw the ways of packets in the four modes of a router: `python -m deuteron.lab.pictures DIRECTORY`.

Brings up a lab of its own, takes its router from mode to mode, traces three ways in each, and takes the lab
down. Needs root.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

from deuteron.lab import lab, picture, scene, trace, ways
from deuteron.lab.modes import MODES
from deuteron.lab.state import Lab
from deuteron.lab.topology import LabError


def draw(where: Lab, directory: Path) -> None:
    """Write MODE-WAY.svg for each mode and way. Raises LabError, also when a packet was not answered."""
    first, *others = MODES.values()
    stage = ways.build(where, first)
    for mode in (first, *others):
        if mode != first:
            stage = replace(stage, scene=scene.convert(stage.scene, mode))
        scene.settled(stage.scene, mode.candidates(ways.NETWORK_HOSTS))
        for way, (source, target) in stage.ways.items():
            found = trace.trace(where, source, target)
            if not found.answered:
                raise LabError(f"{mode.name}, {way}: {trace.describe(found)}")
            (directory / f"{mode.name}-{file_name(way)}.svg").write_text(picture.draw(found))
            print(f"{mode.name}, {way}: {' > '.join(found.there.hosts)}", flush=True)


def file_name(way: str) -> str:
    """Return what a way is called in the name of a file."""
    return way.lower().replace(" ", "-")


def main() -> int:
    """Draw into the directory that the command line names."""
    if len(sys.argv) != 2:
        print("usage: python -m deuteron.lab.pictures DIRECTORY", file=sys.stderr)
        return 2
    directory = Path(sys.argv[1])
    where = Lab(f"pictures-{os.getpid()}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lab.up(where)
        draw(where, directory)
    except (LabError, OSError) as error:
        print(f"pictures: {error}", file=sys.stderr)
        return 1
    finally:
        lab.down(where)
    return 0


if __name__ == "__main__":
    sys.exit(main())
