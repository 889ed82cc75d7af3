"""Kernel settings under /proc/sys."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

from deuteron.agent.system import netns as namespaces
from deuteron.agent.system.errors import SystemCommandError


def write(values: Mapping[str, str], netns: str | None = None) -> None:
    """Write settings ("net/ipv4/ip_forward": "1"; with dots too) where they differ.

    Write the name with slashes when a device in it may hold a dot. Raises SystemCommandError.
    """
    with namespaces.entered(netns) if netns else nullcontext():
        for name, value in values.items():
            _write(name, value)


def read(names: Iterable[str]) -> dict[str, str]:
    """Return settings, named as in `write`. Raises SystemCommandError."""
    found = {}
    for name in names:
        try:
            found[name] = _file(name).read_text().strip()
        except OSError as error:
            raise SystemCommandError(f"sysctl {name}", error.strerror or str(error)) from None
    return found


def _file(name: str) -> Path:
    return Path("/proc/sys") / (name if "/" in name else name.replace(".", "/"))


def _write(name: str, value: str) -> None:
    file = _file(name)
    try:
        if file.read_text().split() != value.split():
            file.write_text(value)
    except OSError as error:
        raise SystemCommandError(f"sysctl {name}={value}", error.strerror or str(error)) from None
