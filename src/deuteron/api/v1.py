"""What Neutron has no words for: moving routers, their history, instances' metadata, the state of the whole.

POST /v1/routers/ID/move {"host": HOST}   -> 202 and the move
GET  /v1/routers/ID/moves                 -> its moves, the newest first
GET  /v1/routers/ID/history               -> who was active, from when on, and why
PUT, GET, DELETE /v1/instances/DEVICE_ID  -> what metadata says to an instance
GET  /v1/status                           -> hosts, elections, where routers are active, problems
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron.api import codec
from deuteron.api.auth import identify
from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.api.v2 import merged
from deuteron.placement import planned, status
from deuteron.resources import instances
from deuteron.resources.call import Call
from deuteron.resources.errors import Forbidden, HTTPBadRequest
from deuteron.store import Tx

T = TypeVar("T")


class _MoveRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str


def routes(services: Services) -> list[Route]:
    """Return the routes below /v1."""
    endpoint = _Endpoint(services)
    return merged(
        [
            Route("/v1/routers/{id}/move", endpoint.move, methods=["POST"]),
            Route("/v1/routers/{id}/moves", endpoint.moves, methods=["GET"]),
            Route("/v1/routers/{id}/history", endpoint.history, methods=["GET"]),
            Route("/v1/instances/{id}", endpoint.put_instance, methods=["PUT"]),
            Route("/v1/instances/{id}", endpoint.get_instance, methods=["GET"]),
            Route("/v1/instances/{id}", endpoint.delete_instance, methods=["DELETE"]),
            Route("/v1/status", endpoint.status, methods=["GET"]),
        ]
    )


class _Endpoint:
    """The handlers; all of them are the administrator's."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._identify = identify(services.settings)

    async def move(self, request: Request) -> Response:
        """Begin to move a router to a host."""
        id_, wanted = request.path_params["id"], await self._body(request, _MoveRequest)
        made = await self._run(request, lambda call: planned.move(call, id_, wanted.host), write=True)
        return _answer({"move": made}, 202)

    async def moves(self, request: Request) -> Response:
        """List a router's moves."""
        id_ = request.path_params["id"]
        return _answer({"moves": await self._run(request, lambda call: planned.moves_of(call, id_))})

    async def history(self, request: Request) -> Response:
        """List who was active for a router."""
        id_ = request.path_params["id"]
        return _answer({"history": await self._run(request, lambda call: planned.history_of(call, id_))})

    async def put_instance(self, request: Request) -> Response:
        """Say what metadata tells an instance."""
        id_, said = request.path_params["id"], await self._body(request, instances.Instance)
        stored = await self._run(request, lambda call: instances.put(call, id_, said), write=True)
        return _answer({"instance": stored})

    async def get_instance(self, request: Request) -> Response:
        """Show what metadata tells an instance."""
        id_ = request.path_params["id"]
        return _answer({"instance": await self._run(request, lambda call: instances.get(call, id_))})

    async def delete_instance(self, request: Request) -> Response:
        """Forget what metadata tells an instance."""
        id_ = request.path_params["id"]
        await self._run(request, lambda call: instances.delete(call, id_), write=True)
        return Response(status_code=204)

    async def status(self, request: Request) -> Response:
        """Show the whole."""
        return _answer(await self._run(request, status.of_all))

    async def _run(self, request: Request, work: Callable[[Call], T], *, write: bool = False) -> T:
        who, services = self._identify(request), self._services
        if not who.admin:
            raise Forbidden(reason="/v1 is the administrator's")

        def in_transaction(tx: Tx) -> T:
            return work(Call(tx=tx, settings=services.settings, project_id=who.project_id))

        return await (services.db.write(in_transaction) if write else services.db.read(in_transaction))

    async def _body(self, request: Request, kind: type[T]) -> T:
        given = await codec.body(request, self._services.settings.max_request_body_size)
        try:
            return msgspec.convert(given, kind)
        except msgspec.ValidationError as error:
            raise HTTPBadRequest(msg=str(error)) from None


def _answer(body: Any, code: int = 200) -> Response:
    return Response(encode(body), code, media_type=JSON)
