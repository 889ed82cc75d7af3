"""Who is calling. `noauth`: everybody is an administrator, of the project that the request names.

Another way of authentication is another function of this type, chosen by `identify`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request

from deuteron.resources.errors import HTTPBadRequest
from deuteron.resources.types import line
from deuteron.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller."""

    project_id: str
    admin: bool


Identify = Callable[[Request], Identity]


class UnknownAuth(Exception):
    """The setting `auth` names nothing that there is."""


def identify(settings: ServerSettings) -> Identify:
    """Return the function that says who sent a request. Raises UnknownAuth."""
    if settings.auth != "noauth":
        raise UnknownAuth(f"auth = {settings.auth!r}: only noauth is built yet")

    def noauth(request: Request) -> Identity:
        named = request.headers.get("x-project-id") or request.headers.get("x-tenant-id")
        return Identity(_project(named) if named else settings.default_project_id, admin=True)

    return noauth


def _project(named: str) -> str:
    try:
        project: str = line().convert(named)
    except ValueError as error:
        raise HTTPBadRequest(msg=f"X-Project-Id: {error}") from None
    return project
