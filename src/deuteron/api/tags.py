"""/v2.0/COLLECTION/ID/tags and /v2.0/COLLECTION/ID/tags/TAG, of all resources that have tags."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron.api import codec
from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.api.v2 import merged
from deuteron.resources import tag
from deuteron.resources.resource import Resource


def routes(services: Services) -> list[Route]:
    """Return the routes."""
    tagged = (one for one in services.registry.resources.values() if "tags" in one.attributes)
    return merged([route for resource in tagged for route in _Endpoint(services, resource).routes()])


class _Endpoint:
    """The handlers of one resource's tags."""

    def __init__(self, services: Services, resource: Resource) -> None:
        self.services = services
        self.resource = resource

    def routes(self) -> list[Route]:
        path = self.resource.path
        # Neutron serves tags without a prefix such as qos/, clients ask for both.
        return [route for one in sorted({path, path.rpartition("/")[2]}) for route in self._routes(one)]

    def _routes(self, path: str) -> list[Route]:
        path = f"/v2.0/{path}/{{id}}/tags"
        of_all = (("GET", self.show), ("PUT", self.replace), ("POST", self.add), ("DELETE", self.remove))
        of_one = (("GET", self.require), ("PUT", self.add_one), ("DELETE", self.remove))
        return [
            *(Route(path, handler, methods=[method]) for method, handler in of_all),
            *(Route(path + "/{tag:path}", handler, methods=[method]) for method, handler in of_one),
        ]

    async def show(self, request: Request) -> Response:
        id_ = request.path_params["id"]
        found = await self.services.run(request, False, lambda call: tag.of(call, self.resource, id_))
        return _answer({"tags": found})

    async def require(self, request: Request) -> Response:
        id_, word = request.path_params["id"], request.path_params["tag"]
        await self.services.run(request, False, lambda call: tag.require(call, self.resource, id_, word))
        return Response(status_code=204)

    async def replace(self, request: Request) -> Response:
        id_, body = request.path_params["id"], await self._body(request)
        found = await self.services.run(
            request, True, lambda call: tag.replace(call, self.resource, id_, body)
        )
        return _answer({"tags": found})

    async def add(self, request: Request) -> Response:
        id_, body = request.path_params["id"], await self._body(request)
        found = await self.services.run(request, True, lambda call: tag.add(call, self.resource, id_, body))
        return _answer({"tags": found}, 201)

    async def add_one(self, request: Request) -> Response:
        id_, body = request.path_params["id"], {"tags": [request.path_params["tag"]]}
        await self.services.run(
            request, True, lambda call: tag.add(call, self.resource, id_, body, operation="update")
        )
        return _answer(None, 201)

    async def remove(self, request: Request) -> Response:
        id_, word = request.path_params["id"], request.path_params.get("tag")
        await self.services.run(request, True, lambda call: tag.remove(call, self.resource, id_, word))
        return Response(status_code=204)

    async def _body(self, request: Request) -> Any:
        return await codec.body(request, self.services.settings.max_request_body_size)


def _answer(body: Any, status: int = 200) -> Response:
    return Response(encode(body), status, media_type=JSON)
