"""/v2.0/quotas: a project's limits, what it has, and the limits of those for whom none are stored."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron.api import codec
from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.api.v2 import merged
from deuteron.resources import quota
from deuteron.resources.call import Call
from deuteron.resources.errors import HTTPBadRequest, PolicyNotAuthorized
from deuteron.resources.types import line

_project = line()
Work = Callable[[Call, str], Any]


def routes(services: Services) -> list[Route]:
    """Return the routes."""

    def reading(work: Work) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            project_id = _named(request)
            return _answer(await services.run(request, False, lambda call: work(call, project_id)))

        return handle

    async def change(request: Request) -> Response:
        body, project_id = await codec.body(request, services.settings.max_request_body_size), _named(request)
        if not isinstance(body, dict) or "quota" not in body:
            raise HTTPBadRequest(msg="Unable to find 'quota' in request body")

        def work(call: Call) -> dict[str, int]:
            _require(call, "update_quota", project_id)
            return quota.change(call, project_id, body["quota"])

        return _answer({"quota": await services.run(request, True, work)})

    async def remove(request: Request) -> Response:
        project_id = _named(request)

        def work(call: Call) -> None:
            _require(call, "delete_quota", project_id)
            quota.remove(call, project_id)

        await services.run(request, True, work)
        return Response(status_code=204)

    path = "/v2.0/quotas"
    of_caller = [
        Route(f"{path}/{key}", reading(_whose(key)), methods=["GET"]) for key in ("project", "tenant")
    ]
    return merged(
        [
            Route(path, reading(_all), methods=["GET"]),
            *of_caller,
            Route(f"{path}/{{id}}", reading(_show), methods=["GET"]),
            Route(f"{path}/{{id}}", change, methods=["PUT"]),
            Route(f"{path}/{{id}}", remove, methods=["DELETE"]),
            Route(f"{path}/{{id}}/default", reading(_default), methods=["GET"]),
            Route(f"{path}/{{id}}/details", reading(_details), methods=["GET"]),
            Route(f"{path}/{{id}}/details.json", reading(_details), methods=["GET"]),
        ]
    )


def _named(request: Request) -> str:
    try:
        name: str = _project.convert(request.path_params.get("id", ""))
    except ValueError as error:
        raise HTTPBadRequest(msg=f"project: {error}") from None
    return name


def _require(call: Call, rule: str, project_id: str) -> None:
    """Raise unless the caller passes a rule for a project; its own limits everybody may see."""
    own = call.who is not None and call.who.project_id == project_id
    if rule == "get_quota" and own:
        return
    if not call.may(rule):
        raise PolicyNotAuthorized(rule=f"rule:{rule}")


def _all(call: Call, _: str) -> Any:
    _require(call, "get_quota", "")
    return {"quotas": quota.listing(call)}


def _show(call: Call, project_id: str) -> Any:
    _require(call, "get_quota", project_id)
    return {"quota": quota.limits(call, project_id)}


def _default(call: Call, project_id: str) -> Any:
    _require(call, "get_quota", project_id)
    return {"quota": quota.defaults(call)}


def _details(call: Call, project_id: str) -> Any:
    _require(call, "get_quota", project_id)
    return {"quota": quota.details(call, project_id)}


def _whose(key: str) -> Work:
    def whose(call: Call, _: str) -> Any:
        return {key: {f"{key}_id": call.project_id}}

    return whose


def _answer(body: Any) -> Response:
    return Response(encode(body), media_type=JSON)
