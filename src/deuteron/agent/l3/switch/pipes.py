"""The pipe of an election: what its keepalived says, and whether it lives."""

import os
import stat
from pathlib import Path


class Pipe:
    """The reading end. keepalived alone holds the writing end, so its death is the end of the file."""

    def __init__(self, path: Path) -> None:
        """Make the pipe if need be and open it; raises OSError."""
        self.path = path
        if not path.exists() or not stat.S_ISFIFO(path.stat().st_mode):
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
        self._descriptor = self._open()
        self._rest = b""

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._descriptor

    def close(self) -> None:
        """Stop reading."""
        os.close(self._descriptor)

    def read(self) -> tuple[list[str], bool]:
        """Return the states that were announced since the last call, oldest first, and whether it lives."""
        lives = True
        while lives:
            try:
                data = os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                break
            lives = bool(data)
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [state for line in lines if (state := _state(line))], lives

    def reopen(self) -> None:
        """Wait for the next keepalived: a pipe at its end would be reported again and again."""
        fresh = self._open()  # before the old end is closed, so that nothing written meanwhile is lost
        os.close(self._descriptor)
        self._descriptor = fresh
        self._rest = b""

    def _open(self) -> int:
        return os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _state(line: bytes) -> str:
    """Return the state of a line such as `INSTANCE "name" MASTER 200`, or nothing."""
    words = line.split()
    state = words[2].decode(errors="replace") if len(words) >= 3 and words[0] == b"INSTANCE" else ""
    return state if state in ("MASTER", "BACKUP", "FAULT", "STOP") else ""
