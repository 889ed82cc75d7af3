"""How much memory the processes of one host take."""

from collections import Counter
from pathlib import Path

from deuteron.bench.processes import PROC, of_host


def pss_by_command(init: int, proc: Path = PROC) -> dict[str, int]:
    """Return the proportional set size in bytes of all processes of a host, by command.

    The host is the PID namespace of the process `init`. Shared pages are counted in parts: each process
    that maps one has its share. Memory of the kernel (namespaces, devices, nft rules) is not in it.
    Raises ProcessLookupError when there is no such process.
    """
    found: Counter[str] = Counter()
    for command, directory in of_host(init, proc):
        try:
            rollup = (directory / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[command] += pss(rollup)
    return dict(found)


def pss(rollup: str) -> int:
    """Return the bytes that the `Pss:` line of a `smaps_rollup` names; 0 for a process without memory."""
    for line in rollup.splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) * 1024
    return 0
