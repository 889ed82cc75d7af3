"""iproute2: links, addresses, routes, neighbours; many commands in one process."""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from deuteron.agent.system import iproute


def batch(commands: Sequence[str], netns: str | None = None) -> None:
    """Do `ip` commands ("link set eth0 up") in order; stop at the first that fails.

    Raises SystemCommandError with that command; those before it have been done.
    """
    iproute.batch("ip", commands, netns)


def batch_groups(
    groups: Mapping[str, Sequence[str]], netns: str | None = None, version: int | None = None
) -> dict[str, str]:
    """Do groups of commands; in a group that fails the rest is left out, the other groups are still done.

    `version` is that of IP, for commands of which no address tells it. Returns the failed groups with the
    failing command and its reason.
    """
    return iproute.batch_groups(f"ip -{version}" if version else "ip", groups, netns)


def show(words: str, netns: str | None = None) -> list[dict[str, Any]]:
    """Return what `ip -j -d WORDS` prints ("link show type bridge"). Raises SystemCommandError."""
    return iproute.show(["ip", "-j", "-d"], words, netns)


def exists(device: str) -> bool:
    """Return whether there is a device of this name, in the namespace of this thread."""
    try:
        socket.if_nametoindex(device)
    except OSError:
        return False
    return True
