"""iproute2's `tc`: queueing disciplines and filters; many commands in one process."""

from collections.abc import Mapping, Sequence
from typing import Any

from deuteron.agent.system import iproute


def batch(commands: Sequence[str], netns: str | None = None) -> None:
    """Do `tc` commands ("qdisc add ...") in order; stop at the first that fails.

    Raises SystemCommandError with that command; those before it have been done.
    """
    iproute.batch("tc", commands, netns)


def batch_groups(groups: Mapping[str, Sequence[str]], netns: str | None = None) -> dict[str, str]:
    """Do groups of commands; in a group that fails the rest is left out, the other groups are still done.

    Returns the failed groups with the failing command and its reason.
    """
    return iproute.batch_groups("tc", groups, netns)


def show(words: str, netns: str | None = None) -> list[dict[str, Any]]:
    """Return what `tc -j WORDS` prints ("qdisc show"). Raises SystemCommandError."""
    return iproute.show(["tc", "-j"], words, netns)
