"""Processes as /proc tells them: which they are, and whether one is still the same."""

import os
import signal
import time
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TICKS = os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """Return what names this boot of the kernel."""
    return _BOOT_ID.read_text().strip()


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the boot; None when it is not there or dead."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def started_at(pid: int) -> float | None:
    """Return when a process started, as Unix time, within some 10 ms; None when it is not there."""
    ticks = start_time(pid)
    if ticks is None:
        return None
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / _TICKS


def argv(pid: int) -> tuple[str, ...]:
    """Return the command line of a process; empty when it is not there."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ()
    return tuple(word.decode(errors="replace") for word in words[:-1])


def mentioning(text: str) -> dict[int, tuple[str, ...]]:
    """Return the processes of this mount namespace whose command line holds a text: pid -> command line."""
    ours = Path("/proc/self/ns/mnt").stat().st_ino
    found = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names, not paths
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        words = argv(int(entry))
        if any(text in word for word in words) and _mount_namespace(int(entry)) == ours:
            found[int(entry)] = words
    return found


def leads_session(pid: int) -> bool:
    """Return whether a process was started as the first of its session."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def wait_for_handler(pid: int, number: signal.Signals, seconds: float) -> None:
    """Wait until a process handles a signal by which it would end before, or is gone; at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
        except OSError:
            return
        caught = next(line.split()[1] for line in lines if line.startswith("SigCgt:"))
        if int(caught, 16) >> (number - 1) & 1:
            return
        time.sleep(0.002)


def end(pid: int, started: int, patience: float = 5) -> None:
    """End the process `pid` that started at `started`: ask, wait `patience` seconds, then kill."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
        deadline = time.monotonic() + seconds
        if start_time(pid) != started:
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        pause = 0.001
        while start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(pause)
            pause = min(pause * 2, 0.05)


def _mount_namespace(pid: int) -> int | None:
    try:
        return Path(f"/proc/{pid}/ns/mnt").stat().st_ino
    except OSError:
        return None
