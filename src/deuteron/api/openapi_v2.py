"""The OpenAPI 3.1 document of /v2.0, made of the same declarations as its routes: GET /openapi.json."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, String
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deuteron import __version__
from deuteron.api import openapi
from deuteron.api.codec import JSON, encode
from deuteron.api.services import Services
from deuteron.resources.attribute import REQUIRED, Attr
from deuteron.resources.registry import Registry
from deuteron.resources.resource import Resource

Described = dict[str, Any]
"""A part of the document."""

_REFUSALS = {
    "400": "The request is not as it has to be",
    "401": "Nobody known asks",
    "403": "The caller may not do that",
    "404": "There is no such thing, or the caller does not see it",
    "409": "It does not go with what there is",
    "412": "It has another revision than If-Match names",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "501": "What it asks for is not built",
    "503": "The database is away or overloaded: ask again",
}
_READING = ("400", "401", "403", "404", "503")
_WRITING = tuple(_REFUSALS)
_PAGING = ("fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse", "changed_since")
_ANYTHING: Described = {"type": "object"}
_TAGS: Described = {"type": "array", "items": {"type": "string", "maxLength": 255}}


def routes(services: Services) -> list[Route]:
    """Return the route of the document, which is made when it is first asked for."""

    @cache
    def described() -> bytes:
        return encode(document(services.registry))

    async def describe(request: Request) -> Response:  # noqa: ARG001
        return Response(described(), media_type=JSON)

    return [Route("/openapi.json", describe, methods=["GET"])]


def document(registry: Registry) -> Described:
    """Return the document that describes what all resources serve."""
    paths: dict[str, Described] = {
        "/v2.0/extensions": {"get": _reading("list_extensions", {"extensions": {"type": "array"}})},
        "/v2.0/extensions/{alias}": {"get": _reading("show_extension", {"extension": _ANYTHING}, "alias")},
        **_quotas(),
    }
    schemas: dict[str, Any] = {"Error": openapi.ERROR}
    for resource in registry.resources.values():
        schemas[resource.name] = _shown(resource)
        for below, described in _paths(resource, f"/v2.0/{registry.path(resource)}").items():
            paths.setdefault(below, {}).update(described)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenStack Networking, as Deuteron serves it",
            "description": "Lists take every attribute that is a column as a filter.",
            "version": __version__,
        },
        "paths": paths,
        "components": {"schemas": schemas, "parameters": _parameters(), "responses": _refusals()},
    }


def _paths(resource: Resource, path: str) -> dict[str, Described]:
    name, one = resource.name, {resource.member: {"$ref": f"#/components/schemas/{resource.name}"}}
    many = {resource.collection: {"type": "array", "items": one[resource.member]}}
    if resource.also:
        one[resource.also] = one[resource.member]
    above, id_ = _names(path), [*_names(path), "id"]
    collection: Described = {}
    if resource.listable:
        filters = [_in_query(key) for key, attr in resource.attributes.items() if attr.filter]
        listing = _operation(f"list_{resource.collection}", "200", many, _READING, above)
        paging = [{"$ref": f"#/components/parameters/{key}"} for key in _PAGING]
        collection["get"] = {**listing, "parameters": [*listing["parameters"], *filters, *paging]}
    if resource.creatable:
        answer = {"anyOf": [_object(one), _object(many)]}
        created = _operation(f"create_{name}", "201", answer, _WRITING, above)
        collection["post"] = {**created, "requestBody": _body(_creating(resource))}
    showing = _WRITING if resource.show else _READING
    single: Described = {"get": _operation(f"show_{name}", "200", one, showing, id_)}
    if resource.updatable:
        changed = _operation(f"update_{name}", "200", one, _WRITING, id_)
        single["put"] = {
            **changed,
            "requestBody": _body(_object({resource.member: _given(resource, "put")})),
        }
    if resource.deletable:
        single["delete"] = _operation(f"delete_{name}", "204", None, _WRITING, id_)
    below = _below(resource, path)
    if resource.creatable:
        made = [*single.values(), *(one for described in below.values() for one in described.values())]
        collection["post"]["responses"]["201"]["links"] = _links(resource, made)
    found = {path: collection, f"{path}/{{id}}": single, **below}
    return {where: described for where, described in found.items() if described}


def _links(resource: Resource, operations: Sequence[Described]) -> Described:
    """Say that the ID of what a POST made is what these operations ask for."""
    ids = {"id": f"$response.body#/{resource.member}/id"}
    if resource.parent:
        ids["parent"] = "$request.path.parent"
    return {one["operationId"]: {"operationId": one["operationId"], "parameters": ids} for one in operations}


def _below(resource: Resource, path: str) -> dict[str, Described]:
    """Return what there is below one object: actions, collections, tags."""
    found: dict[str, Described] = {}
    id_, child_id = [*_names(path), "id"], [*_names(path), "id", "child"]
    for action in resource.actions:
        found[f"{path}/{{id}}/{action}"] = {"put": _writing(f"{resource.name}_{action}", "200", *id_)}
    for key, child in resource.children.items():
        where, name = f"{path}/{{id}}/{key}", f"{resource.name}_{key}"
        many = {child.collection: {"type": "array"}}
        found[where] = {"get": _reading(f"list_{name}", many, *id_)}
        one: Described = {}
        if child.add:
            found[where]["post"] = _writing(f"add_{name}", "201", *id_)
        if child.show:
            one["get"] = _reading(f"show_{name}", {}, *child_id)
        if child.change:
            one["put"] = _writing(f"update_{name}", "200", *child_id)
        if child.remove:
            one["delete"] = _operation(f"remove_{name}", "204", None, _WRITING, child_id)
        if one:
            found[f"{where}/{{child}}"] = one
        for action in child.actions:
            found[f"{where}/{{child}}/{action}"] = {"put": _writing(f"{name}_{action}", "200", *child_id)}
    if "tags" in resource.attributes and not resource.parent:
        found.update(_tags(resource, path))
    return found


def _tags(resource: Resource, path: str) -> dict[str, Described]:
    name, id_, tag = f"{resource.name}_tags", ["id"], ["id", "tag"]
    tags, body = {"tags": _TAGS}, {"requestBody": _body(_object({"tags": _TAGS}))}
    return {
        f"{path}/{{id}}/tags": {
            "get": _reading(f"list_{name}", tags, *id_),
            "put": {**_operation(f"replace_{name}", "200", tags, _WRITING, id_), **body},
            "post": {**_operation(f"add_{name}", "201", tags, _WRITING, id_), **body},
            "delete": _operation(f"remove_{name}", "204", None, _WRITING, id_),
        },
        f"{path}/{{id}}/tags/{{tag}}": {
            "get": _operation(f"check_{name}", "204", None, _READING, tag),
            "put": _operation(f"add_one_of_{name}", "201", {}, _WRITING, tag),
            "delete": _operation(f"remove_one_of_{name}", "204", None, _WRITING, tag),
        },
    }


def _quotas() -> dict[str, Described]:
    quota: Described = {"quota": {"type": "object", "additionalProperties": {"type": "integer"}}}
    changing = _operation("update_quota", "200", quota, _WRITING, ["project_id"])
    return {
        "/v2.0/quotas": {"get": _reading("list_quotas", {"quotas": {"type": "array"}})},
        "/v2.0/quotas/{project_id}": {
            "get": _reading("show_quota", quota, "project_id"),
            "put": {**changing, "requestBody": _body(_object({"quota": _ANYTHING}))},
            "delete": _operation("delete_quota", "204", None, _WRITING, ["project_id"]),
        },
        "/v2.0/quotas/{project_id}/default": {"get": _reading("show_default_quota", quota, "project_id")},
        "/v2.0/quotas/{project_id}/details": {
            "get": _reading("show_quota_details", {"quota": _ANYTHING}, "project_id")
        },
    }


def _reading(name: str, shown: Mapping[str, Any], *parameters: str) -> Described:
    return _operation(name, "200", shown, _READING, parameters)


def _writing(name: str, status: str, *parameters: str) -> Described:
    """An action, or what is like one: the body and the answer are objects of its own."""
    described = _operation(name, status, {}, _WRITING, parameters)
    return {**described, "requestBody": _body(_ANYTHING)}


def _operation(
    name: str,
    status: str,
    shown: Mapping[str, Any] | None,
    refusals: Sequence[str],
    parameters: Sequence[str] = (),
) -> Described:
    """Describe an operation; what is `shown` is a schema, or properties that there are; None: no body."""
    answer: Described = {"description": "Done"}
    if shown is not None:
        schema = shown if "anyOf" in shown else _object(shown) if shown else {}
        answer["content"] = {"application/json": {"schema": schema}}
    return {
        "operationId": name.replace("-", "_"),
        "parameters": [
            {"name": key, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for key in parameters
        ],
        "responses": {status: answer}
        | {refusal: {"$ref": f"#/components/responses/{refusal}"} for refusal in refusals},
    }


def _creating(resource: Resource) -> Described:
    """What a POST gives: one, or many at once."""
    given = _given(resource, "post")
    many = {"type": "array", "minItems": 1, "items": given}
    return {"anyOf": [_object({resource.member: given}), _object({resource.collection: many})]}


def _given(resource: Resource, method: str) -> Described:
    """What a POST or PUT may say."""
    may = {key: attr for key, attr in resource.attributes.items() if getattr(attr, method)}
    needed = [key for key, attr in may.items() if attr.default is REQUIRED] if method == "post" else []
    described = {key: _schema(attr) for key, attr in may.items()}
    if "project_id" in described:
        described["tenant_id"] = described["project_id"]
    given = {"type": "object", "properties": described, "additionalProperties": False}
    return {**given, "required": needed} if needed else given


def _shown(resource: Resource) -> Described:
    visible = {key: attr for key, attr in resource.attributes.items() if attr.visible}
    described = {key: {"anyOf": [_schema(attr), {"type": "null"}]} for key, attr in visible.items()}
    if "project_id" in described:
        described["tenant_id"] = described["project_id"]
    return {"type": "object", "properties": described}


def _schema(attr: Attr) -> Described:
    schema = dict(attr.type.schema) or _stored(attr)
    return {"anyOf": [schema, {"type": "null"}]} if attr.nullable and schema else schema


def _stored(attr: Attr) -> Described:
    """What a column says of a type that says nothing of itself."""
    if isinstance(attr.type.column, Boolean):
        return {"type": "boolean"}
    if isinstance(attr.type.column, Integer | BigInteger):
        return {"type": "integer"}
    if isinstance(attr.type.column, String):
        return {"type": "string"}
    return {}


def _object(properties: Mapping[str, Any]) -> Described:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _body(schema: Described) -> Described:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _names(path: str) -> list[str]:
    """Return the names of a path's parameters."""
    return [part.strip("{}") for part in path.split("/") if part.startswith("{")]


def _in_query(name: str) -> Described:
    return {"name": name, "in": "query", "schema": {"type": "array", "items": {"type": "string"}}}


def _parameters() -> dict[str, Described]:
    known = {name: _in_query(name) for name in _PAGING}
    known["sort_dir"]["schema"] = {"type": "array", "items": {"enum": ["asc", "desc"]}}
    known["limit"]["schema"] = {"type": "integer", "minimum": 0}
    known["page_reverse"]["schema"] = {"type": "boolean"}
    known["marker"]["schema"] = {"type": "string"}
    return known


def _refusals() -> dict[str, Described]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    # Nobody known is told so as keystonemiddleware does.
    return {
        status: {"description": said, "content": content if status != "401" else {"application/json": {}}}
        for status, said in _REFUSALS.items()
    }
