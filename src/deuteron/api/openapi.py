"""The OpenAPI 3.1 document of /v1, made of the declarations that also make the routes."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from deuteron import __version__
from deuteron.api.operation import NDJSON, Operation

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
ERROR = {
    "type": "object",
    "description": "What is wrong, as Neutron says it.",
    "properties": {
        "NeutronError": {
            "type": "object",
            "properties": {key: {"type": "string"} for key in ("type", "message", "detail")},
            "required": ["type", "message", "detail"],
        }
    },
    "required": ["NeutronError"],
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document that describes these operations."""
    kinds = [kind for one in operations for kind in (*one.types.values(), one.line) if _is_struct(kind)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    schema_of = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Deuteron /v1",
            "description": "What Neutron's API has no words for. Times are Unix times in seconds.",
            "version": __version__,
        },
        "paths": paths,
        "components": {"schemas": {**components, "Error": ERROR}},
    }


def _operation(one: Operation, schema_of: Mapping[Any, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    title, _, rest = (inspect.getdoc(one.does) or "").partition("\n")
    described: dict[str, Any] = {"operationId": one.does.__name__, "summary": title.rstrip(".")}
    if rest.strip():
        described["description"] = rest.strip()
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]
    if kind := one.types.get("query"):
        parameters += _query(components[kind.__name__])
    if parameters:
        described["parameters"] = parameters
    if kind := one.types.get("body"):
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema_of[kind]}}}
    described["responses"] = {
        **_answer(one, schema_of),
        "default": {
            "description": "It was refused",
            "content": {_JSON: {"schema": {"$ref": _REF.format(name="Error")}}},
        },
    }
    return described


def _query(component: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": name in component["required"], "schema": schema}
        for name, schema in component["properties"].items()
    ]


def _answer(one: Operation, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    kind = one.types.get("return")
    if not _is_struct(kind):
        return {"204": {"description": "Done"}}
    content = {_JSON: {"schema": schema_of[kind]}}
    if one.line is not None:
        content[NDJSON] = {"schema": schema_of[one.line]}
    return {str(one.status): {"description": inspect.getdoc(kind) or "", "content": content}}


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
