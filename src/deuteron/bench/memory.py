"""How much memory the processes of one host take."""

from collections import Counter
from pathlib import Path

PROC = Path("/proc")


def pss_by_command(init: int, proc: Path = PROC) -> dict[str, int]:
    """Return the proportional set size in bytes of all processes of a host, by command.

    The host is the PID namespace of the process `init`. Shared pages are counted in parts: each process
    that maps one has its share. Memory of the kernel (namespaces, devices, nft rules) is not in it.
    Raises ProcessLookupError when there is no such process.
    """
    namespace = _pid_namespace(proc / str(init))
    if namespace is None:
        raise ProcessLookupError(f"process {init} is gone or not ours: the host is down")
    found: Counter[str] = Counter()
    for directory in proc.iterdir():
        if not directory.name.isdecimal() or _pid_namespace(directory) != namespace:
            continue
        try:
            rollup = (directory / "smaps_rollup").read_text()
            command = (directory / "comm").read_text().strip()
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


def _pid_namespace(directory: Path) -> str | None:
    try:
        return str((directory / "ns" / "pid").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # the last: certainly not one of a lab
        return None
