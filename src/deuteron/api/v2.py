"""Neutron's API v2.0, made of what the registry says: it knows no resource by name."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron.api import codec, listquery
from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.resources import operations
from deuteron.resources.call import Call
from deuteron.resources.errors import BadRequest, HTTPBadRequest, NotFound
from deuteron.resources.resource import Child, Item, Resource
from deuteron.resources.types import shown

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
_REVISION = re.compile(r'"?revision_number=([^",]*)"?')


def routes(services: Services) -> list[Route]:
    """Return the routes of all resources."""
    found = []
    for resource in services.registry.resources.values():
        found += _Endpoint(services, resource).routes()
    return found


class _Endpoint:
    """A resource's handlers."""

    def __init__(self, services: Services, resource: Resource) -> None:
        self.services = services
        self.resource = resource

    def routes(self) -> list[Route]:
        resource, path = self.resource, f"/v2.0/{self.services.registry.path(self.resource)}"
        found = [Route(path + "/{id}", self.show, methods=["GET"])]
        if resource.listable:
            found.append(Route(path, self.listing, methods=["GET"]))
        if resource.creatable:
            found.append(Route(path, self.create, methods=["POST"]))
        if resource.updatable:
            found.append(Route(path + "/{id}", self.update, methods=["PUT"]))
        if resource.deletable:
            found.append(Route(path + "/{id}", self.delete, methods=["DELETE"]))
        found += [
            Route(f"{path}/{{id}}/{name}", partial(self.act, name), methods=["PUT"])
            for name in resource.actions
        ]
        for name, child in resource.children.items():
            found += self._child_routes(f"{path}/{{id}}/{name}", name, child)
        return merged(found)

    def _child_routes(self, path: str, name: str, child: Child) -> list[Route]:
        found = [Route(path, partial(self.list_children, name), methods=["GET"])]
        if child.add:
            found.append(Route(path, partial(self.add_child, name), methods=["POST"]))
        one = path + "/{child}"
        if child.show:
            found.append(Route(one, partial(self.show_child, name), methods=["GET"]))
        if child.change:
            found.append(Route(one, partial(self.change_child, name), methods=["PUT"]))
        if child.remove:
            found.append(Route(one, partial(self.remove_child, name), methods=["DELETE"]))
        found += [
            Route(f"{one}/{action}", partial(self.act_on_child, name, action), methods=["PUT"])
            for action in child.actions
        ]
        return found

    async def _run(self, request: Request, write: bool, work: Callable[[Call], T]) -> T:
        return await self.services.run(request, write, work)

    async def _body(self, request: Request) -> Any:
        return await codec.body(request, self.services.settings.max_request_body_size)

    async def listing(self, request: Request) -> Response:
        limit = self.services.settings.pagination_max_limit
        query = replace(listquery.parse(request, limit), parent=_parent(request))

        prepare = self.resource.before_listing

        def work(call: Call) -> list[Item]:
            if prepare:
                prepare(call, query.filters)
            return operations.listing(call, self.resource, query)

        items = await self._run(request, prepare is not None, work)
        answer: dict[str, Any] = {self.resource.collection: items}
        if links := listquery.links(request, query, items):
            answer[f"{self.resource.collection}_links"] = links
        return _answer(answer)

    async def show(self, request: Request) -> Response:
        fields = listquery.parse_fields(request)

        def work(call: Call) -> Item:
            return operations.show(call, self.resource, request.path_params["id"], fields, _parent(request))

        writes = self.resource.show is not None
        return _one(self.resource, await self._run(request, writes, work))

    async def create(self, request: Request) -> Response:
        resource, body = self.resource, await self._body(request)
        if isinstance(body, dict) and resource.collection in body and not _single(resource, body):
            return await self._create_many(request, body[resource.collection])
        attributes = _unwrapped(resource, body)

        def work(call: Call) -> Item:
            return operations.create(call, resource, attributes, _parent(request))

        return _one(resource, await self._run(request, True, work), 201)

    async def _create_many(self, request: Request, bodies: Any) -> Response:
        resource = self.resource
        if not isinstance(bodies, list) or not bodies:
            raise HTTPBadRequest(msg="Resources required")

        def work(call: Call) -> list[Item]:
            items = [_bulk_item(resource, one) for one in bodies]
            return operations.create_many(call, resource, items, _parent(request))

        return _answer({resource.collection: await self._run(request, True, work)}, 201)

    async def update(self, request: Request) -> Response:
        resource, revision = self.resource, _if_match(request)
        attributes = _unwrapped(resource, await self._body(request))

        def work(call: Call) -> Item:
            id_ = request.path_params["id"]
            return operations.update(call, resource, id_, attributes, revision, _parent(request))

        return _one(resource, await self._run(request, True, work))

    async def delete(self, request: Request) -> Response:
        revision = _if_match(request)

        def work(call: Call) -> None:
            operations.delete(
                call, self.resource, request.path_params["id"], revision, parent=_parent(request)
            )

        await self._run(request, True, work)
        return Response(status_code=204)

    async def act(self, name: str, request: Request) -> Response:
        body = await self._body(request)
        resource, id_ = self.resource, _clean(self.resource, request)
        return _answer(
            await self._run(request, True, lambda call: operations.act(call, resource, id_, name, body))
        )

    async def list_children(self, name: str, request: Request) -> Response:
        resource, id_ = self.resource, _clean(self.resource, request)
        items = await self._run(request, False, lambda call: operations.children(call, resource, id_, name))
        return _answer({resource.children[name].collection: items})

    async def add_child(self, name: str, request: Request) -> Response:
        body = await self._body(request)
        resource, id_ = self.resource, _clean(self.resource, request)
        added = await self._run(
            request, True, lambda call: operations.add_child(call, resource, id_, name, body)
        )
        return _answer(added, 201)

    async def show_child(self, name: str, request: Request) -> Response:
        resource, id_, which = self.resource, _clean(self.resource, request), _which(request)
        return _answer(
            await self._run(
                request, False, lambda call: operations.show_child(call, resource, id_, name, which)
            )
        )

    async def change_child(self, name: str, request: Request) -> Response:
        body = await self._body(request)
        resource, id_, which = self.resource, _clean(self.resource, request), _which(request)

        def work(call: Call) -> Any:
            return operations.change_child(call, resource, id_, name, which, body)

        return _answer(await self._run(request, True, work))

    async def act_on_child(self, name: str, action: str, request: Request) -> Response:
        body = await self._body(request)
        resource, id_, which = self.resource, _clean(self.resource, request), _which(request)

        def work(call: Call) -> Any:
            return operations.act_on_child(call, resource, id_, name, which, action, body)

        return _answer(await self._run(request, True, work))

    async def remove_child(self, name: str, request: Request) -> Response:
        resource, id_, which = self.resource, _clean(self.resource, request), _which(request)
        await self._run(request, True, lambda call: operations.remove_child(call, resource, id_, name, which))
        return Response(status_code=204)


