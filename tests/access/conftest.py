"""A server that knows users of two projects by their passwords, and a client for each."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from deuteron.settings import ServerSettings
from deuteron.store import Database
from tests.api.conftest import Answer, Client, serve

ONE, OTHER, CLOUD = (f"{number:032x}" for number in (1, 2, 3))
USERS = {
    "reader": (ONE, "reader"),
    "member": (ONE, "member"),
    "manager": (ONE, "manager"),
    "stranger": (OTHER, "member"),
    "admin": (CLOUD, "admin"),
    "service": (CLOUD, "service"),
    "nobody": (ONE, "something_else"),
}


class User(Client):
    """Requests of one user."""

    def __init__(self, port: int, name: str, password: str = "secret") -> None:
        super().__init__(port)
        self.project_id = USERS[name][0]
        given = base64.b64encode(f"{name}:{password}".encode()).decode()
        self._authorization = {"Authorization": f"Basic {given}"}

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return super().request(method, path, body, {**self._authorization, **(headers or {})})


class Users:
    """All users' clients, as attributes."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.all = {name: User(port, name) for name in USERS}

    def __getattr__(self, name: str) -> User:
        return self.all[name]


@pytest.fixture(scope="session")
def password_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Passwords, and who belongs to which project."""
    directory = tmp_path_factory.mktemp("passwords")
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    passwords, projects = directory / "htpasswd", directory / "projects.toml"
    passwords.write_text("".join(f"{name}:{hashed}\n" for name in USERS))
    projects.write_text(
        "".join(
            f'[{name}]\nproject_id = "{project}"\nroles = ["{role}"]\n'
            for name, (project, role) in USERS.items()
        )
    )
    return passwords, projects


@pytest.fixture
def settings(password_files: tuple[Path, Path]) -> ServerSettings:
    """What a test may override."""
    passwords, projects = map(str, password_files)
    return ServerSettings(
        auth="http_basic", http_basic_auth_user_file=passwords, http_basic_projects_file=projects
    )


@pytest.fixture
def users(db: Database, settings: ServerSettings) -> Iterator[Users]:
    """Clients of a server on a fresh database; once SQLite, once PostgreSQL."""
    for anybody in serve(db, settings):
        found = Users(anybody.port)
        yield found
        for one in found.all.values():
            one.close()
