"""The haproxy of this host: started, reloaded when its configuration changes, asked what it has loaded."""

import contextlib
import grp
import pwd
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from deuteron.agent.metadata import render
from deuteron.agent.system import files
from deuteron.agent.system.daemons import Daemon, Daemons

_DAEMON = "haproxy"
_RELOAD_PAUSE = 0.5
"""Seconds between two reloads at least, so that a hundred new networks cost few of them."""
_TRIES = 20
"""Requests to load a configuration before it is called a problem."""
_ANSWER_SECONDS = 0.2


class Haproxy:
    """Listens on the legs of networks."""

    def __init__(self, daemons: Daemons, directory: Path) -> None:
        """Keep its files in `directory`."""
        self._daemons = daemons
        self._directory = directory
        self._wanted: Mapping[str, str] | None = None
        """Networks -> identity of their legs, as it should listen; None when that is done."""
        self._loading = ""
        """The description of the configuration that it was asked to load and has not yet."""
        self._asked = 0
        self._turned = 0.0

    @property
    def pending(self) -> bool:
        """Whether it does not do yet as it should."""
        return self._wanted is not None or bool(self._loading)

    def want(self, networks: Mapping[str, str]) -> None:
        """Have it listen for networks (id -> identity of the leg), and no others, soon."""
        self._wanted = dict(networks)

    def step(self, responder: render.Responder) -> str:
        """Do what is due; return what is wrong. Raises SystemCommandError, OSError, ValueError."""
        if self._loading and self._loading == _loaded(self._directory / "haproxy"):
            self._loading, self._asked = "", 0
        if self.pending and time.monotonic() >= self._turned + _RELOAD_PAUSE:
            self._turn(responder)
        if self._asked > _TRIES:
            return f"haproxy does not load its configuration; see {self._daemons.log_file(_DAEMON)}"
        return ""

    def stop(self) -> None:
        """Have it end."""
        self._daemons.stop(_DAEMON)
        self._wanted, self._loading, self._asked = None, "", 0
        for left in ("haproxy.cfg", "haproxy"):
            (self._directory / left).unlink(missing_ok=True)

    def _turn(self, responder: render.Responder) -> None:
        file = self._directory / "haproxy.cfg"
        before = file.read_text() if file.exists() else ""
        bound = render.bound(before)
        networks = bound if self._wanted is None else self._wanted
        text = render.config(networks, self._directory, _worker(), responder)
        files.write(file, text, mode=0o600)
        if any(bound.get(network, identity) != identity for network, identity in networks.items()):
            # A reload hands listeners on by the names of their devices: it would keep those of the old ones.
            self._daemons.stop(_DAEMON)
        self._load(file, render.description(text))
        self._wanted = None

    def _load(self, file: Path, description: str) -> None:
        """Have it run with a configuration.

        It forgets a request to reload that comes while it is still about the one before: what it has loaded
        is asked at the next step.
        """
        running = self._daemons.pid(_DAEMON)
        # -db: do not go to the background, -W: a master that starts new workers on SIGUSR2.
        self._daemons.ensure(
            Daemon(name=_DAEMON, argv=("haproxy", "-W", "-db", "-f", str(file)), unit="agent/metadata")
        )
        if running == self._daemons.pid(_DAEMON):
            if description == _loaded(self._directory / "haproxy"):
                self._loading = ""
                return
            self._daemons.reload(_DAEMON, signal.SIGUSR2)
        self._loading = description
        self._asked += 1
        self._turned = time.monotonic()


def _worker() -> render.Worker:
    """Return as whom haproxy's worker runs: as root only where Debian's user is missing."""
    try:
        group = pwd.getpwnam("haproxy").pw_gid
    except KeyError:
        return render.Worker("root", "root")
    return render.Worker("haproxy", grp.getgrgid(group).gr_name)


def _loaded(stats: Path) -> str:
    """Ask haproxy which configuration it has loaded: return its description, "" when there is no answer."""
    answer = b""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(stats))
        connection.sendall(b"show info\n")
        while data := connection.recv(1 << 16):
            answer += data
    lines = answer.decode(errors="replace").splitlines()
    found = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in found if key == "description"), "")
