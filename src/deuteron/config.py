"""Settings: one TOML file, then the environment, then the command line.

Options have Neutron's names where they mean the same.

A settings type is a flat msgspec Struct whose fields have defaults. `[section]` of the file names the part
(`[server]`, `[agent]`); DEUTERON_SERVER__LISTEN overrides `listen` of `[server]`. Anything unknown or of the
wrong type stops with the key's name.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class ConfigError(Exception):
    """A setting is wrong; the text names the key and says what is expected."""


def load(
    kind: type[S],
    section: str,
    path: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> S:
    """Return the settings of a section.

    `overrides` are those of the command line; those that are None are not set. Raises ConfigError.
    """
    values = dict(_from_file(path, section)) if path else {}
    known = set(kind.__struct_fields__)
    prefix = f"DEUTERON_{section.upper()}__"
    for name, text in environment.items():
        if name.startswith(prefix):
            values[name.removeprefix(prefix).lower()] = text
    values.update({key: value for key, value in (overrides or {}).items() if value is not None})
    for key in values:
        if key not in known:
            raise ConfigError(
                f"[{section}] {key}: there is no such option (known: {', '.join(sorted(known))})"
            )
    for key in values:
        _check(kind, section, key, values[key])
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[{section}] {error}") from None


def _from_file(path: Path, section: str) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    part = document.get(section, {})
    if not isinstance(part, dict):
        raise ConfigError(f"{path}: {section} is a section, written [{section}]")
    return part


def _check(kind: type[S], section: str, key: str, value: Any) -> None:
    expected = next(f.type for f in msgspec.structs.fields(kind) if f.name == key)
    try:
        msgspec.convert(value, expected, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[{section}] {key} = {value!r}: {error}") from None
