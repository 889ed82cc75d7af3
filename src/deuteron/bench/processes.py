"""Starting what is measured: the `deuteron` command, and how much processor time a process took."""

import os
import sys
from pathlib import Path


class BenchError(Exception):
    """A group could not be measured; the text says what happened and what to do."""


def deuteron(*words: str) -> list[str]:
    """Return the command line of a `deuteron` verb, of the same installation as this process."""
    return [str(Path(sys.executable).with_name("deuteron")), *words]


def cpu_seconds(pid: int) -> float:
    """Return the processor time, user and system, that a process has taken so far."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
