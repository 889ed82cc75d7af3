"""Metadata on this host: one haproxy that listens in the namespaces of routers and DHCP servers."""

import contextlib
import grp
import logging
import pwd
import secrets
import signal
import socket
import threading
import time
from pathlib import Path

from deuteron.agent import names
from deuteron.agent.context import Context
from deuteron.agent.metadata import render
from deuteron.agent.metadata.nova import Nova
from deuteron.agent.metadata.responder import Directory, Responder
from deuteron.agent.settings import AgentSettings
from deuteron.agent.system import files, ip, netns
from deuteron.agent.system.daemons import Daemon
from deuteron.agent.system.errors import SystemCommandError
from deuteron.plan.units import Dhcp, Instance, Router, Unit

log = logging.getLogger(__name__)

_DAEMON = "haproxy"
_RELOAD_PAUSE = 0.5
"""Seconds between two reloads at least: a reload costs some 100 ms of processor time."""
_TRIES = 20
"""Requests to load a configuration before it is called a problem."""
_ANSWER_SECONDS = 0.2


class MetadataManager:
    """Serves metadata in every namespace that is the way of some instance to it."""

    kinds: tuple[type[Unit], ...] = (Router, Dhcp, Instance)

    def __init__(self, context: Context, settings: AgentSettings) -> None:
        """Build on the host of `context`."""
        self._context = context
        self._directory = context.run_dir / "metadata"
        self._instances = Directory()
        self._nova = (
            Nova(
                settings.nova_metadata_host,
                settings.nova_metadata_port,
                settings.metadata_proxy_shared_secret,
            )
            if settings.nova_metadata_host
            else None
        )
        self._port = settings.metadata_port
        self._responder = self._listen()
        self._namespaces: dict[str, str] = {}  # namespace -> key of the unit that wants it
        self._addressed: dict[str, int] = {}  # namespace -> inode, where the address is known to be
        self._reloaded = 0.0
        self._loading = ""
        """The description of the configuration that haproxy was asked to load and has not yet."""
        self._asked = 0
        self._dirty = True
        self.pending = False

    def put(self, unit: Unit) -> None:
        """Note a new or changed unit."""
        match unit:
            case Instance():
                self._instances.put_instance(unit)
            case Router():
                self._instances.put_router(unit)
                self._want(names.router_namespace(unit.id), unit.key, True)
            case Dhcp():
                self._instances.put_network(unit.id)
                self._want(names.dhcp_namespace(unit.id), unit.key, unit.metadata)

    def delete(self, key: str) -> None:
        """Note that a unit is gone."""
        kind, _, identity = key.partition("/")
        if kind == "instance":
            self._instances.delete_instance(identity)
            return
        naming = names.router_namespace if kind == "router" else names.dhcp_namespace
        self._instances.delete_namespace(naming(identity))
        self._want(naming(identity), key, False)

    def recheck(self) -> None:
        """Compare everything at the next turn."""
        self._instances.complete.set()
        self._addressed.clear()
        self._dirty = True

    def apply(self) -> dict[str, str]:
        """Make the host so."""
        if self._loading and self._loading == _loaded(self._directory / "haproxy"):
            self._loading, self._asked = "", 0
        self.pending = bool(self._dirty or self._loading)
        if not self.pending or time.monotonic() < self._reloaded + _RELOAD_PAUSE:
            return {}
        self._take_addresses_away()
        problems, ready = self._prepare()
        try:
            self._serve(ready)
        except (SystemCommandError, OSError) as error:
            problems["agent/metadata"] = f"metadata: {error}"
        if self._asked > _TRIES:
            log_file = self._context.daemons.log_file(_DAEMON)
            problems["agent/metadata"] = f"haproxy does not load its configuration; see {log_file}"
        self._dirty = bool(problems)
        self.pending = bool(self._loading) and not problems
        return problems

    def _want(self, namespace: str, key: str, wanted: bool) -> None:
        if wanted and namespace not in self._namespaces:
            self._namespaces[namespace] = key
            self._dirty = True
        elif not wanted and namespace in self._namespaces:
            del self._namespaces[namespace]
            self._dirty = True

    def _listen(self) -> Responder | None:
        """Answer at the port; the secret stays the same for the next agent, since haproxy keeps running."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._directory / "secret"
        secret = file.read_text() if file.exists() else ""
        if not secret:
            secret = secrets.token_hex(16)
            files.write(file, secret, mode=0o600)
        try:
            responder = Responder(self._port, secret, self._instances, self._nova)
        except OSError as error:
            log.error("metadata: 127.0.0.1:%d: %s", self._port, error)
            return None
        threading.Thread(target=responder.serve_forever, name="metadata", daemon=True).start()
        return responder

    def _take_addresses_away(self) -> None:
        for namespace in self._addressed.keys() - self._namespaces.keys():
            del self._addressed[namespace]
            if netns.path(namespace).exists():
                try:
                    ip.batch([f"address delete {render.ADDRESS}/32 dev lo"], namespace)
                except SystemCommandError as error:
                    log.info("%s: %s", namespace, error)  # it goes with its router, or went already

    def _prepare(self) -> tuple[dict[str, str], dict[str, int]]:
        """Put the address into the namespaces; return problems, and the inodes of those that have it."""
        problems: dict[str, str] = {}
        ready: dict[str, int] = {}
        for namespace, key in sorted(self._namespaces.items()):
            try:
                inode = netns.path(namespace).stat().st_ino
                if self._addressed.get(namespace) != inode:
                    if not netns.is_ours(namespace):
                        problems[key] = f"metadata waits: the namespace {namespace} is not ours"
                        continue
                    ip.batch([f"address replace {render.ADDRESS}/32 dev lo"], namespace)
                    self._addressed[namespace] = inode
                ready[namespace] = inode
            except FileNotFoundError:
                problems[key] = f"metadata waits for the namespace {namespace}"
            except (SystemCommandError, OSError) as error:
                problems[key] = str(error)
        return problems, ready

    def _serve(self, ready: dict[str, int]) -> None:
        if not ready:
            self._context.daemons.stop(_DAEMON)
            self._loading, self._asked = "", 0
            for left in ("haproxy.cfg", "haproxy"):
                (self._directory / left).unlink(missing_ok=True)
            return
        file = self._directory / "haproxy.cfg"
        before = render.bound(file.read_text()) if file.exists() else {}
        self._responder = self._responder or self._listen()
        if self._responder is None:
            raise OSError(f"port {self._port} of the loopback is taken: free it, or set metadata_port")
        answers = render.Responder(self._port, self._responder.secret)
        text = render.config(ready, self._directory, _worker(), answers)
        files.write(file, text, mode=0o600)
        if any(before.get(name, inode) != inode for name, inode in ready.items()):
            # A reload hands listeners on by the name of their namespace: it would keep those of the old one.
            self._context.daemons.stop(_DAEMON)
        self._load(file, render.description(text))

    def _load(self, file: Path, description: str) -> None:
        """Have haproxy run with a configuration.

        It forgets a request to reload that comes while it is still about the one before: what it has loaded
        is asked later, see `apply`.
        """
        running = self._context.daemons.pid(_DAEMON)
        # -db: do not go to the background, -W: a master that starts new workers on SIGUSR2.
        self._context.daemons.ensure(
            Daemon(name=_DAEMON, argv=("haproxy", "-W", "-db", "-f", str(file)), unit="agent/metadata")
        )
        if running == self._context.daemons.pid(_DAEMON):
            if description == _loaded(self._directory / "haproxy"):
                return
            self._context.daemons.reload(_DAEMON, signal.SIGUSR2)
        self._loading = description
        self._asked += 1
        self._reloaded = time.monotonic()


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
