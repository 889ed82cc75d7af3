"""What a request below /v1 does, said once: the routes and the OpenAPI document are both made of it.

An operation is a function. Its first parameter is the `Call`; those that the path names follow, as text;
`query` and `body`, where it has them, are msgspec Structs. It returns a Struct, or None for an answer without
a body. The first line of its docstring is what it is called in the document.
"""

import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from deuteron.api import codec
from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.resources.errors import HTTPBadRequest

T = TypeVar("T")
Follow = Callable[[Any], AsyncIterator[bytes]]
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    """With the names of its parameters in braces."""
    does: Callable[..., Any]
    writes: bool = False
    status: int = 200
    line: type[msgspec.Struct] | None = None
    """What a line of the stream is that answers instead when the query says `follow`."""

    @cached_property
    def types(self) -> Mapping[str, Any]:
        """The types of the parameters by name, and of what is returned as `return`."""
        return typing.get_type_hints(self.does)


def endpoint(
    services: Services, operation: Operation, follow: Follow | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of an operation.

    `follow` gives, for a query, the lines of the stream of an operation that has one.
    """

    async def handle(request: Request) -> Response:
        given = await _given(services, operation, request)
        if follow and given["query"].follow:
            return StreamingResponse(
                follow(given["query"]), media_type=NDJSON, headers={"Cache-Control": "no-store"}
            )
        answer = await services.run(request, operation.writes, lambda call: operation.does(call, **given))
        if answer is None:
            return Response(status_code=204)
        return Response(encode(answer), operation.status, media_type=JSON)

    return handle


async def _given(services: Services, operation: Operation, request: Request) -> dict[str, Any]:
    given: dict[str, Any] = dict(request.path_params)
    if kind := operation.types.get("query"):
        given["query"] = query_as(kind, request.query_params)
    if kind := operation.types.get("body"):
        sent = await codec.body(request, services.settings.max_request_body_size)
        given["body"] = _converted(sent, kind, strict=True)
    return given


def query_as(kind: type[T], params: QueryParams) -> T:
    """Return a query as a Struct; what is a list there may be said several times. Raises HTTPBadRequest."""
    many = {f.encode_name for f in msgspec.structs.fields(kind) if typing.get_origin(f.type) is list}  # type: ignore[arg-type]
    values = {key: params.getlist(key) if key in many else params[key] for key in params}
    return _converted(values, kind, strict=False)


def _converted(value: Any, kind: type[T], *, strict: bool) -> T:
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise HTTPBadRequest(msg=str(error)) from None