def merged(found: list[Route]) -> list[Route]:
    """Return one route for each path: a method that none of them has is then answered with 405."""
    by_path: dict[str, dict[str, Handler]] = {}
    for route in found:
        for method in route.methods or ():
            by_path.setdefault(route.path, {})[method] = route.endpoint

    def dispatching(handlers: dict[str, Handler]) -> Handler:
        async def dispatch(request: Request) -> Response:
            return await handlers[request.method](request)

        return dispatch

    return [Route(path, dispatching(handlers), methods=list(handlers)) for path, handlers in by_path.items()]


def _answer(body: Any, status: int = 200) -> Response:
    return Response(encode(body), status, media_type=JSON)


def _one(resource: Resource, item: Item, status: int = 200) -> Response:
    body = {resource.member: item}
    return _answer({**body, resource.also: item} if resource.also else body, status)


def _single(resource: Resource, body: Mapping[str, Any]) -> str:
    """Return by which word a body holds one object; "" if it holds none."""
    if resource.member in body:
        return resource.member
    return resource.also if isinstance(body.get(resource.also), dict) else ""


def _unwrapped(resource: Resource, body: Any) -> Any:
    if body is None:
        raise HTTPBadRequest(msg="Resource body required")
    word = _single(resource, body) if isinstance(body, dict) else ""
    if not word:
        raise HTTPBadRequest(msg=f"Unable to find '{resource.member}' in request body")
    return body[word]


def _bulk_item(resource: Resource, one: Any) -> Any:
    """In a bulk request each item may stand for itself or be wrapped in the resource's name."""
    if isinstance(one, dict) and isinstance(one.get(resource.member), dict) and len(one) == 1:
        return one[resource.member]
    return one


def _parent(request: Request) -> str:
    """Return the object below which a path is; "" for none."""
    parent: str = request.path_params.get("parent", "")
    return parent


def _clean(resource: Resource, request: Request) -> str:
    id_: str = request.path_params["id"]
    if "\0" in id_:
        raise resource.not_found(id=shown(id_))
    return id_


def _which(request: Request) -> str:
    """Return which one of a collection below an object a path names."""
    which: str = request.path_params["child"]
    if "\0" in which:
        raise NotFound
    return which


def _if_match(request: Request) -> int | None:
    """Return the revision that If-Match asks for. Raises BadRequest."""
    header = request.headers.get("if-match")
    if header is None:
        return None
    tags = _REVISION.findall(header)
    if not tags:
        return None
    if len(tags) > 1:
        raise BadRequest(resource="if-match", msg="Multiple revision_number etags are not supported.")
    if not (tags[0].isascii() and tags[0].isdigit() and len(tags[0]) < 19):
        raise BadRequest(
            resource="if-match", msg="Revision number etag must be in the format of revision_number=<int>"
        )
    return int(tags[0])
