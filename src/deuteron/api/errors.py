"""What a client is told when something is wrong: Neutron's body, never a traceback."""

import logging

import msgspec
from sqlalchemy.exc import DBAPIError, IntegrityError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from deuteron.api.codec import JSON, encode
from deuteron.resources.errors import (
    Conflict,
    HTTPMethodNotAllowed,
    HTTPNotFound,
    NeutronError,
    ServiceUnavailable,
)

log = logging.getLogger(__name__)


class _Told(msgspec.Struct):
    type: str
    message: str
    detail: str = ""


def answer(error: NeutronError) -> Response:
    """Return the answer that tells of an error."""
    told = _Told(error.type, str(error))
    return Response(encode({"NeutronError": told}), error.status, media_type=JSON)


def on_neutron_error(request: Request, error: Exception) -> Response:  # noqa: ARG001
    """An error that the resources' rules raised."""
    assert isinstance(error, NeutronError)
    return answer(error)


def on_http_error(request: Request, error: Exception) -> Response:
    """An error of routing."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        response = answer(HTTPMethodNotAllowed(method=request.method))
        response.headers.update(error.headers or {})
        return response
    if error.status_code == 404:
        return answer(HTTPNotFound())
    told = _Told("HTTPError", error.detail)
    return Response(encode({"NeutronError": told}), error.status_code, media_type=JSON)


def on_database_error(request: Request, error: Exception) -> Response:
    """The database refused, also when asked again."""
    assert isinstance(error, DBAPIError)
    log.error("%s %s: %s", request.method, request.url.path, error.orig)
    return answer(Conflict() if isinstance(error, IntegrityError) else ServiceUnavailable())


def on_anything(request: Request, error: Exception) -> Response:
    """A mistake of ours."""
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    told = _Told("HTTPInternalServerError", "Request Failed: internal server error.")
    return Response(encode({"NeutronError": told}), 500, media_type=JSON)
