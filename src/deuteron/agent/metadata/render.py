"""haproxy's configuration: one process that listens in many namespaces. Pure."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ADDRESS = "169.254.169.254"
NAMESPACE_HEADER = "X-Deuteron-Namespace"
SECRET_HEADER = "X-Deuteron-Secret"
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MARK = "# in "
_DESCRIPTION = "description "


class Worker(NamedTuple):
    """As whom haproxy's worker runs."""

    user: str
    group: str


class Responder(NamedTuple):
    """Where the agent answers, on the loopback, and the secret by which it knows haproxy."""

    port: int
    secret: str


def config(namespaces: Mapping[str, int], directory: Path, worker: Worker, responder: Responder) -> str:
    """Return the configuration.

    `namespaces` are name -> inode; the inode is noted, so that a namespace that was made anew is seen. While
    no agent answers at the responder's port, requests wait.
    """
    binds = []
    for name, inode in sorted(namespaces.items()):
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"namespace {name!r}: characters that do not belong there")
        binds.append(f"    {_MARK}{name} {inode}\n    bind {ADDRESS}:80 namespace {name} name {name}\n")
    body = f"""\
    maxconn 4096
    nbthread 1
    hard-stop-after 30s
    stats socket {directory}/haproxy mode 600 expose-fd listeners
    log stderr format raw daemon warning
    user {worker.user}
    group {worker.group}

defaults
    mode http
    timeout connect 1s
    timeout client 32s
    timeout server 32s
    timeout http-request 10s
    timeout http-keep-alive 5s
    # An agent that restarts makes a request late, not lost: a refused connection is tried again each second
    # (one to a socket file would be tried again without a pause).
    retries 30
    retry-on conn-failure empty-response

frontend instances
{"".join(binds)}    http-request set-header X-Forwarded-For %[src]
    http-request set-header {NAMESPACE_HEADER} %[so_name]
    http-request set-header {SECRET_HEADER} {responder.secret}
    http-request disable-l7-retry if METH_POST
    default_backend agent

backend agent
    server agent 127.0.0.1:{responder.port}
"""
    fingerprint = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f"global\n    {_DESCRIPTION}{fingerprint}\n{body}"


def description(text: str) -> str:
    """Return by what haproxy tells that it has loaded a configuration."""
    line = next((line for line in text.splitlines() if line.strip().startswith(_DESCRIPTION)), "")
    return line.strip().removeprefix(_DESCRIPTION)


def bound(text: str) -> dict[str, int]:
    """Return the namespaces of a configuration: name -> inode."""
    found = {}
    for line in text.splitlines():
        words = line.strip().removeprefix(_MARK).split()
        if line.strip().startswith(_MARK) and len(words) == 2 and words[1].isdigit():
            found[words[0]] = int(words[1])
    return found
