"""The query string of a list: filters, fields, sorting, paging, and the links to further pages."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.datastructures import URL
from starlette.requests import Request

from deuteron.resources import query
from deuteron.resources.errors import HTTPBadRequest, InvalidInput, TenantIdProjectIdFilterConflict
from deuteron.resources.query import Query
from deuteron.resources.resource import Item
from deuteron.resources.types import shown

_SPECIAL = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse", "changed_since"})


def parse(request: Request, max_limit: int) -> Query:
    """Return what a list request asks for. Raises errors of status 400."""
    given: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        given.setdefault(key, []).append(value)
    filters = {key: values for key, values in given.items() if key not in _SPECIAL}
    if "tenant_id" in filters:
        if "project_id" in filters:
            raise TenantIdProjectIdFilterConflict(resource="filter", msg="")
        filters["project_id"] = filters.pop("tenant_id")
    fields = _fields(given)
    limit = query.limit(given.get("limit", ["0"])[-1] or "0", max_limit)
    return Query(
        filters=filters,
        fields=fields | {"id"} if fields and limit else fields,  # the links need it
        sorts=_sorts(given),
        limit=limit,
        marker=given.get("marker", [""])[-1] or None,
        reverse=given.get("page_reverse", [""])[-1].lower() == "true",
        changed_since=_time(given["changed_since"][-1]) if "changed_since" in given else None,
    )


def parse_fields(request: Request) -> frozenset[str]:
    """Return the attributes that are asked for; none means all."""
    return _fields({"fields": request.query_params.getlist("fields")})


def _fields(given: dict[str, list[str]]) -> frozenset[str]:
    return frozenset(field for text in given.get("fields", []) for field in text.split(",") if field)


def _time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise InvalidInput(error_message=f"changed_since {shown(text)!r} is not a time") from None


def _sorts(given: dict[str, list[str]]) -> tuple[tuple[str, bool], ...]:
    keys = [key for key in given.get("sort_key", []) if key]
    directions = [direction for direction in given.get("sort_dir", []) if direction]
    if len(keys) != len(directions):
        raise HTTPBadRequest(msg="The number of sort_keys and sort_dirs must be same")
    wrong = [shown(direction) for direction in directions if direction not in ("asc", "desc")]
    if wrong:
        raise HTTPBadRequest(msg=f"{wrong} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
    names = ["project_id" if key == "tenant_id" else key for key in keys]
    return tuple((name, way == "asc") for name, way in zip(names, directions, strict=True))


def links(request: Request, asked: Query, items: list[Item]) -> list[dict[str, str]]:
    """Return the links to the pages before and after this one; none where objects have no ID to show."""
    if not asked.limit or any("id" not in item for item in items):
        return []
    full = len(items) >= asked.limit
    found = []
    if full or asked.reverse:
        found.append({"rel": "next", "href": _link(request, items[-1:], reverse=False)})
    if full or not asked.reverse:
        found.append({"rel": "previous", "href": _link(request, items[:1], reverse=True)})
    return found


def _link(request: Request, edge: list[Item], reverse: bool) -> str:
    keep = [
        (key, value)
        for key, value in request.query_params.multi_items()
        if key not in ("marker", "page_reverse")
    ]
    keep += [("marker", item["id"]) for item in edge]
    if reverse:
        keep.append(("page_reverse", "True"))
    base = URL(str(request.url)).replace(query="")
    return f"{base}?{urlencode(keep)}"
