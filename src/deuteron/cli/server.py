"""Serve the API and lead the agents.

Refuses to let everybody in (`noauth`, or agents without a token) on any address that other machines reach,
unless it is told to.
"""

import argparse
import gc
import importlib
import importlib.util
import ipaddress
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import uvicorn

from deuteron import config
from deuteron.api.app import app
from deuteron.policy import PolicyError
from deuteron.resources import registry, segmentation
from deuteron.settings import KeystoneSettings, NovaSettings, ServerSettings
from deuteron.store import Database, DatabaseError
from deuteron.store.migrate import prepare

BACKLOG = 2048
log = logging.getLogger("deuteron.server")


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class _Refused(Exception):
    """The server cannot or must not start; the text says why and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML file with a section [server]")
    parser.add_argument(
        "--listen", action="append", metavar="ADDRESS:PORT", help="serve here (default 127.0.0.1:9696)"
    )
    parser.add_argument(
        "--listen-fd",
        action="append",
        type=int,
        metavar="N",
        default=[],
        help="serve on this inherited listening socket",
    )
    parser.add_argument("--database", metavar="URL", help="sqlite:////FILE or postgresql://...")
    parser.add_argument(
        "--allow-remote-noauth",
        action="store_true",
        default=None,
        help="let everybody in also on other addresses than loopback: with noauth, or without agents_token",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    try:
        settings = _settings(arguments)
        _check_certificate(settings)
        _check_ranges(settings)
        sockets = _sockets(settings, arguments.listen_fd, explicit=bool(arguments.listen))
        db = Database(settings.database)
    except (config.ConfigError, DatabaseError, _Refused) as error:
        print(f"deuteron server: {error}", file=sys.stderr)
        return 2
    try:
        nova = config.load(NovaSettings, "nova", arguments.config)
        return _serve(settings, _keystone(arguments.config), nova, db, sockets)
    except (DatabaseError, config.ConfigError, PolicyError) as error:
        print(f"deuteron server: {error}", file=sys.stderr)
        return 2
    finally:
        db.close()


def _settings(arguments: argparse.Namespace) -> ServerSettings:
    return config.load(
        ServerSettings,
        "server",
        arguments.config,
        {
            "listen": arguments.listen,
            "database": arguments.database,
            "allow_remote_noauth": arguments.allow_remote_noauth,
        },
    )


def _keystone(path: Path | None) -> KeystoneSettings:
    return config.load(KeystoneSettings, "keystone_authtoken", path)


def _serve(
    settings: ServerSettings,
    keystone: KeystoneSettings,
    nova: NovaSettings,
    db: Database,
    sockets: Sequence[socket.socket],
) -> int:
    registry.load()
    prepare(db)
    application = app(settings, db, keystone)
    server = _Server(
        uvicorn.Config(
            application,
            loop="uvloop",
            http="httptools",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
            backlog=BACKLOG,
            ssl_certfile=settings.ssl_cert_file or None,
            ssl_keyfile=settings.ssl_key_file or None,
        )
    )
    server.stopping = application.state.services.stopping
    scheme = "https" if settings.ssl_cert_file else "http"
    places = ", ".join(_shown(one, scheme) for one in sockets)
    server.greeting = f"deuteron server: serving on {places}, database {_safe(db)}"
    # Before uvicorn listens to signals, and after: it raises those that stopped it once more.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.stop)
    started = [one for one in (_start_nova(db, settings, nova), _start_placement(db, settings)) if one]
    # What there is now stays: collections that pass over it halve the slowest answers.
    gc.collect()
    gc.freeze()
    try:
        server.run(sockets=list(sockets))
    finally:
        for one in started:
            one.stop()
    return 0


class _Server(uvicorn.Server):
    """Says when it serves, and tells streams to end before it waits for them."""

    stopping: threading.Event
    greeting: str

    def stop(self, *_: object) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self.greeting, file=sys.stderr, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stopping.set()
        await super().shutdown(sockets)


def _start_nova(db: Database, settings: ServerSettings, nova: NovaSettings) -> _Stoppable | None:
    if not (settings.notify_nova_on_port_status_changes or settings.notify_nova_on_port_data_changes):
        return None
    # Imported when needed: keystoneauth1 is large.
    started: _Stoppable = importlib.import_module("deuteron.nova.service").start(db, nova)
    return started


def _start_placement(db: Database, settings: ServerSettings) -> _Stoppable | None:
    if importlib.util.find_spec("deuteron.placement.service") is None:
        return None
    started: _Stoppable = importlib.import_module("deuteron.placement.service").start(db, settings)
    return started


def _check_certificate(settings: ServerSettings) -> None:
    """Raise where a certificate is set that cannot be served with."""
    if not settings.ssl_cert_file:
        if settings.ssl_key_file:
            raise _Refused("ssl_key_file is set, ssl_cert_file is not: set both")
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A key with a passphrase would be asked for at the terminal: there is none.
        context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file or None, password="")
    except OSError as error:  # SSLError is one
        files = " ".join(filter(None, (settings.ssl_cert_file, settings.ssl_key_file)))
        raise _Refused(f"{files}: no certificate with its key (PEM): {error.strerror or error}") from None


def _check_ranges(settings: ServerSettings) -> None:
    """Raise where what is to be given out to networks is not to be understood."""
    try:
        segmentation.default_ranges(settings)
    except ValueError as error:
        raise _Refused(f"[server] {error}") from None


def _sockets(settings: ServerSettings, fds: Sequence[int], explicit: bool) -> list[socket.socket]:
    sockets = [_inherited(fd) for fd in fds]
    if explicit or not fds:
        sockets += [_listening(place) for place in settings.listen]
    for one in sockets:
        if not settings.allow_remote_noauth and not _is_local(one):
            _refuse_unguarded(settings, _shown(one))
    return sockets


def _refuse_unguarded(settings: ServerSettings, address: str) -> None:
    """Raise where others than this machine would reach something that lets everybody in."""
    if settings.auth == "noauth":
        raise _Refused(
            f"{address}: with noauth whoever reaches this address may do everything; "
            "listen on a loopback address, or say --allow-remote-noauth"
        )
    if not settings.agents_token:
        raise _Refused(
            f"{address}: whoever reaches this address may pass for an agent; set agents_token here and token "
            "in the agents' section [agent], or say --allow-remote-noauth"
        )


def _inherited(fd: int) -> socket.socket:
    try:
        one = socket.socket(fileno=fd)
        one.getsockname()
    except OSError as error:
        raise _Refused(f"--listen-fd {fd}: {error.strerror}") from None
    return one


def _listening(place: str) -> socket.socket:
    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
        number = int(port)
        if not 0 <= number <= 65535:
            raise ValueError
    except ValueError:
        raise _Refused(f"listen {place!r}: not ADDRESS:PORT") from None
    one = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((str(address), number))
    except OSError as error:
        raise _Refused(f"listen {place}: {error.strerror}") from None
    return one


def _is_local(one: socket.socket) -> bool:
    if one.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(one.getsockname()[0]).is_loopback


def _shown(one: socket.socket, scheme: str = "http") -> str:
    name = one.getsockname()
    if one.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if one.family == socket.AF_INET6 else name[0]
    return f"{scheme}://{host}:{name[1]}"


def _safe(db: Database) -> str:
    return db.url.render_as_string(hide_password=True)
