"""Users for HTTP basic authentication: an administrator, and a member of one project, with its quotas."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import bcrypt

from deuteron.bench.load import Login

ADMINISTRATOR, MEMBER = ("administrator", "one"), ("member", "two")
_PROJECT = "0c5d8a2be1f34b0f9a3f5d6c7e8b9a01"
_LIMITED = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")
_LIMIT = 10_000_000
"""Of each kind: enough, and counted all the same."""


@dataclass(frozen=True)
class Access:
    """How a server lets its clients in, and as whom they come."""

    environment: Mapping[str, str]
    administrator: Login | None = None
    member: Login | None = None


NOAUTH = Access({})


@contextmanager
def http_basic() -> Iterator[Access]:
    """Write the files that a server reads; they are there as long as the block."""
    with TemporaryDirectory(prefix="deuteron-bench-") as name:
        passwords, projects = Path(name, "htpasswd"), Path(name, "projects.toml")
        passwords.write_text("".join(_line(*login) for login in (ADMINISTRATOR, MEMBER)))
        projects.write_text("".join(_section(*one) for one in ((ADMINISTRATOR, "admin"), (MEMBER, "member"))))
        settings = {
            "AUTH": "http_basic",
            "HTTP_BASIC_AUTH_USER_FILE": str(passwords),
            "HTTP_BASIC_PROJECTS_FILE": str(projects),
            **{f"QUOTA_{kind.upper()}": str(_LIMIT) for kind in _LIMITED},
        }
        environment = {f"DEUTERON_SERVER__{key}": value for key, value in settings.items()}
        yield Access(environment, ADMINISTRATOR, MEMBER)


def _line(user: str, password: str) -> str:
    return f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(10)).decode()}\n"


def _section(login: Login, role: str) -> str:
    return f"[{login[0]}]\nproject_id = {json.dumps(_PROJECT)}\nroles = [{json.dumps(role)}]\n"
