"""JSON in and out."""

from typing import Any

import msgspec
from starlette.requests import Request

from deuteron.resources.errors import (
    HTTPRequestEntityTooLarge,
    HTTPUnsupportedMediaType,
    MalformedRequestBody,
)

JSON = "application/json"

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def body(request: Request, limit: int) -> Any:
    """Return a request's body, decoded; None if it is empty. `limit` is in bytes.

    Raises MalformedRequestBody, HTTPRequestEntityTooLarge, HTTPUnsupportedMediaType.
    """
    taken = await raw(request, limit)
    if not taken:
        return None
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON:
        raise HTTPUnsupportedMediaType(given=kind[:80])
    return decode(taken)


def decode(text: bytes) -> Any:
    """Return what JSON says. Raises MalformedRequestBody."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedRequestBody(reason=str(error)) from None
    except RecursionError:
        raise MalformedRequestBody(reason="too deeply nested") from None


async def raw(request: Request, limit: int) -> bytes:
    """Return a request's body as it is. Raises HTTPRequestEntityTooLarge."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise HTTPRequestEntityTooLarge(limit=limit)
        parts.append(part)
    return b"".join(parts)
