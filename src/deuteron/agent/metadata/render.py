"""haproxy's configuration: one process that listens on the leg of every network. Pure."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from deuteron.agent import names
from deuteron.agent.metadata.legs import NAMESPACE

NETWORK_HEADER = "X-Deuteron-Network"
SECRET_HEADER = "X-Deuteron-Secret"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MARK = "# by "
_DESCRIPTION = "description "


class Worker(NamedTuple):
    """As whom haproxy's worker runs."""

    user: str
    group: str


class Responder(NamedTuple):
    """Where the agent answers, on the loopback, and the secret by which it knows haproxy."""

    port: int
    secret: str


def config(networks: Mapping[str, str], directory: Path, worker: Worker, responder: Responder) -> str:
    """Return the configuration.

    `networks` are id -> identity of the leg; that is noted, so that a leg that was made anew is seen. While
    no agent answers at the responder's port, requests wait. Raises ValueError when an id is none.
    """
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
    timeout connect 250ms
    timeout client 32s
    timeout server 32s
    timeout queue 32s
    timeout http-request 10s
    timeout http-keep-alive 5s
    # An agent that restarts makes a request late, not lost: a refused connection is tried again after the
    # time for connecting (one to a socket file would be tried again without a pause).
    retries 100
    retry-on conn-failure empty-response

frontend instances
{"".join(_bind(network, identity) for network, identity in sorted(networks.items()))}\
    http-request set-header X-Forwarded-For %[src]
    http-request set-header {NETWORK_HEADER} %[so_name]
    http-request set-header {SECRET_HEADER} {responder.secret}
    http-request disable-l7-retry if METH_POST
    default_backend agent

backend agent
    server agent 127.0.0.1:{responder.port} maxconn 128
"""
    fingerprint = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f"global\n    {_DESCRIPTION}{fingerprint}\n{body}"


def _bind(network: str, identity: str) -> str:
    if not _ID.fullmatch(network) or not _ID.fullmatch(identity):
        raise ValueError(f"network {network!r}: characters that do not belong there")
    device = names.metadata_device(network)
    # Connections beyond `maxconn` wait in the kernel: no network takes all that there are.
    words = f"namespace {NAMESPACE} interface {device} name {network} maxconn 256"
    return f"    {_MARK}{network} {identity}\n    bind :::80 v4v6 {words}\n"


def description(text: str) -> str:
    """Return by what haproxy tells that it has loaded a configuration."""
    line = next((line for line in text.splitlines() if line.strip().startswith(_DESCRIPTION)), "")
    return line.strip().removeprefix(_DESCRIPTION)


def bound(text: str) -> dict[str, str]:
    """Return the networks of a configuration: id -> identity of the leg."""
    found = {}
    for line in text.splitlines():
        words = line.strip().removeprefix(_MARK).split()
        if line.strip().startswith(_MARK) and len(words) == 2:
            found[words[0]] = words[1]
    return found
