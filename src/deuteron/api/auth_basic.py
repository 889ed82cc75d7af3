"""HTTP basic authentication with a file of `USER:BCRYPT-HASH` lines, as `htpasswd -B` writes it.

Without a file of projects every user is an administrator of the default project. With one, it says of each
user (in TOML) to which project it belongs and which roles it has there, and who is not in it is refused:

    [alice]
    project_id = "9d1f9b1c7e5b4f5a8b0c3a5d7e9f1b2c"
    roles = ["member"]

Both are read again when they have changed.
"""

import asyncio
import base64
import binascii
import hashlib
import logging
import time
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import msgspec
from starlette.requests import Request

from deuteron.api.auth import Authenticate, Refused
from deuteron.config import ConfigError
from deuteron.policy import Who
from deuteron.policy.who import with_implied
from deuteron.settings import ServerSettings

log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 300.0
"""A password that was right is not hashed again for so long, unless its line changes."""
_MOST_REMEMBERED = 10_000
_LONGEST = 72
"""Bytes of a password that bcrypt takes."""


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file of projects says of a user."""

    project_id: str
    roles: tuple[str, ...] = ("member",)


class _Files:
    """The two files, as they are now; as they were while they cannot be read."""

    def __init__(self, settings: ServerSettings) -> None:
        self._passwords = Path(settings.http_basic_auth_user_file)
        self._projects = (
            Path(settings.http_basic_projects_file) if settings.http_basic_projects_file else None
        )
        self._everybody = User(settings.default_project_id, ("admin",))
        self._stamps = self._now()
        self.hashes: Mapping[str, bytes] = {}
        self.users: Mapping[str, User] = {}
        self._read()

    def refresh(self) -> None:
        """Read the files again if they have changed."""
        try:
            stamps = self._now()
            if stamps != self._stamps:
                self._read()
                self._stamps = stamps
        except ConfigError as error:
            log.error("%s; what was read before still counts", error)

    def _now(self) -> list[tuple[int, int, int]]:
        found = []
        for path in filter(None, (self._passwords, self._projects)):
            try:
                one = path.stat()
            except OSError as error:
                raise ConfigError(f"{path}: {error.strerror}") from None
            found.append((one.st_mtime_ns, one.st_size, one.st_ino))
        return found

    def _read(self) -> None:
        hashes = _hashes(self._passwords)
        if self._projects is None:
            self.users = dict.fromkeys(hashes, self._everybody)
        else:
            self.users = _users(self._projects)
        self.hashes = hashes


def _hashes(path: Path) -> dict[str, bytes]:
    found = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, hashed = line.strip().partition(":")
        if not (user and colon and hashed.startswith(("$2a$", "$2b$", "$2y$"))):
            raise ConfigError(f"{path}, line {number}: not USER:BCRYPT-HASH (htpasswd -B writes such lines)")
        found[user] = hashed.encode()
    return found


def _users(path: Path) -> dict[str, User]:
    try:
        return msgspec.convert(tomllib.loads(_text(path)), dict[str, User])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def http_basic(settings: ServerSettings) -> Authenticate:
    """Return the way of authentication by name and password. Raises ConfigError."""
    files = _Files(settings)
    threads = ThreadPoolExecutor(1, "bcrypt")
    # Of whom is not known a hash is computed too: the time says nothing.
    nobody = bcrypt.hashpw(b"", bcrypt.gensalt(12))
    right: dict[tuple[str, bytes, bytes], float] = {}

    async def authenticate(request: Request) -> Who:
        name, password = _given(request)
        files.refresh()
        hashed = files.hashes.get(name, nobody)
        key = (name, hashlib.sha256(password).digest(), hashed)
        if right.get(key, 0.0) < time.monotonic():
            loop = asyncio.get_running_loop()
            is_right = await loop.run_in_executor(threads, _check, password, hashed)
            if not is_right or name not in files.hashes:
                raise _refused("the name or the password is wrong")
            if len(right) >= _MOST_REMEMBERED:
                right.clear()
            right[key] = time.monotonic() + REMEMBERED_SECONDS
        user = files.users.get(name)
        if user is None:
            raise _refused("this user belongs to no project")
        roles = with_implied(frozenset(role.lower() for role in user.roles))
        return Who(user_id=name, project_id=user.project_id, roles=roles)

    return authenticate


def _check(password: bytes, hashed: bytes) -> bool:
    try:
        return len(password) <= _LONGEST and bcrypt.checkpw(password, hashed)
    except ValueError:
        return False


def _given(request: Request) -> tuple[str, bytes]:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        raise _refused("a name and a password are needed")
    try:
        name, colon, password = base64.b64decode(text, validate=True).partition(b":")
        if not colon:
            raise ValueError
        return name.decode(), password
    except (binascii.Error, ValueError):
        raise _refused("what is given as name and password cannot be read") from None


def _refused(why: str) -> Refused:
    return Refused(401, why, {"WWW-Authenticate": 'Basic realm="Deuteron"'})
