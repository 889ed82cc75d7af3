"""Run a command inside a lab host or an instance: `python enter.py PID -- COMMAND...`.

PID is that of a process which lives there. The command's exit status is passed on (128 + number for a
signal, 127 when there is no such command). Standard library only: this starts for each command.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

_NAMESPACES = 0x00020000 | 0x04000000 | 0x20000000 | 0x40000000  # mount, UTS, PID, network
_PR_SET_PDEATHSIG = 1
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def command(pid: int, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs `argv` where process `pid` lives."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(pid), "--", *argv]


def run(pid: int, argv: Sequence[str]) -> int:
    """Run a command where process `pid` lives and return its exit status.

    This process itself moves into the namespaces. Raises OSError when the process is gone.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    if libc.setns(pidfd, _NAMESPACES) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter the namespaces of process {pid}: {os.strerror(number)}")
    os.close(pidfd)
    os.chdir("/")
    child = os.fork()
    if child == 0:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored is inherited
        _execute(argv)

    def forward(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    for number in (signal.SIGINT, signal.SIGQUIT):  # a terminal sends them to the command as well
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _execute(argv: Sequence[str]) -> None:
    try:
        os.execvp(argv[0], list(argv))
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def main() -> int:
    """Read the command line and run."""
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        print("usage: enter.py PID -- COMMAND...", file=sys.stderr)
        return 125
    try:
        return run(int(sys.argv[1]), sys.argv[3:])
    except OSError as error:
        print(error.strerror, file=sys.stderr)
        return 125


if __name__ == "__main__":
    sys.exit(main())
