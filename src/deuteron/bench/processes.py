"""Starting what is measured: the `deuteron` command, and how much processor time a process took."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")


class BenchError(Exception):
    """A group could not be measured; the text says what happened and what to do."""


def deuteron(*words: str) -> list[str]:
    """Return the command line of a `deuteron` verb, of the same installation as this process."""
    return [str(Path(sys.executable).with_name("deuteron")), *words]


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has taken so far."""
    return sum(_times((PROC / str(pid) / "stat").read_text())[:2])


def cpu_by_command(init: int) -> dict[str, float]:
    """Return the processor time in seconds of all processes of a host so far, by command.

    What programs took that a process started and that have ended is under `programs of COMMAND`.
    The host is the PID namespace of the process `init`. Raises ProcessLookupError when there is none.
    """
    found: dict[str, float] = defaultdict(float)
    for command, directory in of_host(init):
        try:
            times = _times((directory / "stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[command] += sum(times[:2])
        found[f"programs of {command}"] += sum(times[2:])
    return found


def of_host(init: int, proc: Path = PROC) -> Iterator[tuple[str, Path]]:
    """Yield the command and the directory in /proc of each process in the PID namespace of `init`.

    Raises ProcessLookupError when there is no such process.
    """
    namespace = _pid_namespace(proc / str(init))
    if namespace is None:
        raise ProcessLookupError(f"process {init} is gone or not ours: the host is down")
    for directory in proc.iterdir():
        if not directory.name.isdecimal() or _pid_namespace(directory) != namespace:
            continue
        try:
            yield (directory / "comm").read_text().strip(), directory
        except (FileNotFoundError, ProcessLookupError):
            continue


def _times(stat: str) -> list[float]:
    """Return user and system time in seconds, of the process itself and of its children that have ended."""
    fields = stat.rpartition(")")[2].split()
    return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15]]


def _pid_namespace(directory: Path) -> str | None:
    try:
        return str((directory / "ns" / "pid").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last: certainly not one of a lab
        return None
