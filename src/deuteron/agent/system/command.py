"""Running the host's own tools."""

import subprocess
from collections.abc import Sequence
from contextlib import nullcontext

from deuteron.agent.system import netns as namespaces
from deuteron.agent.system.errors import SystemCommandError


def run(argv: Sequence[str], stdin: str = "", netns: str | None = None, timeout: float = 60) -> str:
    """Run a tool in a namespace and return its standard output; raise SystemCommandError."""
    code, stdout, stderr = attempt(argv, stdin, netns, timeout)
    if code:
        raise SystemCommandError(" ".join(argv), stderr.strip() or f"exit status {code}")
    return stdout


def attempt(
    argv: Sequence[str], stdin: str = "", netns: str | None = None, timeout: float = 60
) -> tuple[int, str, str]:
    """Run a tool; return its exit status, standard output and standard error.

    Raises SystemCommandError when it cannot be started or does not end within `timeout` seconds.
    """
    try:
        with namespaces.entered(netns) if netns else nullcontext():
            done = subprocess.run(
                argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
    except OSError as error:
        raise SystemCommandError(" ".join(argv), str(error)) from None
    except subprocess.TimeoutExpired:
        raise SystemCommandError(" ".join(argv), f"no answer within {timeout:g} s") from None
    return done.returncode, done.stdout, done.stderr
