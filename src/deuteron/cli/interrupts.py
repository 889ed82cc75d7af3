"""What verbs that have something to remove do when a signal asks for their end."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked for the end; the argument is its number."""


def raise_once() -> None:
    """Have the first of these signals raise Interrupted; those after it are ignored."""
    _on_signals(_interrupt)


def ignore() -> None:
    """Ignore these signals from now on: one must not stop the cleaning."""
    _on_signals(signal.SIG_IGN)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    ignore()
    raise Interrupted(number)


def _on_signals(handler: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
    for number in _SIGNALS:
        signal.signal(number, handler)
