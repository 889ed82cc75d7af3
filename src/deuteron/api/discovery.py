"""What a client asks first: versions, resources, extensions."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.resources.errors import ExtensionsNotFound
from deuteron.resources.resource import Alias
from deuteron.resources.types import shown

ALIASES = (
    Alias(alias="project-id", name="project_id field enabled", description="project_id"),
    Alias(alias="sorting", name="Sorting support", description="Lists can be sorted"),
    Alias(alias="pagination", name="Pagination support", description="Lists come in pages"),
    Alias(
        alias="revision-if-match",
        name="If-Match constraints based on revision_number",
        description="Changes only of the revision that If-Match names",
    ),
    Alias(
        alias="filter-validation",
        name="Filter parameters validation",
        description="Unknown filters are refused",
    ),
    Alias(
        alias="sort-key-validation",
        name="Sort keys validation",
        description="Unknown sort keys are refused",
    ),
    Alias(
        alias="empty-string-filtering",
        name="Empty String Filtering Extension",
        description="Filters for the empty string",
    ),
    Alias(
        alias="standard-attr-revisions",
        name="Resource revision numbers",
        description="revision_number of all resources",
    ),
    Alias(
        alias="standard-attr-timestamp",
        name="Resource timestamps",
        description="created_at and updated_at of all resources",
    ),
    Alias(
        alias="standard-attr-description",
        name="standard-attr-description",
        description="A description of all resources",
    ),
)
"""What the API's own machinery gives to every resource."""


def routes(services: Services) -> list[Route]:
    """Return the routes."""
    known = {alias.alias: alias for alias in ALIASES} | dict(services.registry.aliases)
    listed = {
        name: alias
        for name, alias in known.items()
        if not alias.setting or getattr(services.settings, alias.setting)
    }

    async def versions(request: Request) -> Response:
        return _answer({"versions": [_version(request)]})

    async def version(request: Request) -> Response:
        resources = [
            {
                "name": resource.name,
                "collection": resource.collection,
                "links": [{"rel": "self", "href": f"{_base(request)}/v2.0/{resource.path}"}],
            }
            for resource in services.registry.resources.values()
            if not resource.parent
        ]
        return _answer({"resources": resources})

    async def extensions(_: Request) -> Response:
        return _answer({"extensions": [_shown(alias) for _, alias in sorted(listed.items())]})

    async def extension(request: Request) -> Response:
        name = request.path_params["alias"]
        if name not in listed:
            raise ExtensionsNotFound(extensions=shown(name))
        return _answer({"extension": _shown(listed[name])})

    return [
        Route("/", versions, methods=["GET"]),
        Route("/v2.0", version, methods=["GET"]),
        Route("/v2.0/", version, methods=["GET"]),
        Route("/v2.0/extensions", extensions, methods=["GET"]),
        Route("/v2.0/extensions/{alias}", extension, methods=["GET"]),
    ]


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _version(request: Request) -> dict[str, Any]:
    link = {"rel": "self", "href": f"{_base(request)}/v2.0/"}
    return {"id": "v2.0", "status": "CURRENT", "links": [link]}


def _shown(alias: Alias) -> dict[str, Any]:
    return {
        "alias": alias.alias,
        "name": alias.name,
        "description": alias.description,
        "updated": alias.updated,
        "links": [],
    }


def _answer(body: Any) -> Response:
    return Response(encode(body), media_type=JSON)
