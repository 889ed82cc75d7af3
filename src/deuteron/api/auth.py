"""Who is calling: each request is let in here, or nowhere.

`/` says to everybody which versions there are. `/agent/` is the agents': they show the token that they share
with the server, if there is one. All else is for those whom authentication knows: `noauth` knows everybody,
as administrator of the project that the request names; see also auth_basic and auth_keystone. `/v1/` is for
administrators.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deuteron.api import errors
from deuteron.api.codec import JSON, encode
from deuteron.policy import Policy, Who
from deuteron.policy.who import with_implied
from deuteron.resources.errors import Forbidden, HTTPBadRequest, NeutronError
from deuteron.resources.types import line
from deuteron.settings import ServerSettings

Authenticate = Callable[[Request], Awaitable[Who]]
"""Says who sent a request. Raises Refused."""

_ALL_ROLES = with_implied(frozenset({"admin", "service"}))
_TITLES = {401: "Unauthorized", 503: "Service Unavailable"}


class Refused(Exception):
    """A request is not let in: 401, or 503 when nobody can say who sends it."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers

    def response(self) -> Response:
        """Return the answer, with the body that Keystone's clients know."""
        told = {"message": str(self), "code": self.status, "title": _TITLES[self.status]}
        return Response(encode({"error": told}), self.status, self.headers, media_type=JSON)


class Door:
    """ASGI middleware that lets requests in; those behind it find the caller as `request.state.who`."""

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, policy: Policy, authenticate: Authenticate
    ) -> None:
        self.app = app
        self._agents_token = settings.agents_token.encode()
        self._policy = policy
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer."""
        if scope["type"] == "http" and scope["path"] != "/":
            try:
                await self._admit(Request(scope))
            except Refused as refused:
                await refused.response()(scope, receive, send)
                return
            except NeutronError as error:
                await errors.answer(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _admit(self, request: Request) -> None:
        path = request.url.path
        if path.startswith("/agent/"):
            self._admit_agent(request)
            return
        who = await self._authenticate(request)
        if path.startswith("/v1/") and not self._policy.allows(who, "context_is_admin"):
            raise Forbidden(reason="/v1 is the administrator's")
        request.state.who = who

    def _admit_agent(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if self._agents_token and not hmac.compare_digest(given, b"Bearer " + self._agents_token):
            raise Refused(401, "the agents' token is missing or wrong", {"WWW-Authenticate": "Bearer"})


def noauth(settings: ServerSettings) -> Authenticate:
    """Return the way of authentication that takes everybody for an administrator."""

    async def everybody(request: Request) -> Who:
        named = request.headers.get("x-project-id") or request.headers.get("x-tenant-id")
        project_id = _project(named) if named else settings.default_project_id
        return Who(user_id="noauth", project_id=project_id, roles=_ALL_ROLES)

    return everybody


def _project(named: str) -> str:
    try:
        project: str = line().convert(named)
    except ValueError as error:
        raise HTTPBadRequest(msg=f"X-Project-Id: {error}") from None
    return project
