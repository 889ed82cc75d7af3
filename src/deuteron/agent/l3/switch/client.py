"""Asking the switch, for the agent and for the copying of connections."""

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from deuteron.agent.l3.switch.records import Places

_PATIENCE = 10.0


class SwitchError(Exception):
    """The switch does not answer."""


def load(places: Places, routers: Sequence[str] = (), elections: Sequence[str] = ()) -> dict[str, str]:
    """Have the switch read the files of these again and wait until the gates are so.

    Returns what failed: id -> words. Raises SwitchError.
    """
    return _problems(places, {"load": {"routers": routers, "elections": elections}})


def insist(places: Places, elections: Sequence[str]) -> None:
    """Have the routers of elections announced until another host that is active too has given up.

    Raises SwitchError.
    """
    _problems(places, {"insist": elections})


def _problems(places: Places, request: dict[str, Any]) -> dict[str, str]:
    with _connect(places) as connection:
        for line in _lines(connection, request):
            problems: dict[str, str] = line["problems"]
            return problems
    raise SwitchError(f"the switch hung up ({places.socket})")


@contextlib.contextmanager
def watching(places: Places) -> Iterator[Iterator[dict[str, Any]]]:
    """Yield what the switch tells: first {"all": ...}, then news; it ends when the switch does.

    Raises SwitchError when there is no switch.
    """
    with _connect(places) as connection:
        yield _lines(connection, {"watch": True}, patience=None)


def _connect(places: Places) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(_PATIENCE)
    try:
        connection.connect(str(places.socket))
    except OSError as error:
        connection.close()
        raise SwitchError(
            f"no switch answers at {places.socket} ({error.strerror or error}): is `deuteron switch` running?"
        ) from None
    return connection


def _lines(
    connection: socket.socket, request: dict[str, Any], patience: float | None = _PATIENCE
) -> Iterator[dict[str, Any]]:
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
        connection.settimeout(patience)
        with connection.makefile("rb") as stream:
            for line in stream:
                yield json.loads(line)
    except TimeoutError:
        raise SwitchError(f"the switch did not answer within {_PATIENCE:g} s") from None
    except OSError as error:
        raise SwitchError(f"the switch hung up: {error.strerror}") from None
