"""How far the twins here know all connections: a file that the copying process writes for the agent."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deuteron.agent.l3.switch import records


@dataclass(frozen=True, slots=True)
class Progress:
    """One router's twin that is closed here."""

    namespace: tuple[int, int]
    """Which namespace this is about: another one of that name begins anew."""
    heard: bool = False
    """Whether anybody has told it of connections."""
    whole: bool = False
    """Whether it was told all that there are; from then on it is told what changes."""


def place(run_dir: Path) -> Path:
    """Return the file."""
    return run_dir / "conntrack" / "progress.json"


def write(run_dir: Path, found: Mapping[str, Progress]) -> None:
    """Write it, router id -> progress, if it changes; raises OSError."""
    text = json.dumps({id_: asdict(one) for id_, one in found.items()}, sort_keys=True)
    records.replace(place(run_dir), text)


def read(run_dir: Path) -> dict[str, Progress]:
    """Return what it says; nothing where there is none, or none that can be read."""
    try:
        found = json.loads(place(run_dir).read_bytes())
        return {
            id_: Progress((one["namespace"][0], one["namespace"][1]), one["heard"], one["whole"])
            for id_, one in found.items()
        }
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}
