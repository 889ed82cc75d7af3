"""What the agent tells the switch, and the switch to itself of later: one small JSON file per thing.

Everything lies in RUN_DIR/switch, which lives until the next boot. Files are replaced whole.
"""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

GRACE = 2
"""Whole seconds without a heartbeat of the switch, after which this host gives up its elections."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a router: its device inside the namespace, what it announces."""

    device: str
    mac: str
    addresses: tuple[str, ...] = ()
    """Without prefix lengths."""


@dataclass(frozen=True, slots=True)
class Router:
    """A router's twin on this host."""

    id: str
    number: int
    netns: str
    gate: str = "closed"
    """"election", "open" or "closed"."""
    election: str | None = None
    draining: bool = False
    renewed: int = 0
    """When this changes while the gate is open, the router is announced again."""
    ports: tuple[Port, ...] = ()
    twins: tuple[str, ...] = ()
    """Underlay addresses of the hosts to copy connections to."""


@dataclass(frozen=True, slots=True)
class Election:
    """An election in which this host is a candidate."""

    id: str
    netns: str
    vrid: int
    peers: dict[str, str]
    """Address on the HA network -> host."""
    yields_to: str = ""
    """The host that is active though it may not be heard: whatever keepalived says, this host is not."""
    device: str = ""
    """Of the HA network, in `netns`."""
    underlay: str = ""
    """The device of the host without whose carrier it is not to take part; "" if that means nothing."""
    address: str = ""
    """Of this host on the HA network."""
    priority: int = 0
    """Of this host, 1 to 255: of two that are active the one with the higher stays. 0 if it is not known."""

    @property
    def mark(self) -> str:
        """The address that keepalived puts on the loopback of `netns` while this host is active."""
        return mark(self.vrid)


def mark(vrid: int) -> str:
    """Return the address that shows that the keepalived of a virtual router is active."""
    return f"169.254.0.{vrid}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What this host is in an election, since when (Unix time) and why."""

    id: str
    state: str
    """"active", "standby" or "fault"."""
    since: float
    cause: str
    gap_ms: float | None = None
    """Of the active: between the last advert of the one before and the opening of the gates."""
    rival: str = ""
    """Of one that is active no more: the host that was active at the same time."""


R = TypeVar("R", Router, Election, Standing)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie."""

    run_dir: Path

    @property
    def directory(self) -> Path:
        """All that is the switch's."""
        return self.run_dir / "switch"

    @property
    def socket(self) -> Path:
        """Where the switch is asked; see client.py."""
        return self.directory / "socket"

    @property
    def heartbeat(self) -> Path:
        """Holds the seconds since boot at which the switch was alive."""
        return self.directory / "heartbeat"

    @property
    def lock(self) -> Path:
        """Held by the switch that runs."""
        return self.directory / "lock"

    def router(self, id_: str) -> Path:
        """Return the file of a router."""
        return self.directory / "routers" / f"{id_}.json"

    def election(self, id_: str) -> Path:
        """Return the file of an election."""
        return self.directory / "elections" / f"{id_}.json"

    def standing(self, id_: str) -> Path:
        """Return the file with the last standing in an election."""
        return self.directory / "standings" / f"{id_}.json"

    def fifo(self, id_: str) -> Path:
        """Return the pipe to which the keepalived of an election writes."""
        return self.directory / "fifo" / id_

    def fence(self, id_: str) -> Path:
        """Return the nft file that closes the gates of an election without the switch."""
        return self.directory / "fence" / f"{id_}.nft"

    def make(self) -> None:
        """Make the directories."""
        for name in ("routers", "elections", "standings", "fifo", "fence"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)

    def routers(self) -> set[str]:
        """Return the ids of all routers that have a file."""
        return _stems(self.directory / "routers")

    def elections(self) -> set[str]:
        """Return the ids of all elections that have a file."""
        return _stems(self.directory / "elections")


def _stems(directory: Path) -> set[str]:
    return {file.stem for file in directory.glob("*.json")}


def write(file: Path, record: Router | Election | Standing) -> bool:
    """Write a record; return whether the file changed. Raises OSError."""
    return replace(file, json.dumps(asdict(record), sort_keys=True))


def replace(file: Path, text: str) -> bool:
    """Make a file hold a text, never half; return whether it changed. Raises OSError."""
    try:
        if file.read_text() == text:
            return False
    except (FileNotFoundError, UnicodeDecodeError):
        pass
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)
    return True


def read(file: Path, kind: type[R]) -> R | None:
    """Return the record in a file, None when there is no file; raises ValueError when it is unreadable."""
    try:
        values = json.loads(file.read_bytes())
        known = {field.name for field in fields(kind)}
        return kind(**{name: _value(name, value) for name, value in values.items() if name in known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{file}: unreadable: {error!r}") from None


def _value(name: str, value: Any) -> Any:
    if name == "ports":
        return tuple(Port(**{**port, "addresses": tuple(port["addresses"])}) for port in value)
    return tuple(value) if isinstance(value, list) else value


def fence_text(table: str, numbers: Iterable[int]) -> str:
    """Return what nft does to close the gates of routers."""
    text = ", ".join(str(number) for number in sorted(numbers))
    return f"add element bridge {table} standby {{ {text} }}\n" if text else "\n"


def beat(file: Path) -> None:
    """Say that the switch is alive."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # Always as wide, in one write: a reader never sees a part.
        os.pwrite(descriptor, b"%012d\n" % time.clock_gettime(time.CLOCK_BOOTTIME), 0)
    finally:
        os.close(descriptor)


ALIVE_SCRIPT = f"""\
#!/bin/sh
# Is the switch alive? $1: the file of its heartbeat.
read -r now _ </proc/uptime && read -r beat <"$1" || exit 1
beat=${{beat#"${{beat%%[!0]*}}"}}
[ $((${{now%.*}} - ${{beat:-0}})) -le {GRACE} ]
"""

FENCE_SCRIPT = """\
#!/bin/sh
# Close the gates of an election when the switch cannot. $1: the script above, $2: heartbeat, $3: nft file.
# keepalived runs in another network namespace than the host's, which is that of process 1.
"$1" "$2" || exec nsenter --net=/proc/1/ns/net nft -f "$3"
"""
